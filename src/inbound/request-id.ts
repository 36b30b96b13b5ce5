// Names each request of a gate, in its record, its log and its answer, so that all three can be told to be about one.

import { randomBytes } from 'node:crypto';

const RUN = `${randomBytes(6).toString('hex')}-`;
const [ZERO, NINE] = [0x30, 0x39];
/** The latest, as octets: a text put together is slow to write, and this one is written several times. */
const latest = Buffer.from(`${RUN}0000000000`, 'latin1');

/** A new id, unique among all gates and runs: `<run>-<count>`, always of one length. */
export function newRequestId(): string {
  for (let at = latest.length - 1; at >= RUN.length; at--) {
    const digit = latest[at] ?? ZERO;
    if (digit < NINE) {
      latest[at] = digit + 1;
      break;
    }
    latest[at] = ZERO;
  }
  return latest.toString('latin1');
}
