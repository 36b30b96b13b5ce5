// Prefect's WebSockets carry the server's password in their first message, `{"type":"auth","token":…}`, not in a header
// (prefect-facts.md §3). When the gate holds that password, it writes it there in place of whatever the client sent.
// Only that one message is ever read; the frames around it (a ping may come first) and all that follow pass as they are
// (RFC 6455 §5). A client that breaks the framing before it has spoken is cut.

import { randomBytes } from 'node:crypto';
import type { TunnelStep } from '../proxy/contract.ts';
import { gather, ownCopy } from '../proxy/gathered.ts';
import { CONTINUATION, readFrame, TEXT, textOf } from './frames.ts';

/** Prefect's auth message is under 1 KiB. */
const MOST_BYTES = 60_000;
const MOST_FRAGMENTS = 64;

/** Makes the rewriter for one WebSocket whose extensions were not negotiated. */
export function rewriteAuthMessage(authString: string): (bytes: Buffer) => TunnelStep {
  const pending = gather();
  /** Of the message that has begun: its frames as they came, and what they say. */
  const raw = gather();
  const content = gather();
  let frames = 0;
  return (bytes) => {
    pending.add(bytes);
    const send: Buffer[] = [];
    for (;;) {
      const before = pending.bytes();
      const frame = readFrame(before, MOST_BYTES, true);
      if (frame === null) {
        if (pending.size + raw.size > MOST_BYTES)
          return { send: null, finished: true, refuse: 'the first message is too long' };
        return { send: Buffer.concat(send), finished: false };
      }
      if (typeof frame === 'string') return { send: null, finished: true, refuse: frame };
      const whole = before.subarray(0, frame.end);
      pending.drop(frame.end);
      if (frame.opcode >= 8) {
        send.push(whole);
        continue;
      }
      const begins = frames === 0;
      if (begins ? frame.opcode === CONTINUATION : frame.opcode !== CONTINUATION) {
        return { send: null, finished: true, refuse: 'the first message is fragmented wrongly' };
      }
      if (begins && frame.opcode !== TEXT) {
        send.push(whole, pending.bytes());
        return { send: Buffer.concat(send), finished: true };
      }
      frames++;
      // One that waits for the next must not keep all that came beside it.
      raw.add(frame.fin ? whole : ownCopy(whole));
      content.add(frame.payload);
      if (raw.size > MOST_BYTES || frames > MOST_FRAGMENTS) {
        return { send: null, finished: true, refuse: 'the first message is too long' };
      }
      if (!frame.fin) continue;
      const message = withToken(content.bytes(), authString);
      // A message that grows out of bounds when it is written anew is no auth message of Prefect's.
      if (message === null || message.length > MOST_BYTES) send.push(raw.bytes());
      else send.push(maskedTextFrame(message));
      send.push(pending.bytes());
      return { send: Buffer.concat(send), finished: true };
    }
  };
}

/** The auth message with our token; null when it is not one, which then passes unchanged and is Prefect's to refuse. */
function withToken(message: Buffer, authString: string): Buffer | null {
  try {
    const parsed: unknown = JSON.parse(textOf(message) ?? '');
    if (typeof parsed !== 'object' || parsed === null || !('type' in parsed) || parsed.type !== 'auth') return null;
    return Buffer.from(JSON.stringify({ ...parsed, token: authString }), 'utf8');
  } catch {
    return null;
  }
}

/** `payload`, of less than 65,536 bytes or not, as a client's text frame. */
export function maskedTextFrame(payload: Buffer): Buffer {
  const mask = randomBytes(4);
  const header = Buffer.alloc(payload.length < 126 ? 2 : payload.length < 65_536 ? 4 : 10);
  header[0] = 0x80 | TEXT;
  if (payload.length < 126) header[1] = 0x80 | payload.length;
  else if (payload.length >= 65_536) {
    header[1] = 0x80 | 127;
    header.writeBigUInt64BE(BigInt(payload.length), 2);
  } else {
    header[1] = 0x80 | 126;
    header.writeUInt16BE(payload.length, 2);
  }
  const masked = Buffer.from(payload);
  for (let i = 0; i < masked.length; i++) masked[i] = (masked[i] ?? 0) ^ (mask[i & 3] ?? 0);
  return Buffer.concat([header, mask, masked]);
}
