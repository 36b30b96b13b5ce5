// Reads the head of an HTTP/1.1 request (RFC 9112 §3, §6, §7). What it accepts, every parser behind it reads as the same
// one request: the differential test holds it against llhttp and both of uvicorn's parsers. Whatever is ambiguous is
// refused and the connection closed: two lengths, a length and a transfer coding, any coding but `chunked`, HTTP/1.0,
// absolute and asterisk forms, a missing or second Host, a Connection header that names what frames the message.
// It must never guess. A reader may be given a memory: clients send the same header lines again and again, and lines that
// are byte for byte those of an accepted head have been checked already. It changes what reading costs, never its outcome.

import {
  CHUNKED,
  findHeadEnd,
  type HeadLimits,
  headText,
  isDigit,
  isToken,
  listMembers,
  type Malformed,
  malformed,
  readContentLength,
  readFields,
} from './syntax.ts';

export interface RequestHead {
  readonly ok: true;
  /** Upper-case as sent, e.g. `GET`. */
  readonly method: string;
  /** Origin form as sent: path and query, printable ASCII without `#`. */
  readonly target: string;
  readonly host: string;
  /**
   * Header names in lower case, in the order sent; `values[i]` belongs to `names[i]`. Heads of one connection that differ
   * in nothing but request line and Content-Length may share one array.
   */
  readonly names: readonly string[];
  readonly values: readonly string[];
  /** Bytes of body to come: 0 and more, or CHUNKED. */
  readonly bodyLength: number;
  /** The client will not reuse the connection (`Connection: close`). */
  readonly close: boolean;
  /** The protocol of an `Upgrade` that `Connection` names, lower case; null for none. */
  readonly upgrade: string | null;
  /** The client waits for `100 Continue` before it sends the body. */
  readonly expectsContinue: boolean;
  /** Header names that `Connection` declares to be this hop's alone; null for none. */
  readonly connectionNames: readonly string[] | null;
  /** Bytes of the buffer that the head takes, from where reading began. */
  readonly size: number;
}

/** What one connection remembers of heads that were accepted on it: one with a body and one without take turns. */
export interface RequestMemory {
  /** The latest. */
  last: KnownLines | null;
  /** Of those with other header lines, the latest. */
  other: KnownLines | null;
}

/** Header lines that were accepted, with the last head that had them. */
export interface KnownLines {
  /** The whole head as it came. */
  text: string;
  head: RequestHead;
  /** From the request line's CRLF to its end, without the digits of a Content-Length. */
  readonly before: string;
  readonly after: string;
  /** Where the Content-Length stands among the names; -1 when there is none, and `after` is empty. */
  readonly lengthAt: number;
}

/** Longer ones are read anew each time: a connection that waits must not hold much. Characters. */
const LONGEST_BLOCK = 2_048;
const LONGEST_LINE = 512;

/** A memory for `readRequestHead`, to be used with one `limits` only. */
export function openRequestMemory(): RequestMemory {
  return { last: null, other: null };
}

/** False when it remembers none. */
export function forgetHeads(memory: RequestMemory): boolean {
  if (memory.last === null) return false;
  memory.last = null;
  memory.other = null;
  return true;
}

const METHOD = /^[A-Z][A-Z-]{0,31}$/;
// What Prefect and its parsers know. Any other has a meaning for somebody that was never decided on here.
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
const TARGET = /^\/[\x21\x22\x24-\x7e]*$/;
// RFC 9110 §7.2, without percent triplets and zones, which nobody sends and readers decode differently.
const HOST = /^(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?$/;
const MOST_PORT = 65_535;

// A Connection header may not take away what frames, routes or authorises the message ("Connection: close, host").
const NOT_HOP_BY_HOP = new Set([
  'host',
  'content-length',
  'content-type',
  'content-encoding',
  'transfer-encoding',
  'expect',
  'authorization',
  'cookie',
  'origin',
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-protocol',
  'sec-websocket-extensions',
]);

/**
 * Reads one request head from `bytes[from…]`. Null while it is incomplete; `Malformed` with the status to answer when
 * it can't be accepted. The body, if any, starts at `from + size`. A head that repeats one in `memory` may be that very
 * object.
 */
export function readRequestHead(
  bytes: Buffer,
  from: number,
  limits: HeadLimits,
  memory: RequestMemory | null = null,
): RequestHead | Malformed | null {
  if (memory !== null && memory.last !== null) {
    const again = readAgain(bytes, from, limits, memory.last);
    if (again !== null) return again;
    if (memory.other !== null) {
      const other = readAgain(bytes, from, limits, memory.other);
      if (other !== null) {
        [memory.last, memory.other] = [memory.other, memory.last];
        return other;
      }
    }
  }
  const end = findHeadEnd(bytes, from, limits);
  if (typeof end !== 'number') return end;
  if (end === 0) return null;
  const text = headText(bytes, from, end);
  if (typeof text !== 'string') return text;

  let lineEnd = text.indexOf('\r\n');
  if (lineEnd < 0) lineEnd = text.length;
  const line = readRequestLine(text, lineEnd);
  if (!line.ok) return line;
  const names: string[] = [];
  const values: string[] = [];
  const problem = readFields(text, lineEnd + 2, names, values, limits.headerLines);
  if (problem !== null) return problem;
  const head = readMeaning(line, names, values, end - from);
  if (memory !== null && head.ok && lineEnd <= LONGEST_LINE && text.length - lineEnd + 4 <= LONGEST_BLOCK) {
    memory.other = memory.last;
    memory.last = knownLines(bytes.toString('latin1', from, end), lineEnd, head);
  }
  return head;
}

const LENGTH_LINE = /\r\ncontent-length:[ \t]*/i;

/** `text` is the whole of `head` as it came, its request line `lineEnd` long. */
function knownLines(text: string, lineEnd: number, head: RequestHead): KnownLines {
  const lengthAt = head.names.indexOf('content-length');
  const block = text.slice(lineEnd);
  const found = lengthAt < 0 ? null : LENGTH_LINE.exec(block);
  const digitsAt = found === null ? block.length : found[0].length + found.index;
  const digits = found === null ? '' : (head.values[lengthAt] ?? '');
  return { text, head, before: block.slice(0, digitsAt), after: block.slice(digitsAt + digits.length), lengthAt };
}

/**
 * The head at `from` when its header lines are those of `known` but for the number in Content-Length; null when they are
 * not, or when anything is wrong with it: the way above then finds out what. The lines have no empty one but the last, so
 * where they match, the head ends.
 */
function readAgain(bytes: Buffer, from: number, limits: HeadLimits, known: KnownLines): RequestHead | null {
  const { head, before, after, lengthAt } = known;
  if (bytes.toString('latin1', from, from + known.text.length) === known.text) return head;
  const text = bytes.toString('latin1', from, from + before.length + after.length + LONGEST_LINE);
  const lineEnd = text.indexOf('\r\n');
  if (lineEnd < 0) return null;
  const digitsAt = lineEnd + before.length;
  if (text.slice(lineEnd, digitsAt) !== before) return null;
  let { values, bodyLength } = head;
  let size = digitsAt;
  if (lengthAt >= 0) {
    while (size < text.length && isDigit(text.charCodeAt(size))) size++;
    const digits = text.slice(digitsAt, size);
    bodyLength = readContentLength(digits);
    if (bodyLength < 0 || text.slice(size, size + after.length) !== after) return null;
    if (bodyLength !== head.bodyLength) values = values.with(lengthAt, digits);
    size += after.length;
  }
  const line = readRequestLine(text, lineEnd);
  if (!line.ok || size > limits.headBytes) return null;
  known.text = bytes.toString('latin1', from, from + size);
  known.head = { ...head, method: line.method, target: line.target, values, bodyLength, size };
  return known.head;
}

interface RequestLine {
  readonly ok: true;
  readonly method: string;
  readonly target: string;
}

/** The request line `text[0…lineEnd]`. Every character of it is checked here, so that nothing else has to. */
function readRequestLine(text: string, lineEnd: number): RequestLine | Malformed {
  const space = text.indexOf(' ');
  if (space < 0 || space > lineEnd) return malformed(400, 'the request line is not "METHOD TARGET HTTP/1.1"');
  const method = text.slice(0, space);
  const second = text.indexOf(' ', space + 1);
  if (second < 0 || second > lineEnd) return malformed(400, 'the request line is not "METHOD TARGET HTTP/1.1"');
  const target = text.slice(space + 1, second);
  const version = text.slice(second + 1, lineEnd);
  if (version !== 'HTTP/1.1') {
    return /^HTTP\/[0-9]\.[0-9]$/.test(version)
      ? malformed(505, 'only HTTP/1.1 is spoken here')
      : malformed(400, 'the request line is not "METHOD TARGET HTTP/1.1"');
  }
  if (!METHOD.test(method)) return malformed(400, 'the method is not an upper-case word');
  if (!METHODS.has(method)) return malformed(501, 'the method is not offered');
  if (!TARGET.test(target)) return malformed(400, 'the target is not a path in printable ASCII');
  return { ok: true, method, target };
}

function readMeaning(
  line: RequestLine,
  names: readonly string[],
  values: readonly string[],
  size: number,
): RequestHead | Malformed {
  let host: string | null = null;
  let contentLength = -1;
  let chunked = false;
  let connection: string | null = null;
  let upgrade: string | null = null;
  let expectsContinue = false;
  for (let i = 0; i < names.length; i++) {
    const value = values[i] ?? '';
    const name = names[i] ?? '';
    switch (name) {
      case 'host':
        if (host !== null) return malformed(400, 'there is more than one Host');
        if (!isHost(value)) return malformed(400, 'the Host is not a name or address with an optional port');
        host = value;
        break;
      case 'content-length':
        if (contentLength >= 0) return malformed(400, 'there is more than one Content-Length');
        contentLength = readContentLength(value);
        if (contentLength < 0) return malformed(400, 'the Content-Length is not a plain decimal number');
        break;
      case 'transfer-encoding':
        if (chunked) return malformed(400, 'there is more than one Transfer-Encoding');
        if (value !== 'chunked') return malformed(400, 'the Transfer-Encoding is not exactly "chunked"');
        chunked = true;
        break;
      // Spellings that a lenient reader behind us could take for the two above; nobody sends them in good faith.
      case 'content_length':
      case 'transfer_encoding':
        return malformed(400, 'a framing header is spelled with an underscore');
      case 'connection':
        connection = connection === null ? value : `${connection},${value}`;
        break;
      case 'upgrade':
        if (upgrade !== null) return malformed(400, 'there is more than one Upgrade');
        upgrade = value.toLowerCase();
        break;
      case 'expect':
        if (expectsContinue || value.toLowerCase() !== '100-continue')
          return malformed(417, 'Expect can only be "100-continue"');
        expectsContinue = true;
        break;
    }
  }
  if (host === null) return malformed(400, 'there is no Host');
  if (chunked && contentLength >= 0) {
    return malformed(400, 'there are both a Content-Length and a Transfer-Encoding');
  }
  const options = readConnectionOptions(connection);
  if (!Array.isArray(options)) return options;
  const namesDropped = options.filter(
    (option) => option !== 'close' && option !== 'keep-alive' && option !== 'upgrade',
  );
  return {
    ok: true,
    method: line.method,
    target: line.target,
    host,
    names,
    values,
    bodyLength: chunked ? CHUNKED : Math.max(contentLength, 0),
    close: options.includes('close'),
    upgrade: options.includes('upgrade') ? upgrade : null,
    expectsContinue,
    connectionNames: namesDropped.length > 0 ? namesDropped : null,
    size,
  };
}

function isHost(value: string): boolean {
  const match = HOST.exec(value);
  return match !== null && (match[1] === undefined || Number(match[1]) <= MOST_PORT);
}

const NO_OPTIONS: string[] = [];
const KEEP_ALIVE = ['keep-alive'];

/** The members of a Connection header in lower case; malformed when one is no token or may not be dropped. */
function readConnectionOptions(value: string | null): string[] | Malformed {
  if (value === null) return NO_OPTIONS;
  if (value === 'keep-alive') return KEEP_ALIVE;
  const options: string[] = [];
  for (const option of listMembers(value)) {
    if (!isToken(option)) return malformed(400, 'the Connection header is not a list of tokens');
    if (NOT_HOP_BY_HOP.has(option.replaceAll('_', '-'))) {
      return malformed(400, 'the Connection header names a header that frames or routes the message');
    }
    options.push(option);
  }
  return options;
}
