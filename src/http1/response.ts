// Reads the head of an HTTP/1.x answer from upstream (RFC 9112 §4, §6.3). An answer that could be read in two ways is
// refused, so that no upstream can split an answer or shift the next one on a kept connection. Pure.

import { type AroundLength, aroundLength, reads, standsAt } from './known-bytes.ts';
import {
  CHUNKED,
  findHeadEnd,
  type HeadLimits,
  headText,
  isDigit,
  listMembers,
  type Malformed,
  malformed,
  readContentLength,
  readFields,
  UNTIL_CLOSE,
} from './syntax.ts';

export interface ResponseHead {
  readonly ok: true;
  readonly status: number;
  /** The reason phrase as sent; it may be empty. */
  readonly phrase: string;
  readonly names: readonly string[];
  readonly values: readonly string[];
  /** Bytes of body to come: 0 and more, CHUNKED or UNTIL_CLOSE. Already 0 where the request or status has none. */
  readonly bodyLength: number;
  /** The length that a HEAD or 304 answer announces without sending it; -1 for none. */
  readonly announcedLength: number;
  /** Upstream ends the connection after this answer. */
  readonly close: boolean;
  readonly connectionNames: readonly string[] | null;
  readonly size: number;
}

/** What one upstream connection remembers of its last answers' heads. */
export interface ResponseMemory {
  /** The text of the head; null until there is one. */
  around: AroundLength | null;
  /** The last one; null until there is one. */
  head: ResponseHead | null;
  /** Those that differ from it in their Content-Length alone, by its digits. */
  readonly heads: Map<string, ResponseHead>;
  /** `beginResponseHead` of it as bytes: the same for every length. Null until somebody has made it. */
  begun: Buffer | null;
}

/** A longer head is read anew each time. Bytes. */
const LONGEST_REMEMBERED = 2_048;
/** Lengths that are remembered; when there are more, all are forgotten. */
const MOST_LENGTHS = 16;

/** A memory for `readResponseHead`, to be used with one `limits` only. */
export function openResponseMemory(): ResponseMemory {
  return { around: null, head: null, heads: new Map(), begun: null };
}

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9][0-9]{2})(?: (.*))?$/;

/**
 * Reads one answer head from `bytes[from…]` to a request of `method`. Null while it is incomplete. A head that is byte
 * for byte one in `memory` is that very object: it has been checked, and it ends where it ended then.
 */
export function readResponseHead(
  bytes: Buffer,
  from: number,
  method: string,
  limits: HeadLimits,
  memory: ResponseMemory | null = null,
): ResponseHead | Malformed | null {
  const bodiless = method === 'HEAD';
  if (memory !== null && memory.head !== null && memory.around !== null && !bodiless) {
    const again = recall(bytes, from, limits, memory, memory.around, memory.head);
    if (again !== null) return again;
  }
  const head = readAnew(bytes, from, bodiless, limits);
  if (memory !== null && head?.ok === true && !bodiless && head.size <= LONGEST_REMEMBERED) {
    memory.head = head;
    memory.begun = null;
    memory.around = aroundLength(bytes.toString('latin1', from, from + head.size), head);
    memory.heads.clear();
  }
  return head;
}

/** The head at `from` when it is `last` but for the number in Content-Length; null when it is not, or anything is wrong. */
function recall(
  bytes: Buffer,
  from: number,
  limits: HeadLimits,
  memory: ResponseMemory,
  { before, after, lengthAt }: AroundLength,
  last: ResponseHead,
): ResponseHead | null {
  if (!standsAt(before, bytes, from)) return null;
  if (lengthAt < 0) return last;
  const digitsAt = from + before.length;
  let end = digitsAt;
  while (end < bytes.length && isDigit(bytes[end] ?? 0)) end++;
  if (!standsAt(after, bytes, end)) return null;
  if (reads(last.values[lengthAt] ?? '', bytes, digitsAt, end)) return last;
  // Only where the number says how long the body is, whatever it is.
  if (last.bodyLength < 0 || last.status < 200 || last.status === 204 || last.status === 304) return null;
  const digits = bytes.toString('latin1', digitsAt, end);
  const known = memory.heads.get(digits);
  memory.head = known ?? withLength(last, lengthAt, digits, end + after.length - from, limits);
  if (memory.head === null) {
    memory.head = last;
    return null;
  }
  if (known === undefined) {
    if (memory.heads.size >= MOST_LENGTHS) memory.heads.clear();
    memory.heads.set(digits, memory.head);
  }
  return memory.head;
}

/** `last` with another Content-Length; null when that can't be one. */
function withLength(
  last: ResponseHead,
  lengthAt: number,
  digits: string,
  size: number,
  limits: HeadLimits,
): ResponseHead | null {
  const length = readContentLength(digits);
  if (length < 0 || size > limits.headBytes) return null;
  return { ...last, values: last.values.with(lengthAt, digits), bodyLength: length, announcedLength: length, size };
}

function readAnew(bytes: Buffer, from: number, toHead: boolean, limits: HeadLimits): ResponseHead | Malformed | null {
  const end = findHeadEnd(bytes, from, limits);
  if (typeof end !== 'number') return end;
  if (end === 0) return null;
  const text = headText(bytes, from, end);
  if (typeof text !== 'string') return text;
  let lineEnd = text.indexOf('\r\n');
  if (lineEnd < 0) lineEnd = text.length;
  const line = STATUS_LINE.exec(text.slice(0, lineEnd));
  if (line === null) return malformed(400, 'the status line is not HTTP/1.x');
  const status = Number(line[2]);
  const names: string[] = [];
  const values: string[] = [];
  const problem = readFields(text, lineEnd + 2, names, values, limits.headerLines);
  if (problem !== null) return problem;

  let contentLength = -1;
  let chunked = false;
  let connection: string | null = null;
  for (let i = 0; i < names.length; i++) {
    const value = values[i] ?? '';
    const name = names[i] ?? '';
    switch (name) {
      case 'content-length':
        if (contentLength >= 0) return malformed(400, 'there is more than one Content-Length');
        contentLength = readContentLength(value);
        if (contentLength < 0) return malformed(400, 'the Content-Length is not a plain decimal number');
        break;
      case 'transfer-encoding':
        if (chunked || value.toLowerCase() !== 'chunked')
          return malformed(400, 'the Transfer-Encoding is not "chunked"');
        chunked = true;
        break;
      case 'connection':
        connection = connection === null ? value : `${connection},${value}`;
        break;
    }
  }
  if (chunked && contentLength >= 0) return malformed(400, 'there are both a Content-Length and a Transfer-Encoding');
  const http10 = line[1] === '0';
  // RFC 9112 §6.1: a transfer coding in HTTP/1.0 is faulty framing.
  if (http10 && chunked) return malformed(400, 'there is a Transfer-Encoding in HTTP/1.0');
  // RFC 9110 §15.2: HTTP/1.0 has no interim answers, and so can't switch protocols.
  if (http10 && status < 200) return malformed(400, 'there is an interim answer in HTTP/1.0');
  const options = connection === null ? [] : listMembers(connection);
  const bodiless = toHead || status < 200 || status === 204 || status === 304;
  const nominated = options.filter((o) => o !== 'close' && o !== 'keep-alive' && o !== 'upgrade');
  const announced = chunked ? CHUNKED : contentLength >= 0 ? contentLength : UNTIL_CLOSE;
  return {
    ok: true,
    status,
    phrase: line[3] ?? '',
    names,
    values,
    bodyLength: bodiless ? 0 : announced,
    announcedLength: contentLength,
    close: options.includes('close') || (http10 && !options.includes('keep-alive')),
    connectionNames: nominated.length > 0 ? nominated : null,
    size: end - from,
  };
}
