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

/** The line of `body`, a JSON object of ASCII with a member at least, after `head`; and the head that it makes. */
export function link(body: string, head: Head): { readonly line: string; readonly head: Head } {
  const seq = head.seq + 1;
  const line = `${body.slice(0, -1)},"seq":${seq},"prev":"${head.hash}"}\n`;
  return { line, head: { seq, hash: hashOf(line) } };
}

/** The number of a line without its line feed, and the hash that it names; null for one outside of the chain. */
export function placeOf(line: string): { readonly seq: number; readonly prev: string } | null {
  const [, seq, prev] = PLACE.exec(line) ?? [];
  return seq === undefined || prev === undefined ? null : { seq: Number(seq), prev };
}
