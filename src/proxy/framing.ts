// Bytes for one write each: every write is a system call, and over TLS a record of its own. Bytes that a read brought lie
// in a buffer that the next read overwrites (direct-io.ts): whoever keeps them copies them.

import type { Socket } from 'node:net';
import { encrypts, READ_BUFFER, writeCopied } from './direct-io.ts';

/** The last chunk of a chunked body without trailers (RFC 9112 §7.1). */
export const LAST_CHUNK = Buffer.from('0\r\n\r\n', 'latin1');

/** Fits a whole read and a head. One write comes after another, so that all can be put together in one place. */
const WRITE_SIZE = READ_BUFFER.length + 4_096;
let writeBuffer = Buffer.allocUnsafeSlow(WRITE_SIZE);
let written = writeBuffer;

/**
 * A head and the part of a body behind it in one buffer, good until the next call. The head comes in two parts, the first
 * of which is kept as bytes; the second is latin1: one byte for each character.
 */
export function headAndBody(begun: Buffer, rest: string, bytes: Buffer, from: number, to: number): Buffer {
  const size = begun.length + rest.length;
  const whole = size + to - from;
  if (whole > WRITE_SIZE) written = Buffer.allocUnsafeSlow(whole);
  else if (written.length !== whole || written.buffer !== writeBuffer.buffer) written = writeBuffer.subarray(0, whole);
  written.set(begun, 0);
  written.write(rest, begun.length, 'latin1');
  if (from < to) bytes.copy(written, size, from, to);
  return written;
}

/** Leaves what `headAndBody` made last to a socket that still holds it. */
export function leaveWritten(): void {
  writeBuffer = Buffer.allocUnsafeSlow(WRITE_SIZE);
}

/** One chunk that carries `bytes`, which must not be empty. */
export function chunkOf(bytes: Buffer): Buffer {
  const size = `${bytes.length.toString(16)}\r\n`;
  const out = Buffer.allocUnsafe(size.length + bytes.length + 2);
  out.write(size, 0, 'latin1');
  bytes.copy(out, size.length);
  out.write('\r\n', size.length + bytes.length, 'latin1');
  return out;
}

/**
 * Writes bytes of a buffer that will be used again; false when the caller should wait for `drain`. Over TLS a write is
 * encrypted before it returns, unless an earlier one is still waiting. Otherwise the bytes may be held, so they are copied.
 */
export function writeTransient(socket: Socket, bytes: Buffer): boolean {
  if (!encrypts(socket)) return writeCopied(socket, bytes);
  return socket.write(socket.writableLength === 0 ? bytes : Buffer.from(bytes));
}
