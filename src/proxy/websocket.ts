// The opening of a WebSocket (RFC 6455 §4): what a valid request for one is, and how to accept it ourselves only to say
// in a close frame that the service restarts. Prefect's clients lose queued events when an upgrade is answered with an
// HTTP error, but come back after a close (prefect-facts.md §5). Frames are never touched here.

import { createHash } from 'node:crypto';
import type { RequestHead } from '../http1/request-head.ts';
import type { ResponseHead } from '../http1/response.ts';
import { headerValue, listMembers, type Malformed, malformed } from '../http1/syntax.ts';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const KEY = /^[A-Za-z0-9+/]{22}==$/;

/** RFC 6455 §7.4.1, IANA: the service restarts; the client may come back. */
export const SERVICE_RESTART = 1012;
/** RFC 6455 §7.4.1: what came breaks the rules of this end. */
export const POLICY_VIOLATION = 1008;

/** What goes with a 426: what is spoken here (RFC 6455 §4.4, RFC 9110 §15.5.22). */
export const SPOKEN = 'upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n';

/** What is wrong with `head` as the opening of a WebSocket; null when nothing is, or it asks for none. */
export function websocketProblem(head: RequestHead): Malformed | null {
  if (head.upgrade !== 'websocket') return null;
  if (head.method !== 'GET') return malformed(400, 'a WebSocket is opened with GET');
  if (head.bodyLength !== 0) return malformed(400, 'the opening of a WebSocket has no body');
  let key: string | null = null;
  let version: string | null = null;
  for (let i = 0; i < head.names.length; i++) {
    const value = head.values[i] ?? '';
    if (head.names[i] === 'sec-websocket-key') {
      if (key !== null) return malformed(400, 'there is more than one Sec-WebSocket-Key');
      key = value;
    } else if (head.names[i] === 'sec-websocket-version') {
      if (version !== null) return malformed(400, 'there is more than one Sec-WebSocket-Version');
      version = value;
    }
  }
  if (key === null || !KEY.test(key)) return malformed(400, 'the Sec-WebSocket-Key is not 16 bytes in base64');
  if (version !== '13') return malformed(426, 'the Sec-WebSocket-Version is not 13');
  return null;
}

/**
 * Null when `answer`, a 101, proves that upstream speaks WebSocket from now on (RFC 6455 §4.1), else what is wrong with
 * it. Whatever follows a 101 is read by nobody here: an upstream that can be talked into that status alone must not turn
 * the client's next bytes into requests that were never decided about. `offered` is the head as upstream got it.
 */
export function acceptProblem(request: RequestHead, answer: ResponseHead, offered: Buffer): string | null {
  if (only(answer, 'upgrade')?.toLowerCase() !== 'websocket') return 'its Upgrade is not "websocket"';
  if (!listMembers(valuesOf(answer, 'connection').join()).includes('upgrade')) return 'its Connection has no "upgrade"';
  const accept = acceptKey(headerValue(request, 'sec-websocket-key') ?? '');
  if (only(answer, 'sec-websocket-accept') !== accept) return 'its Sec-WebSocket-Accept does not fit the key';
  for (const name of ['sec-websocket-protocol', 'sec-websocket-extensions']) {
    if (answer.names.includes(name) && !offered.includes(`\r\n${name}:`)) return 'it chose what was not offered';
  }
  return null;
}

/** The value of a header that may stand there once; null when it does not. */
function only(head: ResponseHead, name: string): string | null {
  const values = valuesOf(head, name);
  return values.length === 1 ? (values[0] ?? null) : null;
}

function valuesOf(head: ResponseHead, name: string): string[] {
  return head.values.filter((_, i) => head.names[i] === name);
}

/** Sec-WebSocket-Accept for a client's key (RFC 6455 §4.2.2 step 5.4). */
export function acceptKey(key: string): string {
  return createHash('sha1')
    .update(key + GUID)
    .digest('base64');
}

/** Bytes that complete the handshake of a valid opening and close it at once with `code` and `reason` (≤ 123 bytes). */
export function acceptAndClose(head: RequestHead, code: number, reason: string): Buffer {
  const protocol = headerValue(head, 'sec-websocket-protocol')?.split(',')[0]?.trim();
  const text =
    'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n' +
    `sec-websocket-accept: ${acceptKey(headerValue(head, 'sec-websocket-key') ?? '')}\r\n` +
    `${protocol === undefined ? '' : `sec-websocket-protocol: ${protocol}\r\n`}\r\n`;
  return Buffer.concat([Buffer.from(text, 'latin1'), closeFrame(code, reason)]);
}

/** An unmasked close frame (RFC 6455 §5.5.1), as a server sends it. */
export function closeFrame(code: number, reason: string): Buffer {
  const payload = Buffer.alloc(2 + Math.min(Buffer.byteLength(reason), 123));
  payload.writeUInt16BE(code, 0);
  payload.write(reason, 2, 'utf8');
  return Buffer.concat([Buffer.from([0x88, payload.length]), payload]);
}
