// Shortcuts past Node's stream machinery: for the reads and writes that every small request makes, and for the end of many
// connections at once; docs/performance.md has what each gives. Reading: `onread` is a documented option of net.Socket and tls.connect, but a server gives no way
// to pass it, so it is put into an accepted socket afterwards. Writing: bytes go to the socket's handle, which says at once
// whether the operating system took them all. Both look first whether this Node has what they need, and where it has not
// the documented way is taken. They must never change what is read or written, nor the order.

import { type OnReadOpts, Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';

/** The places in a socket where net.Socket keeps its option `onread`. */
interface OnReadPlaces {
  readonly buffer: symbol;
  readonly callback: symbol;
}

/** Node's own request objects for writes, and where it notes how the last write went. */
interface Writes {
  readonly WriteWrap: new () => WriteRequest;
  readonly state: ArrayLike<number>;
  readonly lastWasAsync: number;
}

interface WriteRequest {
  oncomplete: (status: number) => void;
  /** Keeps the bytes alive while the operating system reads them. */
  buffer: Buffer | null;
}

/** What a socket has beyond its types: net.Socket its handle, tls.TLSSocket the mark that it is one. */
interface Within {
  readonly _handle?: Handle | null;
  readonly encrypted?: true;
  /** Of a TLS socket: the accepted socket that it is wrapped around. */
  readonly _parent?: unknown;
}

interface Handle {
  useUserBuffer(buffer: Buffer): void;
  writeBuffer(request: WriteRequest, bytes: Buffer): number;
  /** Bytes that wait for the operating system. */
  readonly writeQueueSize: number;
}

/** What reads fill: one read comes after another, and what it brought is used up, or copied, before the next. */
export const READ_BUFFER = Buffer.allocUnsafeSlow(65_536);

const PLACES = findPlaces();
const WRITES = findWrites();
/** A request object that was not needed: what is written at once leaves it unused. */
let spare: WriteRequest | null = null;

/** Whether this Node has what the shortcuts need. */
export const shortcuts: { readonly read: boolean; readonly write: boolean } = {
  read: PLACES !== null,
  write: WRITES !== null,
};

/** The option for sockets that are opened here: reads into READ_BUFFER; `received` gets what a read brought, good until it returns. */
export function onRead(received: (bytes: Buffer) => void): OnReadOpts {
  return { buffer: READ_BUFFER, callback: filled(received) };
}

function filled(received: (bytes: Buffer) => void): (size: number) => boolean {
  let view = READ_BUFFER;
  return (size) => {
    if (view.length !== size) view = READ_BUFFER.subarray(0, size);
    received(view);
    return true;
  };
}

/** The same for an accepted socket to whose data nobody has listened; what it has read already comes first. */
export function startReading(socket: Socket, received: (bytes: Buffer) => void): void {
  const handle = handleOf(socket);
  if (PLACES === null || !(PLACES.buffer in socket) || typeof handle?.useUserBuffer !== 'function') {
    socket.on('data', received);
    return;
  }
  const early: unknown = socket.read();
  Reflect.set(socket, PLACES.buffer, READ_BUFFER);
  Reflect.set(socket, PLACES.callback, filled(received));
  handle.useUserBuffer(READ_BUFFER);
  socket.resume();
  if (early instanceof Buffer) received(early);
}

/**
 * Writes `bytes`. True when the operating system has taken all of them, so that they may be changed; false when the socket
 * still holds them. Errors reach the socket's `error` and `close` as ever.
 */
export function writeAtOnce(socket: Socket, bytes: Buffer): boolean {
  const sent = writePast(socket, bytes);
  if (sent !== null) return sent;
  socket.write(bytes);
  return socket.writableLength === 0;
}

/** What `writeCopied` copies to: one write comes after another, and what was sent at once leaves it free. */
let copyPlace: Buffer | null = null;

/** `socket.write` of a copy, sooner: true when there is room for more, else `drain` follows. `bytes` may be changed then. */
export function writeCopied(socket: Socket, bytes: Buffer): boolean {
  if (bytes.length > READ_BUFFER.length || !mayWritePast(socket)) return socket.write(Buffer.from(bytes));
  copyPlace ??= Buffer.allocUnsafeSlow(READ_BUFFER.length);
  bytes.copy(copyPlace);
  const sent = writePast(socket, copyPlace.subarray(0, bytes.length));
  // The socket holds it.
  if (sent === false) copyPlace = null;
  return sent ?? socket.write(Buffer.from(bytes));
}

/**
 * Writes past the stream: true when all was sent, false when the operating system has yet to take some (`drain` follows),
 * null when it must be written in the documented way. Only for plain sockets: a TLS handle takes one write at a time and
 * ends the process on a second.
 */
function writePast(socket: Socket, bytes: Buffer): boolean | null {
  const handle = handleOf(socket);
  if (WRITES === null || handle === null || !mayWritePast(socket)) return null;
  const request = spare ?? new WRITES.WriteWrap();
  spare = null;
  const error = handle.writeBuffer(request, bytes);
  if (error !== 0) {
    socket.destroy(writeError(error));
    return true;
  }
  if (WRITES.state[WRITES.lastWasAsync] === 0) {
    spare = request;
    return true;
  }
  request.buffer = bytes;
  request.oncomplete = (status) => {
    if (status < 0) socket.destroy(writeError(status));
    else socket.emit('drain');
  };
  return false;
}

function mayWritePast(socket: Socket): boolean {
  const handle = handleOf(socket);
  if (WRITES === null || handle === null || encrypts(socket)) return false;
  // What the stream still holds goes first.
  if (socket.connecting || socket.writableLength !== 0 || !socket.writable) return false;
  // And what an earlier direct write left to it: the stream counts what is written from now on.
  return handle.writeQueueSize === 0;
}

/** libuv's error number as Node would have it. */
function writeError(number: number): Error {
  const code = getSystemErrorName(number);
  return Object.assign(new Error(`write ${code}`), { code });
}

/** The accepted socket that a TLS socket is wrapped around, where this Node tells; else the socket itself. */
export function acceptedOf(socket: Socket & Within): Socket {
  // oxlint-disable-next-line no-underscore-dangle -- Node's own name for it
  const tcp = encrypts(socket) ? socket._parent : null;
  return tcp instanceof Socket ? tcp : socket;
}

/**
 * How many bytes a TLS peer has sent beyond its data, while something waits for it to read: null when nothing does, or for a
 * plain socket. TLS answers some records by itself (RFC 8446 §4.6.3) and keeps those answers where nobody else sees them.
 */
export function unreadOverhead(socket: Socket): number | null {
  const tcp = acceptedOf(socket);
  if (tcp === socket || (handleOf(tcp)?.writeQueueSize ?? 0) === 0) return null;
  return tcp.bytesRead - socket.bytesRead;
}

/**
 * Resets the connection: what the operating system still holds for the peer is dropped with it. A TLS socket then only has its
 * end to tell (`close` follows), which costs as much again and is left to the next turn of the event loop, so that many can be
 * reset in one go. False where it can't be done, or where the end has been written already; it must be destroyed then.
 */
export function resetAtOnce(socket: Socket & Within): boolean {
  const tcp = acceptedOf(socket);
  // A TLS socket itself can't be reset. And libuv resets nothing that is being shut down: Node would then lose its handle.
  if (encrypts(tcp) || socket.writableEnded || tcp.writableEnded || tcp.destroyed) return false;
  tcp.resetAndDestroy();
  return true;
}

function handleOf(socket: Socket & Within): Handle | null {
  // oxlint-disable-next-line no-underscore-dangle -- Node's own name for it
  return socket._handle ?? null;
}

/** Whether it is a TLS socket: what is written to one has been encrypted, or copied, when its write returns. */
export function encrypts(socket: Socket & Within): boolean {
  return socket.encrypted === true;
}

function findPlaces(): OnReadPlaces | null {
  const symbols = Object.getOwnPropertySymbols(new Socket());
  const named = (name: string): symbol | undefined => symbols.find((symbol) => symbol.description === name);
  const [buffer, callback] = [named('kBuffer'), named('kBufferCb')];
  return buffer === undefined || callback === undefined ? null : { buffer, callback };
}

function findWrites(): Writes | null {
  try {
    const binding: unknown = Reflect.apply(Reflect.get(process, 'binding') as () => unknown, process, ['stream_wrap']);
    const { WriteWrap, streamBaseState, kLastWriteWasAsync } = binding as Record<string, unknown>;
    if (typeof WriteWrap !== 'function' || typeof kLastWriteWasAsync !== 'number') return null;
    if (!(streamBaseState instanceof Int32Array) || kLastWriteWasAsync >= streamBaseState.length) return null;
    return { WriteWrap: WriteWrap as Writes['WriteWrap'], state: streamBaseState, lastWasAsync: kLastWriteWasAsync };
  } catch {
    return null;
  }
}
