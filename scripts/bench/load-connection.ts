// One connection of the load generator: mutual TLS 1.3, one request in flight, answers framed by Content-Length.
// It reads into one buffer shared by all connections and writes bytes made beforehand, because what the generator spends
// is not available to find a contestant's limit. Anything but a 200 with the expected body length is a failure, never skipped.

import type { SocketConstructorOpts } from 'node:net';
import { type ConnectionOptions, connect, type SecureContext, type TLSSocket } from 'node:tls';
import type { Request } from './works.ts';

export interface Ask extends Request {
  /** The request as it goes over the wire. */
  readonly bytes: Buffer;
  readonly answerLength: number;
}

export interface Asking {
  readonly port: number;
  readonly secureContext: SecureContext;
  /** Whether the server's chain is verified; it was once, before anything was measured. */
  readonly verifies: boolean;
  /** Asked in turn, from the one at `first` on. */
  readonly asks: readonly Ask[];
  readonly first: number;
  /** A whole answer has come, `micros` µs after its request (or its connection attempt) began. */
  readonly onAnswer: (micros: number) => void;
  readonly onFailure: (reason: string) => void;
  /** Data has come, a part of an answer at least. */
  readonly onRead?: () => void;
}

const shared = Buffer.allocUnsafe(64 * 1024);
const headEnd = Buffer.from('\r\n\r\n', 'latin1');
const CR = 13;
const LF = 10;

/** Length of a 200 answer's head that promises `bodyLength` bytes; 0 while incomplete; a string says what is wrong. */
function headLengthOf(bytes: Buffer, bodyLength: number): number | string {
  const end = bytes.indexOf(headEnd);
  if (end < 0) return 0;
  const head = bytes.toString('latin1', 0, end);
  const length = /\r\ncontent-length:[ \t]*(\d+)/i.exec(head)?.[1];
  if (head.startsWith('HTTP/1.1 200 ') && Number(length) === bodyLength) return end + 4;
  return `answered ${JSON.stringify(head.slice(0, 200))} where 200 with ${bodyLength} bytes was expected`;
}

/**
 * Frames a stream of answers to one request each.
 * @returns a function to give the bytes read to; it calls `onWhole` after the last byte of each answer
 */
function answerReader(lengthNow: () => number, onWhole: () => void, onWrong: (reason: string) => void) {
  let usualHead = 0; // the last answer's head length: the next one's too, as a rule
  let usualBody = -1; // and that it was for such a body
  let missing = 0; // bytes of the current answer's body still to come
  let held: Buffer | null = null; // a head in pieces

  const looksAsUsual = (bytes: Buffer): boolean =>
    usualHead > 0 &&
    bytes.length >= usualHead &&
    bytes[usualHead - 1] === LF &&
    bytes[usualHead - 2] === CR &&
    bytes[usualHead - 3] === LF &&
    bytes[usualHead - 4] === CR &&
    bytes[9] === 0x32 && // 2xx
    bytes[11] === 0x30; // 200

  return (chunk: Buffer): void => {
    if (missing === 0) {
      const bytes = held === null ? chunk : Buffer.concat([held, chunk]);
      const bodyLength = lengthNow();
      const isUsual = held === null && bodyLength === usualBody && looksAsUsual(bytes);
      const head = isUsual ? usualHead : headLengthOf(bytes, bodyLength);
      if (typeof head === 'string') {
        onWrong(head);
        return;
      }
      if (head === 0) {
        held = Buffer.from(bytes);
        return;
      }
      held = null;
      usualHead = head;
      usualBody = bodyLength;
      missing = bodyLength - (bytes.length - head);
    } else {
      missing -= chunk.length;
    }
    if (missing < 0) onWrong(`sent ${-missing} bytes more than its content-length`);
    else if (missing === 0) onWhole();
  };
}

/** A new connection; what it reads is only valid until `onBytes` returns. */
export function openConnection(asking: Asking, onConnected: () => void, onBytes: (bytes: Buffer) => void): TLSSocket {
  const options: ConnectionOptions & Pick<SocketConstructorOpts, 'onread'> = {
    host: '127.0.0.1',
    port: asking.port,
    servername: 'localhost',
    secureContext: asking.secureContext,
    rejectUnauthorized: asking.verifies,
    onread: {
      buffer: shared,
      callback: (length) => {
        asking.onRead?.();
        onBytes(shared.subarray(0, length));
        return true;
      },
    },
  };
  const socket = connect(options, onConnected);
  socket.setNoDelay(true);
  socket.on('error', (error) => asking.onFailure(`connection failed: ${error.message}`));
  return socket;
}

/** Asks again and again over one connection. @returns a function that ends it */
export function askOverOneConnection(asking: Asking): () => void {
  let askedAt = 0;
  let ended = false;
  let turn = asking.first;
  let missing = 0;
  const ask = (): void => {
    const now = asking.asks[turn++ % asking.asks.length];
    if (now === undefined) return;
    missing = now.answerLength;
    askedAt = performance.now();
    socket.write(now.bytes);
  };
  const read = answerReader(
    () => missing,
    () => {
      asking.onAnswer((performance.now() - askedAt) * 1000);
      if (!ended) ask();
    },
    asking.onFailure,
  );
  const socket = openConnection(asking, ask, read);
  socket.on('close', () => {
    if (!ended) asking.onFailure('closed a connection with a request in flight');
  });
  return () => {
    ended = true;
    socket.destroy();
  };
}

/** Asks once over each of a row of new connections, without session resumption. @returns a function that ends it */
export function askOverNewConnections(asking: Asking): () => void {
  const [request] = asking.asks;
  if (request === undefined) throw new Error('nothing to ask');
  let ended = false;
  let current: TLSSocket | null = null;
  const next = (): void => {
    const beganAt = performance.now();
    let answered = false;
    const read = answerReader(
      () => request.answerLength,
      () => {
        answered = true;
        asking.onAnswer((performance.now() - beganAt) * 1000);
        socket.end();
        if (!ended) next();
      },
      asking.onFailure,
    );
    const socket = openConnection(asking, () => socket.write(request.bytes), read);
    socket.on('close', () => {
      if (!answered && !ended) asking.onFailure('closed a new connection before it answered');
    });
    current = socket;
  };
  next();
  return () => {
    ended = true;
    current?.destroy();
  };
}
