// WebSocket frames (RFC 6455 §5.2) as the bench's two ends need them: whole text frames, masked by the client, plain from
// the server; and the opening handshake's key and its answer (§4.2.2).

import { createHash } from 'node:crypto';

export const UPGRADE_KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

/** The load generator masks all its frames with this one, so that they can be made beforehand. */
export const LOAD_MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

/** What a server must answer to `key`. */
export function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

/** The header lines of an upgrade as Prefect's client sends them. */
export const upgradeLines = [
  'connection: Upgrade',
  'upgrade: websocket',
  `sec-websocket-key: ${UPGRADE_KEY}`,
  'sec-websocket-version: 13',
  'sec-websocket-protocol: prefect',
];

/** A text frame; masked with `mask` (4 bytes) where there is one. Payloads of up to 65535 bytes. */
export function frameOf(payload: Buffer, mask: Buffer | null = null): Buffer {
  const long = payload.length > 125;
  const head = [0x81, (mask === null ? 0 : 0x80) | (long ? 126 : payload.length)];
  if (long) head.push(payload.length >> 8, payload.length & 0xff);
  if (mask === null) return Buffer.concat([Buffer.from(head), payload]);
  return Buffer.concat([Buffer.from(head), mask, payload.map((byte, at) => byte ^ (mask[at % 4] ?? 0))]);
}

export interface Frame {
  /** Its length on the wire, head included. */
  readonly length: number;
  readonly masked: boolean;
  /** Unmasked. */
  payload(): Buffer;
}

/** The frame that begins at `at`; null while some of it is missing. */
export function readFrame(bytes: Buffer, at = 0): Frame | null {
  if (bytes.length < at + 2) return null;
  const second = bytes[at + 1] ?? 0;
  const masked = (second & 0x80) !== 0;
  const long = (second & 0x7f) === 126;
  if ((second & 0x7f) === 127) throw new Error('a frame longer than the bench sends');
  if (bytes.length < at + 4) return null;
  const size = long ? bytes.readUInt16BE(at + 2) : second & 0x7f;
  const maskAt = at + (long ? 4 : 2);
  const from = maskAt + (masked ? 4 : 0);
  if (bytes.length < from + size) return null;
  return {
    length: from + size - at,
    masked,
    payload() {
      const sent = bytes.subarray(from, from + size);
      return masked ? Buffer.from(sent.map((byte, i) => byte ^ (bytes[maskAt + (i % 4)] ?? 0))) : sent;
    },
  };
}
