// Follows a message body through the buffers it arrives in and says where it ends (RFC 9112 §6, §7.1). It changes no
// byte: a body that passes has exactly one reading, so it can travel as it came. Chunk extensions and trailers, which
// parsers disagree about, are refused. Pure state, no I/O.

import { CHUNKED, UNTIL_CLOSE } from './syntax.ts';

// Where in the grammar of chunked-body (RFC 9112 §7.1) the next byte stands.
const SIZE = 0;
const SIZE_LF = 1;
const DATA = 2;
const DATA_CR = 3;
const DATA_LF = 4;
const LAST_CR = 5;
const LAST_LF = 6;
const DONE = 7;
const BAD = 8;

// 12 hex digits are 256 TiB: more than any body, and far from where a 53-bit sum goes wrong.
const MAX_SIZE_DIGITS = 12;

/** The progress of one body. Make it with `openBody`, feed it every buffer in turn with `followBody`. */
export interface Body {
  readonly length: number;
  /** Nothing of it is still to come. */
  done: boolean;
  /** It broke the grammar; the message can't be completed. */
  bad: boolean;
  remaining: number;
  state: number;
  digits: number;
  /**
   * Of what was followed, the bytes at its end that are of a chunk's size or of the end behind the last chunk, and not yet all
   * of it: there are readers that take a part of one, when no more comes, for the whole.
   */
  unfinished: number;
}

/** `length` in bytes, or CHUNKED, or UNTIL_CLOSE (which only its connection's end completes). */
export function openBody(length: number): Body {
  return {
    length,
    done: length === 0,
    bad: false,
    remaining: Math.max(length, 0),
    state: SIZE,
    digits: 0,
    unfinished: 0,
  };
}

/** Takes `bytes[from…]` as the body's next part and answers the index one past what belongs to it. */
export function followBody(body: Body, bytes: Buffer, from: number): number {
  if (body.done || body.bad) return from;
  if (body.length === CHUNKED) return followChunks(body, bytes, from);
  if (body.length === UNTIL_CLOSE) return bytes.length;
  const taken = Math.min(body.remaining, bytes.length - from);
  body.remaining -= taken;
  if (body.remaining === 0) body.done = true;
  return from + taken;
}

function followChunks(body: Body, bytes: Buffer, from: number): number {
  let at = from;
  const end = bytes.length;
  let state = body.state;
  let lineAt = from - body.unfinished;
  while (at < end && state < DONE) {
    if (state === DATA) {
      const taken = Math.min(body.remaining, end - at);
      body.remaining -= taken;
      at += taken;
      if (body.remaining === 0) state = DATA_CR;
      continue;
    }
    const byte = bytes[at++] ?? 0;
    switch (state) {
      case SIZE: {
        const digit = hexDigit(byte);
        if (digit >= 0 && body.digits < MAX_SIZE_DIGITS) {
          body.remaining = body.remaining * 16 + digit;
          body.digits++;
        } else {
          state = byte === 0x0d && body.digits > 0 ? SIZE_LF : BAD;
        }
        break;
      }
      case SIZE_LF:
        if (byte !== 0x0a) state = BAD;
        else state = body.remaining === 0 ? LAST_CR : DATA;
        body.digits = 0;
        break;
      case DATA_CR:
        state = byte === 0x0d ? DATA_LF : BAD;
        break;
      case DATA_LF:
        state = byte === 0x0a ? SIZE : BAD;
        lineAt = at;
        break;
      case LAST_CR:
        state = byte === 0x0d ? LAST_LF : BAD;
        break;
      case LAST_LF:
        state = byte === 0x0a ? DONE : BAD;
        break;
    }
  }
  body.state = state;
  body.done = state === DONE;
  body.bad = state === BAD;
  body.unfinished = state < DATA || state === LAST_CR || state === LAST_LF ? at - lineAt : 0;
  return at;
}

/** The index one past a body of `length` that begins at `from`, or breaks the grammar there; null when `bytes` has not all of it. */
export function endOfBody(length: number, bytes: Buffer, from: number): number | null {
  const body = openBody(length);
  const to = followBody(body, bytes, from);
  return body.done || body.bad ? to : null;
}

/** The data of a body in chunks that `followBody` has followed from its first byte to its last, without the framing. */
export function chunksOf(body: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const dataAt = body.indexOf('\r\n', at) + 2;
    const size = Number.parseInt(body.toString('latin1', at, dataAt - 2), 16);
    if (!(size > 0)) return Buffer.concat(parts);
    parts.push(body.subarray(dataAt, dataAt + size));
    at = dataAt + size + 2;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
