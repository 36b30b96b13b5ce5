// Reads the head of an HTTP/1.x answer from upstream (RFC 9112 §4, §6.3). An answer that could be read in two ways is
// refused, so that no upstream can split an answer or shift the next one on a kept connection. Pure.

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

/** What one upstream connection remembers of its last answer's head. */
export interface ResponseMemory {
  text: string;
  /** The text up to the digits of its Content-Length, and from there on; null where no other number may stand there. */
  around: { readonly before: string; readonly after: string; readonly lengthAt: number } | null;
  /** Null until there is one. */
  head: ResponseHead | null;
  /** `beginResponseHead` of it as bytes: the same for every length. Null until somebody has made it. */
  begun: Buffer | null;
}

/** A longer head is read anew each time. Characters. */
const LONGEST_REMEMBERED = 2_048;

/** A memory for `readResponseHead`, to be used with one `limits` only. */
export function openResponseMemory(): ResponseMemory {
  return { text: '', around: null, head: null, begun: null };
}

const LENGTH = 'content-length';
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9][0-9]{2})(?: (.*))?$/;

/**
 * Reads one answer head from `bytes[from…]` to a request of `method`. Null while it is incomplete. A head that is byte
 * for byte the one in `memory` is that very object: it has been checked, and it ends where it ended then. So has one that
 * differs in the number of its Content-Length alone.
 */
export function readResponseHead(
  bytes: Buffer,
  from: number,
  method: string,
  limits: HeadLimits,
  memory: ResponseMemory | null = null,
): ResponseHead | Malformed | null {
  const bodiless = method === 'HEAD';
  if (memory !== null && memory.head !== null && !bodiless) {
    if (bytes.toString('latin1', from, from + memory.text.length) === memory.text) return memory.head;
    const again = readAgain(bytes, from, limits, memory, memory.head);
    if (again !== null) return again;
  }
  const head = readAnew(bytes, from, bodiless, limits);
  if (memory !== null && head?.ok === true && !bodiless && head.size <= LONGEST_REMEMBERED) {
    memory.text = bytes.toString('latin1', from, from + head.size);
    memory.head = head;
    memory.begun = null;
    memory.around = aroundLength(memory.text, head);
  }
  return head;
}

const LENGTH_LINE = /\r\ncontent-length:[ \t]*/i;
/** Digits of a Content-Length that are looked for; no longer one is accepted. */
const MOST_DIGITS = 20;

function aroundLength(text: string, head: ResponseHead): ResponseMemory['around'] {
  // Only where the number says how long the body is, whatever it is.
  const counts = head.bodyLength >= 0 && head.status >= 200 && head.status !== 204 && head.status !== 304;
  const lengthAt = counts ? head.names.indexOf(LENGTH) : -1;
  const found = LENGTH_LINE.exec(text);
  if (lengthAt < 0 || found === null) return null;
  const digitsAt = found.index + found[0].length;
  const digits = head.values[lengthAt] ?? '';
  return { before: text.slice(0, digitsAt), after: text.slice(digitsAt + digits.length), lengthAt };
}

/** The head at `from` when it is `last` but for the number in Content-Length; null when it is not, or anything is wrong. */
function readAgain(
  bytes: Buffer,
  from: number,
  limits: HeadLimits,
  memory: ResponseMemory,
  last: ResponseHead,
): ResponseHead | null {
  if (memory.around === null) return null;
  const { before, after, lengthAt } = memory.around;
  const text = bytes.toString('latin1', from, from + before.length + after.length + MOST_DIGITS);
  if (!text.startsWith(before)) return null;
  let end = before.length;
  while (end < text.length && isDigit(text.charCodeAt(end))) end++;
  const digits = text.slice(before.length, end);
  const length = readContentLength(digits);
  const size = end + after.length;
  if (length < 0 || size > limits.headBytes || !text.startsWith(after, end)) return null;
  memory.text = text.slice(0, size);
  memory.head = {
    ...last,
    values: last.values.with(lengthAt, digits),
    bodyLength: length,
    announcedLength: length,
    size,
  };
  return memory.head;
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
