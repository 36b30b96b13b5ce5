// Writes heads anew from their parts, so that no byte of a peer's own head travels on, and says which headers belong to
// one hop (RFC 9110 §7.6.1). Pure text; encode it as latin1.

import type { ResponseHead } from './response.ts';
import { CHUNKED, UNTIL_CLOSE } from './syntax.ts';

// RFC 9110 §7.6.1 and RFC 7540 §3.2.1, and what we always state ourselves.
const HOP_BY_HOP = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'content-length',
  'upgrade',
  'proxy-authenticate',
  'proxy-authorization',
  'http2-settings',
]);

/** RFC 9110 §15, and 507 of RFC 4918: whatever the catalogue of errors may answer. */
const PHRASES: Readonly<Record<number, string>> = {
  200: 'OK',
  304: 'Not Modified',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  411: 'Length Required',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  417: 'Expectation Failed',
  421: 'Misdirected Request',
  426: 'Upgrade Required',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
  507: 'Insufficient Storage',
};

/** The words that go with `status` on its line. */
export function phraseOf(status: number): string {
  return PHRASES[status] ?? 'Unknown';
}

/** True for headers that one hop keeps to itself; Content-Length and Transfer-Encoding are written by `framingLine`. */
export function isHopByHop(lowerCaseName: string): boolean {
  return HOP_BY_HOP.has(lowerCaseName);
}

/** The one header line that frames a body of `length` bytes (or CHUNKED), with its CRLF; empty where there is none. */
export function framingLine(length: number): string {
  if (length === CHUNKED || length === UNTIL_CLOSE) return 'transfer-encoding: chunked\r\n';
  return length > 0 ? `content-length: ${length}\r\n` : '';
}

/**
 * The head of an answer for the client. A body that upstream ends by closing is framed in chunks, so that the client
 * can tell a whole body from a broken one. `extra` is lines with CRLF.
 */
export function writeResponseHead(head: ResponseHead, method: string, close: boolean, extra: string): string {
  return beginResponseHead(head) + lengthLine(head, method) + endResponseHead(close, extra);
}

/** The part of `writeResponseHead` that is the same for every answer with this head, whatever its length. */
export function beginResponseHead(head: ResponseHead): string {
  let text = `HTTP/1.1 ${head.status} ${head.phrase}\r\n`;
  const dropped = head.connectionNames;
  for (let i = 0; i < head.names.length; i++) {
    const name = head.names[i] ?? '';
    if (HOP_BY_HOP.has(name)) continue;
    if (dropped?.includes(name)) continue;
    text += `${name}: ${head.values[i]}\r\n`;
  }
  return text;
}

/** The line after that, which frames the body or says its length. */
export function lengthLine(head: ResponseHead, method: string): string {
  if (head.bodyLength !== 0) return framingLine(head.bodyLength);
  if (head.status < 200 || head.status === 204) return '';
  // HEAD and 304 announce a length that is not sent (RFC 9110 §8.6); any other empty body says so.
  if (method !== 'HEAD' && head.status !== 304) return 'content-length: 0\r\n';
  return head.announcedLength >= 0 ? `content-length: ${head.announcedLength}\r\n` : '';
}

/** The rest of it. */
export function endResponseHead(close: boolean, extra: string): string {
  return `${extra}${close ? 'connection: close\r\n' : ''}\r\n`;
}

/** A whole answer of our own with a JSON body `{"detail": …}`, as Prefect's client and UI show it. */
export function writeAnswer(status: number, detail: string, close: boolean, withBody: boolean, extra: string): string {
  const text = JSON.stringify({ detail }).replace(/[\u007f-\uffff]/g, escapeUnicode);
  return writeOwnAnswer(status, { type: 'application/json', text }, close, withBody, extra);
}

/** A whole answer of our own with any body in ASCII. A 304 says the length of what it does not send (RFC 9110 §15.4.5). */
export function writeOwnAnswer(
  status: number,
  { type, text }: { readonly type: string; readonly text: string },
  close: boolean,
  withBody: boolean,
  extra: string,
): string {
  const head =
    `HTTP/1.1 ${status} ${phraseOf(status)}\r\ncontent-type: ${type}\r\n` +
    `content-length: ${text.length}\r\ncache-control: no-store\r\n${extra}${close ? 'connection: close\r\n' : ''}\r\n`;
  return withBody && status !== 304 ? head + text : head;
}

function escapeUnicode(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
