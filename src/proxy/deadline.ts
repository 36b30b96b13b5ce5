// How long a client's connection may take for what is expected of it next.

import type { Limits } from './contract.ts';

/** The next request, the rest of its head, a byte in either direction, or that a last answer is read. */
export type Expected = 'idle' | 'head' | 'stall' | 'linger';

/** How long a client may take to read a last answer before its connection is dropped, ms (RFC 9112 §9.6). */
const LINGER = 5_000;

/** After this long without a request nothing is kept for the next one: of clients that wait there may be ten thousand. ms */
const REST = 2_000;

/** The time for it, ms. */
export function timeFor(what: Expected, limits: Limits): number {
  return what === 'linger' ? LINGER : limits[what];
}

/** Whether a connection that has `left` ms for `what` has waited so long for a request that it may forget the last ones. */
export function rests(what: Expected, left: number, limits: Limits): boolean {
  return what === 'idle' && limits.idle - left >= REST;
}
