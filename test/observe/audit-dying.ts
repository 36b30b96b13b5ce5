// For the kill tests: a gate's record in the file argv[2], which is rotated and of which the oldest file is retired. It ends by
// SIGKILL right before the change of the file system number argv[3] from its start on; with a larger number than there are, it
// ends by itself. It prints the id of each record once it is acknowledged; ids begin with argv[4].

import { existsSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import promises, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Checkpoint, checkpointIn, checkpointJson } from '../../src/observe/audit-checkpoint.ts';
import { openAuditLog } from '../../src/observe/audit-log.ts';
import { auditRecord } from './records.ts';
import { signingOf, upkeepOf } from './signed.ts';

const [, , path = '', last = '', prefix = ''] = process.argv;
let changes = 0;

function countdown(): void {
  if (++changes === Number(last)) process.kill(process.pid, 'SIGKILL');
}

/** Has each call of `name` count as a change. */
function counted(holder: object, name: string): void {
  const own = Reflect.get(holder, name) as (...asked: unknown[]) => unknown;
  Reflect.set(holder, name, function (this: unknown, ...asked: unknown[]) {
    countdown();
    return Reflect.apply(own, this, asked);
  });
}

const handle: FileHandle = await promises.open('/dev/null');
for (const name of ['write', 'datasync', 'sync', 'truncate']) counted(Object.getPrototypeOf(handle) as object, name);
await handle.close();
for (const name of ['rename', 'rm']) counted(promises, name);
const open = promises.open;
promises.open = async (file, flags, mode) => {
  if (mode !== undefined) countdown(); // makes it
  return open(file, flags, mode);
};
syncBuiltinESMExports();

const kept = `${path}.kept.json.tmp`;
const known = existsSync(kept) ? checkpointIn(JSON.parse(readFileSync(kept, 'utf8'))) : null;
let [rotated, retired] = [0, 0];
const log = await openAuditLog(path, {
  known: known?.record ?? null,
  missing: (words) => writeSync(1, `missing ${words}\n`),
  signing: signingOf((checkpoint: Checkpoint) => writeFileSync(kept, checkpointJson(checkpoint))),
  upkeep: upkeepOf(
    { rotateSize: 1200, keepFiles: 1 },
    { every: 5, rotated: () => void rotated++, retired: () => void retired++ },
  ),
});
for (let i = 0; rotated < 2 || retired < 1; i++) {
  await log.append(auditRecord({ requestId: `${prefix}-${i}` }));
  writeSync(1, `${prefix}-${i}\n`);
  if (i % 4 === 3) await sleep(5);
}
await log.close();
writeSync(1, `changes ${changes}\n`);
