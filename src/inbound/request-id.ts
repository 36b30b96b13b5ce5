// Names each request of a gate, in its record, its log and its answer, so that all three can be told to be about one.

import { randomBytes } from 'node:crypto';

const RUN = `${randomBytes(6).toString('hex')}-`;
let requests = 0;

/** A new id, unique among all gates and runs: `<run>-<count>`, always of one length. */
export function newRequestId(): string {
  return RUN + String(++requests).padStart(10, '0');
}
