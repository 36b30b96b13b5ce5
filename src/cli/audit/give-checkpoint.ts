// `certgate audit --checkpoint`: the newest checkpoint of the record, to be kept elsewhere.
import { join } from 'node:path';
import { askCheckpoint } from '../../admin/control-client.ts';
import { CertgateError } from '../../errors.ts';
import type { Store } from '../../store/store.ts';
import type { CommandIo } from '../io.ts';
import { takeOwnPlace } from '../own-place.ts';
import { checkpointOf } from './checkpoints.ts';
import { momentWords } from './print.ts';

/** Has the gate sign what is on record by now, if one runs, and prints or writes (0644) the newest checkpoint. */
export async function giveCheckpoint(out: string, stateDir: string, store: Store, io: CommandIo): Promise<void> {
  const read = (content: Buffer): unknown => checkpointOf(content.toString('utf8'), out);
  const kind = 'checkpoint of a record';
  const write = out === '-' ? null : await takeOwnPlace(out, { kind, read, flag: '--checkpoint' });
  const asked = await askCheckpoint(join(stateDir, 'control.sock'));
  const line = await store.checkpoint();
  const checkpoint = line === null ? null : checkpointOf(line, store.location);
  if (line === null || checkpoint === null) {
    const problem = 'nothing is signed yet: a gate signs its record';
    throw new CertgateError('CG_AUDIT_CHECKPOINT', { file: store.location, problem });
  }
  const acts = await store.lastAct();
  if (write === null) io.out(line);
  else await write(Buffer.from(`${line}\n`));
  const { record, act, time } = checkpoint;
  io.say(
    `it covers the gate's record up to number ${record.seq} and the CA's acts up to ${act.seq}, as of ${momentWords(time)}`,
  );
  if (asked === null && acts !== null && acts.id > act.seq) {
    io.say(
      `no gate runs here to sign ${acts.id - act.seq} newer ${acts.id - act.seq === 1 ? 'act' : 'acts'} of the CA`,
    );
  }
}
