// Takes the turn in a folder as often as it is told, against others like it, and half of the time goes like one that was
// killed: its lock stays, two minutes old. Whoever has the turn must be alone: a file says who is inside.
import { closeSync, openSync, readdirSync, readFileSync, unlinkSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { takeTurn } from '../../src/enroll/identity-folder.ts';

const [dir = '', inside = '', turns = ''] = process.argv.slice(2);
const own = (): string[] =>
  readdirSync(dir)
    .filter((name) => name.startsWith('.renewing'))
    .map((name) => join(dir, name))
    .filter((path) => {
      try {
        return readFileSync(path, 'utf8') === `${process.pid}\n`;
      } catch {
        return false; // another's, just removed
      }
    });
for (let had = 0; had < Number(turns); ) {
  const giveBack = await takeTurn(dir);
  if (giveBack === null) continue;
  had++;
  closeSync(openSync(inside, 'wx')); // EEXIST: two have the turn
  await pause(1);
  unlinkSync(inside);
  if (had % 2 === 0) await giveBack();
  else for (const path of own()) utimesSync(path, 1, 1);
  // One that comes back after it was taken for dead must take away nobody else's.
  if (had % 4 === 1) await giveBack();
}
