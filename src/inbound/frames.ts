// The frames of a WebSocket (RFC 6455 §5), read strictly and one by one: masked by the client and by nobody else, without
// extensions, whole before they count. Used where a message decides something; all other WebSockets pass unread.

/** One frame. */
export interface Frame {
  readonly fin: boolean;
  readonly opcode: number;
  /** Unmasked. */
  readonly payload: Buffer;
  /** Where the next one begins. */
  readonly end: number;
}

export const CONTINUATION = 0;
export const TEXT = 1;

/**
 * The frame at the start of `bytes`, of at most `most` bytes, `masked` as a client's are; null while it is incomplete; what
 * is wrong with it.
 */
export function readFrame(bytes: Buffer, most: number, masked: boolean): Frame | string | null {
  const first = bytes[0];
  const second = bytes[1];
  if (first === undefined || second === undefined) return null;
  if ((first & 0x70) !== 0) return 'a frame uses an extension that was not agreed on';
  if (((second & 0x80) !== 0) !== masked) return masked ? 'a frame is not masked' : 'a frame is masked';
  const opcode = first & 0x0f;
  const control = opcode >= 8;
  let length = second & 0x7f;
  if (control && (length > 125 || (first & 0x80) === 0)) return 'a control frame is long or fragmented';
  if (opcode > 10 || (opcode > 2 && opcode < 8)) return 'a frame is of no known kind';
  let at = 2;
  if (length === 126) {
    if (bytes.length < 4) return null;
    length = bytes.readUInt16BE(2);
    at = 4;
  } else if (length === 127) {
    if (bytes.length < 10) return null;
    const long = bytes.readBigUInt64BE(2);
    if (long > BigInt(most)) return 'a message is too long';
    length = Number(long);
    at = 10;
  }
  if (length > most) return 'a message is too long';
  // RFC 6455 §5.2: "the minimal number of bytes MUST be used".
  if (at > 2 && length < (at === 4 ? 126 : 65_536)) return 'a frame writes its length in more bytes than it needs';
  const from = masked ? at + 4 : at;
  if (bytes.length < from + length) return null;
  const payload = Buffer.from(bytes.subarray(from, from + length));
  if (masked) unmask(payload, bytes.readUInt32BE(at));
  return { fin: (first & 0x80) !== 0, opcode, payload, end: from + length };
}

function unmask(payload: Buffer, mask: number): void {
  const whole = payload.length - (payload.length % 4);
  for (let i = 0; i < whole; i += 4) payload.writeInt32BE(payload.readInt32BE(i) ^ (mask | 0), i);
  for (let i = whole; i < payload.length; i++) payload[i] = (payload[i] ?? 0) ^ ((mask >>> (24 - 8 * (i & 3))) & 0xff);
}

/** The text that a message's bytes are; null when they are not UTF-8 (RFC 6455 §8.1). */
export function textOf(payload: Buffer): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload);
  } catch {
    return null;
  }
}
