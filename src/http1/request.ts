// Reads the head of an HTTP/1.1 request (RFC 9112 §3, §6, §7). What it accepts, every parser behind it reads as the same
// one request: the differential test holds it against llhttp, both of uvicorn's parsers and Go's net/http. Whatever is ambiguous is
// refused and the connection closed: two lengths, a length and a transfer coding, any coding but `chunked`, HTTP/1.0,
// absolute and asterisk forms, a missing or second Host, a Connection header that names what frames the message.
// It must never guess. A reader may be given a memory: clients send the same header lines again and again, and lines that
// are byte for byte those of an accepted head have been checked already. It changes what reading costs, never its outcome.

import type { RequestHead } from './request-head.ts';
import { type RequestLine, readRequestLine } from './request-line.ts';
import { type RequestMemory, recall, remember } from './request-memory.ts';
import {
  CHUNKED,
  findHeadEnd,
  type HeadLimits,
  headText,
  isToken,
  listMembers,
  type Malformed,
  malformed,
  readContentLength,
  readFields,
} from './syntax.ts';

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
  const again = memory === null ? null : recall(memory, bytes, from, limits);
  if (again !== null) return again;
  const end = findHeadEnd(bytes, from, limits);
  if (typeof end !== 'number') return end;
  if (end === 0) return null;
  const text = headText(bytes, from, end);
  if (typeof text !== 'string') return text;

  let lineEnd = text.indexOf('\r\n');
  if (lineEnd < 0) lineEnd = text.length;
  const line = readRequestLine(text.slice(0, lineEnd));
  if (!line.ok) return line;
  const names: string[] = [];
  const values: string[] = [];
  const problem = readFields(text, lineEnd + 2, names, values, limits.headerLines);
  if (problem !== null) return problem;
  const head = readMeaning(line, names, values, end - from);
  if (memory !== null && head.ok) remember(memory, bytes.subarray(from, end), head);
  return head;
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
    ...line,
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
