// The chain of the record: every line ends with its number and with the SHA-256 of the line before it, so that what was
// changed, taken out or put in between shows (docs/audit.md). The octets that are hashed are those of the line as it stands
// in the file, its line feed included. What stands before the first number is older than the chain, or no record at all. What
// a crash left between two lines is named together with the line before it: neither may change.

import { hash } from 'node:crypto';

/** The newest line: its number (0 for none yet) and its SHA-256, hex. */
export interface Head {
  readonly seq: number;
  readonly hash: string;
}

/** Before the first line. */
export const START: Head = { seq: 0, hash: '0'.repeat(64) };

const PLACE = /,"seq":([1-9]\d{0,14}),"prev":"([0-9a-f]{64})"\}$/;

/** SHA-256 of a line with its line feed, hex. */
export function hashOf(line: Buffer | string): string {
  return hash('sha256', line, 'hex');
}

/** What is to be named after a line that `before` names, when something without a number follows: `own` is that one's SHA-256. */
export function hashWith(before: string, own: string): string {
  return hashOf(before + own);
}

const SEQ = Buffer.from(',"seq":');
const PREV = Buffer.from(',"prev":"');
const END = Buffer.from('"}\n');
/** What `linkAll` adds to a body at most, octets. */
const PLACE_LENGTH = SEQ.length + 16 + PREV.length + 64 + END.length;

/** Octets in which `linkAll` has room for the lines of `bodies`. */
export function roomFor(bodies: readonly string[]): number {
  let octets = 0;
  for (const body of bodies) octets += body.length + PLACE_LENGTH;
  return octets;
}

/**
 * Writes the lines of `bodies`, JSON objects of ASCII with a member at least, after `head` into `room`; answers what of that
 * they are, and the head that they make. By octets, because a text put together is slow to write (docs/performance.md).
 */
export function linkAll(
  bodies: readonly string[],
  head: Head,
  room: Buffer,
): { readonly lines: Buffer; readonly head: Head } {
  let { seq, hash: prev } = head;
  let at = 0;
  for (const body of bodies) {
    const start = at;
    // Its closing brace is written over.
    at = put(room, SEQ, at + room.write(body, at, 'latin1') - 1);
    at += room.write(String(++seq), at, 'latin1');
    at = put(room, PREV, at);
    at = put(room, END, at + room.write(prev, at, 'latin1'));
    prev = hash('sha256', room.subarray(start, at), 'hex');
  }
  return { lines: room.subarray(0, at), head: { seq, hash: prev } };
}

function put(room: Buffer, few: Buffer, at: number): number {
  for (let i = 0; i < few.length; i++) room[at + i] = few[i] ?? 0;
  return at + few.length;
}

/** The number of a line without its line feed, and the hash that it names; null for one outside of the chain. */
export function placeOf(line: string): { readonly seq: number; readonly prev: string } | null {
  const [, seq, prev] = PLACE.exec(line) ?? [];
  return seq === undefined || prev === undefined ? null : { seq: Number(seq), prev };
}
