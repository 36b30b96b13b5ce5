// Takes the turn in a folder as often as it is told, against others like it, and is killed in the last: it gives nothing back.
// Whoever has the turn must be alone: a file says who is inside. With `hold` it takes the turn, says so, and waits.
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { takeTurn } from '../../src/enroll/identity-folder.ts';

const [dir = '', inside = '', turns = ''] = process.argv.slice(2);
if (turns === 'hold') {
  const giveBack = takeTurn(dir);
  if (giveBack === null) throw new Error('somebody else has the turn');
  writeSync(1, 'held\n');
  await pause(600_000);
  giveBack();
}
for (let had = 0; had < Number(turns); ) {
  const giveBack = takeTurn(dir);
  if (giveBack === null) {
    await pause(1);
    continue;
  }
  had++;
  closeSync(openSync(inside, 'wx')); // EEXIST: two have the turn
  await pause(1);
  unlinkSync(inside);
  if (had === Number(turns)) process.kill(process.pid, 'SIGKILL');
  giveBack();
}
