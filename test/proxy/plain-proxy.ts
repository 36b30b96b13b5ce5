// A proxy without TLS, identities or decisions: every request is sent on. What the proxy room promises is tested here
// against real sockets; test/e2e tests the same through the whole program.

import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import type { RequestHead } from '../../src/http1/request-head.ts';
import { framingLine, isHopByHop } from '../../src/http1/write.ts';
import { bind, drainConnections, serveClient, sweepConnections } from '../../src/proxy/connection-set.ts';
import type { Answer, Forward, Handler, Limits, Outcome, TunnelRewriter, Verdict } from '../../src/proxy/contract.ts';
import type { ConnectionSet } from '../../src/proxy/open-connections.ts';
import { openUpstreamPool } from '../../src/proxy/upstream-pool.ts';

export const LIMITS: Limits = {
  headBytes: 32_768,
  headerLines: 100,
  head: 15_000,
  idle: 75_000,
  stall: 300_000,
};

export interface PlainProxy {
  readonly port: number;
  readonly outcomes: Outcome[];
  readonly faults: unknown[];
  readonly set: ConnectionSet;
  close(): Promise<void>;
}

export interface PlainProxyOptions {
  readonly limits?: Partial<Limits>;
  readonly recorded?: () => Promise<void> | null;
  readonly upstreamIdle?: number;
  /** Listen with TLS, and read upstream into the shared buffer as the gate does. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Upstream speaks TLS; its certificate is not looked at. */
  readonly upstreamTls?: true;
  readonly decide?: (head: RequestHead) => Verdict | null;
  readonly rest?: () => void;
  /** Sees what the client of each WebSocket sends. */
  readonly rewriteTunnel?: TunnelRewriter;
}

export async function startPlainProxy(upstreamPort: number, options: PlainProxyOptions = {}): Promise<PlainProxy> {
  const outcomes: Outcome[] = [];
  const faults: unknown[] = [];
  const pool = openUpstreamPool({
    connect: (onread) => {
      const where = { host: '127.0.0.1', port: upstreamPort, allowHalfOpen: true, onread };
      return options.upstreamTls === true ? connectTls({ ...where, rejectUnauthorized: false }) : connect(where);
    },
    readyEvent: options.upstreamTls === true ? 'secureConnect' : 'connect',
    idle: options.upstreamIdle ?? 4_000,
    connectTimeout: 5_000,
  });
  const handler: Handler = {
    decide: (head) =>
      options.decide?.(head) ?? {
        ...forward(head, options.recorded?.() ?? null),
        rewriteTunnel: options.rewriteTunnel ?? null,
      },
    refuseMalformed: (problem) => answer(problem.status, problem.reason),
    upstreamFailed: (problem, connected) => answer(connected ? 502 : 503, problem),
    recordAwaited: () => {},
    rest: () => options.rest?.(),
    recordFailed: () => answer(503, 'not recorded'),
    fault: (error) => void faults.push(error),
    finished: (_head, _verdict, outcome) => void outcomes.push(outcome),
  };
  const set: ConnectionSet = { members: new Set(), now: performance.now(), draining: false };
  const serve = (socket: Socket): void => {
    serveClient(socket, handler, pool, { ...LIMITS, ...options.limits }, set);
  };
  const server =
    options.tls === undefined
      ? createServer({ allowHalfOpen: true, noDelay: true }, serve)
      : createTlsServer({ ...options.tls, allowHalfOpen: true, noDelay: true }, serve);
  const stop = sweepConnections(set, () => {});
  await bind(server, { host: '127.0.0.1', port: 0 });
  return {
    port: portOf(server),
    outcomes,
    faults,
    set,
    async close() {
      server.close();
      await drainConnections(set, 0);
      stop();
      pool.close();
    },
  };
}

export function forward(head: RequestHead, recorded: Promise<void> | null): Forward {
  let text = `${head.method} ${head.target} HTTP/1.1\r\n`;
  head.names.forEach((name, i) => {
    if (!isHopByHop(name)) text += `${name}: ${head.values[i]}\r\n`;
  });
  if (head.upgrade === 'websocket') text += 'upgrade: websocket\r\nconnection: Upgrade\r\n';
  return {
    kind: 'forward',
    head: { bytes: Buffer.from(`${text}${framingLine(head.bodyLength)}\r\n`, 'latin1'), held: false },
    answerExtra: '',
    recorded,
    rewriteTunnel: null,
    rewriteAnswer: null,
  };
}

export function answer(status: number, detail: string): Answer {
  return { kind: 'answer', status, detail, extra: '', close: false, recorded: null };
}

export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** An upstream whose every byte the test decides. */
export interface RawUpstream {
  readonly port: number;
  /** The next connection, in the order they come. */
  accept(): Promise<RawPeer>;
  readonly accepted: number;
  close(): void;
}

/** One end of a raw connection; `until` waits for text that has arrived. */
export interface RawPeer {
  readonly socket: Socket;
  received(): string;
  until(condition: string | RegExp | ((text: string) => boolean)): Promise<string>;
  /** Resolves with all that came when the peer has ended or cut the connection. */
  ended(): Promise<{ readonly text: string; readonly inOrder: boolean }>;
  send(text: string | Buffer): void;
}

export function peerOf(socket: Socket): RawPeer {
  let text = '';
  let over = false;
  let inOrder = false;
  const listeners = new Set<() => void>();
  const wake = (): void => {
    for (const listener of listeners) listener();
  };
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1');
    wake();
  });
  socket.on('end', () => {
    inOrder = true;
    wake();
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    over = true;
    wake();
  });
  const wait = <T>(test: () => T | undefined, what: string): Promise<T> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`waited for ${what}; got ${JSON.stringify(text)}`)), 20_000);
      const look = (): void => {
        const found = test();
        if (found === undefined) return;
        clearTimeout(timer);
        listeners.delete(look);
        resolve(found);
      };
      listeners.add(look);
      look();
    });
  return {
    socket,
    received: () => text,
    until: (condition) =>
      wait(
        () =>
          (
            typeof condition === 'function'
              ? condition(text)
              : typeof condition === 'string'
                ? text.includes(condition)
                : condition.test(text)
          )
            ? text
            : undefined,
        String(condition),
      ),
    ended: () => wait(() => (over || inOrder ? { text, inOrder } : undefined), 'the end'),
    send: (data) => void socket.write(data),
  };
}

export async function startRawUpstream(): Promise<RawUpstream> {
  const waiting: RawPeer[] = [];
  const takers: Array<(peer: RawPeer) => void> = [];
  const sockets = new Set<Socket>();
  let accepted = 0;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    accepted++;
    sockets.add(socket);
    const peer = peerOf(socket);
    const taker = takers.shift();
    if (taker === undefined) waiting.push(peer);
    else taker(peer);
  });
  await bind(server, { host: '127.0.0.1', port: 0 });
  return {
    port: portOf(server),
    get accepted() {
      return accepted;
    },
    accept: () => {
      const peer = waiting.shift();
      return peer === undefined ? new Promise((resolve) => takers.push(resolve)) : Promise.resolve(peer);
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

export async function connectRaw(port: number): Promise<RawPeer> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true });
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return peerOf(socket);
}
