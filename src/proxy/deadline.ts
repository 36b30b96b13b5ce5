// What is expected next on a client's connection, and how long that may take.

import type { Limits } from './contract.ts';

/** The next request, the rest of its head, a byte in either direction, or that a last answer is read. */
export type Expected = 'idle' | 'head' | 'stall' | 'linger';

/** How long a client may take to read a last answer before its connection is dropped, ms (RFC 9112 §9.6). */
const LINGER = 5_000;
/** How long a connection may wait for its next request before it forgets what would make that cheaper, ms. */
const RESTS = 5_000;

/** The deadline of one connection, by a clock that is coarse and free to read. */
export class Deadline {
  is: Expected = 'idle';
  private at: number;
  private readonly limits: Limits;
  private readonly clock: { readonly now: number };

  constructor(limits: Limits, clock: { readonly now: number }) {
    this.limits = limits;
    this.clock = clock;
    // A client that has just connected owes us a head, and has not earned the time of a kept connection.
    this.at = clock.now + limits.head;
  }

  expect(what: Expected): void {
    this.is = what;
    this.at = this.clock.now + (what === 'linger' ? LINGER : this.limits[what]);
  }

  passed(now: number): boolean {
    return now >= this.at;
  }

  /** Whether it has waited for the next request for a while. */
  rests(now: number): boolean {
    return this.is === 'idle' && now > this.at - this.limits.idle + RESTS;
  }
}
