// A request's body, gathered whole: for what is asked of the proxy itself and is small. What is announced is waited for, and
// not a byte more is taken; in chunks, its framing counts towards what it may have. Pure but for the call at its end.

import { chunksOf, followBody, openBody } from '../http1/body.ts';
import { CHUNKED } from '../http1/syntax.ts';
import { gather } from './gathered.ts';

/** The data of the body; or that a chunk is malformed, or that it is longer than it may be. */
export type TakenBody = Buffer | 'malformed' | 'too long';

export interface BodyTaking {
  /** Takes what belongs to it from the beginning of `bytes`, and answers how many that were. */
  add(bytes: Buffer): number;
}

/**
 * Gathers a body of `length` bytes, or in CHUNKED of at most `most`; `taken` is called once, by the `add` that makes it
 * whole or finds that it can't be.
 */
export function takeBody(length: number, most: number, taken: (body: TakenBody) => void): BodyTaking {
  const body = openBody(length);
  const gathered = gather();
  return {
    add(bytes) {
      const to = followBody(body, bytes, 0);
      // A copy: the next read overwrites what is here.
      gathered.add(Buffer.from(bytes.subarray(0, to)));
      if (body.bad) taken('malformed');
      else if (gathered.size > most) taken('too long');
      else if (body.done) taken(length === CHUNKED ? chunksOf(gathered.bytes()) : gathered.bytes());
      return to;
    },
  };
}
