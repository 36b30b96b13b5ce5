// What one connection remembers of the heads that it has read. Clients send the same header lines again and again, and often
// whole heads: bytes that repeat those of an accepted head have been checked already, and are compared where they stand. It
// changes what reading costs, never its outcome.

import { type AroundLength, aroundLength, reads, standsAt } from './known-bytes.ts';
import type { RequestHead } from './request-head.ts';
import { readRequestLine } from './request-line.ts';
import { type HeadLimits, isDigit, readContentLength } from './syntax.ts';

/** What one connection remembers of heads that were accepted on it: one with a body and one without take turns. */
export interface RequestMemory {
  /** The lines that were read last. */
  last: KnownLines | null;
  /** Of those with other lines, the latest. */
  other: KnownLines | null;
  /** The whole of the latest head when it was the same as the one before; null when it was not. */
  repeated: string | null;
}

/** Header lines that were accepted, from the request line's CRLF on. */
export interface KnownLines extends AroundLength {
  /** The latest head that had them. */
  head: RequestHead;
  /** Heads that had them, by their request lines. */
  readonly heads: Map<string, RequestHead>;
}

/** Longer ones are read anew each time: a connection that waits must not hold much. Bytes. */
const LONGEST_BLOCK = 2_048;
const LONGEST_LINE = 512;
/** Heads that are remembered for each set of lines; when there are more, all are forgotten. */
const MOST_HEADS = 16;

const CR = 0x0d;

/** A memory for `readRequestHead`, to be used with one `limits` only. */
export function openRequestMemory(): RequestMemory {
  return { last: null, other: null, repeated: null };
}

/** Forgets everything. */
export function forgetHeads(memory: RequestMemory): void {
  memory.last = null;
  memory.other = null;
  memory.repeated = null;
}

/** Remembers `head`, which was read anew and stands in `whole`. */
export function remember(memory: RequestMemory, whole: Buffer, head: RequestHead): void {
  const lineEnd = head.line.length;
  if (lineEnd > LONGEST_LINE || whole.length - lineEnd > LONGEST_BLOCK) return;
  memory.repeated = null;
  memory.other = memory.last;
  memory.last = knownLines(whole, head);
}

function knownLines(whole: Buffer, head: RequestHead): KnownLines {
  const around = aroundLength(whole.toString('latin1', head.line.length), head);
  return { ...around, head, heads: new Map([[head.line, head]]) };
}

/**
 * The head at `from` when its header lines are known but for the number in a Content-Length; null when they are not, or when
 * anything is wrong with it: reading it anew then finds out what. Where a head repeats it is the very object.
 */
export function recall(memory: RequestMemory, bytes: Buffer, from: number, limits: HeadLimits): RequestHead | null {
  const { last, other, repeated } = memory;
  if (last === null) return null;
  if (repeated !== null) {
    if (bytes.toString('latin1', from, from + repeated.length) === repeated) return last.head;
    memory.repeated = null;
  }
  const lineEnd = endOfLine(bytes, from);
  if (lineEnd < 0) return null;
  const before = last.head;
  let head = recallBy(last, bytes, from, lineEnd, limits);
  if (head === before) memory.repeated = bytes.toString('latin1', from, from + head.size);
  else if (head === null && other !== null) {
    head = recallBy(other, bytes, from, lineEnd, limits);
    if (head !== null) [memory.last, memory.other] = [other, last];
  }
  return head;
}

/** The index of the first CR; -1 when there is none in what is remembered of a line. */
function endOfLine(bytes: Buffer, from: number): number {
  const most = Math.min(bytes.length, from + LONGEST_LINE + 1);
  for (let i = from; i < most; i++) if (bytes[i] === CR) return i;
  return -1;
}

/** The lines have no empty one but the last, so where they match, the head ends. */
function recallBy(
  known: KnownLines,
  bytes: Buffer,
  from: number,
  lineEnd: number,
  limits: HeadLimits,
): RequestHead | null {
  const { before, after, lengthAt, head: last } = known;
  const digitsAt = lineEnd + before.length;
  if (!standsAt(before, bytes, lineEnd)) return null;
  let end = digitsAt;
  if (lengthAt >= 0) {
    while (end < bytes.length && isDigit(bytes[end] ?? 0)) end++;
    if (!standsAt(after, bytes, end)) return null;
  }
  const line = bytes.toString('latin1', from, lineEnd);
  const size = end + after.length - from;
  const same = known.heads.get(line);
  if (same !== undefined && (lengthAt < 0 || reads(same.values[lengthAt] ?? '', bytes, digitsAt, end))) {
    known.head = same;
    return same;
  }
  const head = withLine(last, line, lengthAt < 0 ? null : bytes.toString('latin1', digitsAt, end), lengthAt, size);
  if (head === null || size > limits.headBytes) return null;
  if (known.heads.size >= MOST_HEADS) known.heads.clear();
  known.heads.set(line, head);
  known.head = head;
  return head;
}

/** A head with the lines of `last`, another request line and other digits in its Content-Length; null when either is wrong. */
function withLine(
  last: RequestHead,
  text: string,
  digits: string | null,
  lengthAt: number,
  size: number,
): RequestHead | null {
  const line = readRequestLine(text);
  if (!line.ok) return null;
  if (digits === null) return { ...last, ...line, size };
  const bodyLength = readContentLength(digits);
  return bodyLength < 0 ? null : { ...last, ...line, values: last.values.with(lengthAt, digits), bodyLength, size };
}
