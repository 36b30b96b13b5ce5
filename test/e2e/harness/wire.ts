// Exact bytes on a socket, and the exact answer: a TLS or TCP connection, and an HTTP/1.1 answer read from it without
// any library's leniency. For what no polite client would send, and for seeing how a connection ends.

import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { BOUND_MS } from './processes.ts';

export interface Credentials {
  readonly cert?: string;
  readonly key?: string;
  readonly ca: string;
}

/** How a connection ended: `end` is an orderly FIN, anything else an error's code. */
export interface Ending {
  readonly how: 'end' | 'error';
  readonly code: string;
  readonly at: number;
}

export interface Answer {
  readonly status: number;
  /** The status line and header lines, as sent. */
  readonly head: string;
  /** Lower-case names; several lines of one name are joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
  /** Without the framing of chunks. */
  readonly body: Buffer;
}

/** A connection that remembers all it received. */
export interface Wire<S extends Socket = Socket> {
  readonly socket: S;
  /** Everything that has come and was not yet read as an answer. */
  received(): Buffer;
  send(bytes: string | Uint8Array): void;
  /** Waits until `enough` answers something of the bytes so far; fails when the connection ends before. */
  until<T>(what: string, enough: (received: Buffer) => T | undefined): Promise<T>;
  /** Reads one answer; interim (1xx) answers are skipped. `method` HEAD has no body. */
  answer(method?: string): Promise<Answer>;
  readonly ended: Promise<Ending>;
  /** Ends the TCP connection with RST, not FIN. */
  reset(): void;
}

/** Sends a request and reads its answer, on a connection that stays open. */
export async function ask(wire: Wire, request: string | Uint8Array, method?: string): Promise<Answer> {
  wire.send(request);
  return await wire.answer(method);
}

/** A request without a body, as text. */
export function get(target: string, ...lines: string[]): string {
  return [`GET ${target} HTTP/1.1`, 'Host: localhost', ...lines, '', ''].join('\r\n');
}

/** The opening of one of Prefect's WebSockets, with the key of 16 zero bytes. */
export const WEBSOCKET_OPENING = get(
  '/api/events/in',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
);

/** Opens a TLS connection to 127.0.0.1:`port` (`halfOpen`: its own direction outlives the other; `before` goes first, in the clear); resolves once the handshake is done on this side. */
export async function openTls(
  port: number,
  credentials: Credentials,
  options: { session?: Buffer; tls12?: boolean; halfOpen?: boolean; from?: string; before?: Buffer } = {},
): Promise<Wire<TLSSocket>> {
  const halfOpen = options.halfOpen === true;
  const from = options.from === undefined ? {} : { localAddress: options.from };
  const carrier = connectTcp({ host: '127.0.0.1', port, allowHalfOpen: halfOpen, ...from });
  carrier.on('error', () => {});
  if (options.before !== undefined) carrier.write(options.before);
  const socket = connectTls({
    socket: carrier,
    host: '127.0.0.1',
    ...({ allowHalfOpen: halfOpen } as object),
    ...credentials,
    ...(options.session === undefined ? {} : { session: options.session }),
    ...(options.tls12 === true ? { maxVersion: 'TLSv1.2' as const } : {}),
  });
  const wire = watch(socket, () => carrier.resetAndDestroy());
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve);
    void wire.ended.then((ending) => reject(new Refused(ending)));
  });
  return wire;
}

/** A handshake that was refused before it was done on this side. */
export class Refused extends Error {
  readonly ending: Ending;
  constructor(ending: Ending) {
    super(`the connection ended in the handshake: ${ending.code}`);
    this.ending = ending;
  }
}

/** Opens a plain TCP connection to 127.0.0.1:`port`. */
export async function openTcp(port: number, options: { halfOpen?: boolean } = {}): Promise<Wire> {
  const socket = connectTcp({ host: '127.0.0.1', port, allowHalfOpen: options.halfOpen === true });
  const wire = watch(socket, () => socket.resetAndDestroy());
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    void wire.ended.then((ending) => reject(new Refused(ending)));
  });
  return wire;
}

function watch<S extends Socket>(socket: S, reset: () => void): Wire<S> {
  let received: Buffer = Buffer.alloc(0);
  let finished: Ending | undefined;
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const look of waiting) look();
  };
  socket.on('data', (bytes: Buffer) => {
    received = Buffer.concat([received, bytes]);
    wake();
  });
  const ended = new Promise<Ending>((resolve) => {
    const finish = (how: 'end' | 'error', code: string): void => {
      finished ??= { how, code, at: performance.now() };
      resolve(finished);
      wake();
    };
    socket.once('end', () => finish('end', 'end'));
    socket.on('error', (error: NodeJS.ErrnoException) => finish('error', error.code ?? error.message));
    socket.once('close', () => finish('end', 'close'));
  });
  const until: Wire['until'] = async (what, enough) =>
    await new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        waiting.delete(look);
        act();
      };
      const look = (): void => {
        const found = enough(received);
        if (found !== undefined) settle(() => resolve(found));
        else if (finished !== undefined) {
          const { how, code } = finished;
          settle(() =>
            reject(
              new Error(
                `${what}: the connection ended (${how}, ${code}) after ${JSON.stringify(received.toString('latin1').slice(0, 500))}`,
              ),
            ),
          );
        }
      };
      const timer = setTimeout(
        () =>
          settle(() =>
            reject(
              new Error(
                `${what}: not within ${BOUND_MS} ms, after ${JSON.stringify(received.toString('latin1').slice(0, 500))}`,
              ),
            ),
          ),
        BOUND_MS,
      );
      waiting.add(look);
      look();
    });
  const take = (size: number): Buffer => {
    const taken = received.subarray(0, size);
    received = received.subarray(size);
    return taken;
  };
  const answer: Wire['answer'] = async (method = 'GET') => {
    for (;;) {
      const end = await until('the head of an answer', (bytes) => positive(bytes.indexOf('\r\n\r\n')));
      const head = take(end + 4).toString('latin1');
      const [statusLine = '', ...lines] = head.trimEnd().split('\r\n');
      const status = Number(statusLine.split(' ')[1]);
      if (status >= 100 && status < 200 && status !== 101) continue;
      const headers: Record<string, string> = {};
      for (const line of lines) {
        const name = line.slice(0, line.indexOf(':')).toLowerCase();
        const value = line.slice(line.indexOf(':') + 1).trim();
        headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
      }
      const empty = method === 'HEAD' || status === 101 || status === 204 || status === 304;
      return { status, head, headers, body: empty ? Buffer.alloc(0) : await body(headers) };
    }
  };
  const body = async (headers: Readonly<Record<string, string>>): Promise<Buffer> => {
    if (headers['transfer-encoding'] !== undefined) {
      const parts: Buffer[] = [];
      for (;;) {
        const line = await until('the size of a chunk', (bytes) => positive(bytes.indexOf('\r\n')));
        const size = Number.parseInt(take(line + 2).toString('latin1'), 16);
        await until('a chunk', (bytes) => (bytes.length >= size + 2 ? true : undefined));
        const chunk = take(size + 2);
        if (size === 0) return Buffer.concat(parts);
        parts.push(chunk.subarray(0, size));
      }
    }
    const size = Number(headers['content-length'] ?? 0);
    await until('the body of an answer', (bytes) => (bytes.length >= size ? true : undefined));
    return Buffer.from(take(size));
  };
  return {
    socket,
    received: () => received,
    send: (bytes) => void socket.write(bytes),
    until,
    answer,
    ended,
    reset,
  };
}

function positive(index: number): number | undefined {
  return index < 0 ? undefined : index;
}
