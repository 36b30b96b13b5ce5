// Both sides do anything at any time: send in parts, answer early, twice, by halves or not at all, end, reset, stop reading. Whatever
// comes of it, each request that was decided is told of once, an answer goes to who asked for it and in order, what nobody asked
// for goes to nobody, and nothing is left when the client has gone.

import { once } from 'node:events';
import { connect, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { bind } from '../../src/proxy/connection-set.ts';
import { acceptKey } from '../../src/proxy/websocket.ts';
import { ok, UPGRADE_LINES } from './between.ts';
import { ownCertificate } from './own-certificate.ts';
import { type PlainProxy, portOf, startPlainProxy } from './plain-proxy.ts';

const EVIL = ok('<evil>');
const ACCEPTED = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptKey('dGhlIHNhbXBsZSBub25jZQ==')}\r\n\r\n`;

/** What upstream does with a request, as soon as it has its head. */
const ANSWERS = {
  whole: (target: string) => [ok(`<${target}>`)],
  parts: (target: string) => ['HTTP/1.1 200 O', `K\r\ncontent-length: ${target.length + 2}\r\n\r\n<`, `${target}>`],
  chunks: (target: string) => [
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${(target.length + 2).toString(16)}\r\n<${target}>\r\n`,
    '0\r\n\r\n',
  ],
  interim: (target: string) => ['HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 Early\r\n\r\n', ok(`<${target}>`)],
  storm: () => ['HTTP/1.1 102 Wait\r\n\r\n'.repeat(40)],
  twice: (target: string) => [ok(`<${target}>`) + EVIL],
  behind: (target: string) => [ok(`<${target}>`), EVIL],
  large: (target: string) => [ok(`<${target}>${'x'.repeat(300_000)}`)],
  half: (target: string) => [`HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n<${target}>`],
  switched: () => [ACCEPTED, 'hello'],
  nonsense: () => ['HTTP/1.1 2x0 OK\r\n\r\n'],
  nothing: () => [],
} as const;
const NEXT = ['stay', 'end', 'reset'] as const;

const REQUESTS = {
  get: (target: string) => `GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`,
  post: (target: string) => `POST ${target} HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nsome body`,
  chunks: (target: string) =>
    `POST ${target} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n5\r\n body\r\n0\r\n\r\n`,
  expects: (target: string) =>
    `POST ${target} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody`,
  head: (target: string) => `HEAD ${target} HTTP/1.1\r\nHost: h\r\n\r\n`,
  last: (target: string) => `GET ${target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`,
  socket: (target: string) => `GET ${target} HTTP/1.1\r\n${UPGRADE_LINES}\r\n`,
  bad: (target: string) => `GET ${target} HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n`,
} as const;

type Behaviour = { readonly answer: keyof typeof ANSWERS; readonly next: (typeof NEXT)[number]; readonly gap: number };
const keyOf = <T extends object>(of: T) => fc.constantFrom(...(Object.keys(of) as (keyof T)[]));
const behaviours = fc.record({
  answer: fc.oneof({ weight: 3, arbitrary: fc.constant('whole' as const) }, { weight: 4, arbitrary: keyOf(ANSWERS) }),
  next: fc.oneof({ weight: 3, arbitrary: fc.constant('stay' as const) }, fc.constantFrom(...NEXT)),
  gap: fc.nat(2),
});
const cases = fc.record({
  requests: fc.array(keyOf(REQUESTS), { minLength: 1, maxLength: 5 }),
  behaviours: fc.array(behaviours, { minLength: 5, maxLength: 5 }),
  /** Where the client's bytes are cut, in thousandths, and how long it waits there, in turns of the loop. */
  cuts: fc.array(fc.tuple(fc.nat(999), fc.nat(3)), { maxLength: 4 }),
  /** What it does behind its last byte, or at a cut. */
  ends: fc.constantFrom('stays', 'ends', 'resets', 'ends at a cut', 'resets at a cut'),
  deaf: fc.boolean(),
});

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

let server: Server;
let proxy: PlainProxy;
afterEach(async () => {
  await proxy.close();
  server.close();
});

test.each([
  ['plain', 'plain'],
  ['TLS', 'plain'],
  ['plain', 'TLS'],
])('to a client over %s from an upstream over %s', async (near, far) => {
  let decided = 0;
  const open = new Set<Socket>();
  /** Nothing that is said on these is a request. */
  const tunnels = new WeakSet<Socket>();
  /** By the number in a target. */
  let plan: readonly Behaviour[] = [];
  const serve = (socket: Socket): void => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('data', (bytes: Buffer) => {
      for (const [, target = ''] of bytes.toString('latin1').matchAll(/(?:GET|POST|HEAD) (\/\S+) HTTP/g)) {
        void act(socket, target, plan[Number(target.split('r')[1])]);
      }
    });
  };
  const act = async (socket: Socket, target: string, one: Behaviour | undefined): Promise<void> => {
    if (one === undefined || tunnels.has(socket)) return;
    if (one.answer === 'switched') tunnels.add(socket);
    for (const [i, part] of ANSWERS[one.answer](target).entries()) {
      // What comes later than the answer can't be told from an answer that comes early.
      if (i > 0 && part !== EVIL) await turns(one.gap);
      if (socket.writable) socket.write(part);
    }
    if (one.next === 'end') socket.end();
    if (one.next === 'reset') socket.destroy();
  };
  const certificate = await ownCertificate();
  const options = { allowHalfOpen: true, noDelay: true };
  server = far === 'TLS' ? createTlsServer({ ...options, ...certificate }, serve) : createTcpServer(options, serve);
  await bind(server, { host: '127.0.0.1', port: 0 });
  proxy = await startPlainProxy(portOf(server), {
    ...(near === 'TLS' ? { tls: certificate } : {}),
    ...(far === 'TLS' ? { upstreamTls: true as const } : {}),
    decide: () => {
      decided++;
      return null;
    },
  });
  let number = 0;
  await fc.assert(
    fc.asyncProperty(cases, async ({ requests, behaviours: planned, cuts, ends, deaf }) => {
      plan = planned;
      const name = `/c${number++}r`;
      const text = requests.map((kind, i) => REQUESTS[kind](`${name}${i}`)).join('');
      const where = { host: '127.0.0.1', port: proxy.port, allowHalfOpen: true, noDelay: true };
      const socket = near === 'TLS' ? connectTls({ ...where, rejectUnauthorized: false } as object) : connect(where);
      let got = '';
      socket.on('error', () => {});
      await once(socket, near === 'TLS' ? 'secureConnect' : 'connect');
      if (deaf) socket.pause();
      socket.on('data', (bytes: Buffer) => {
        got += bytes.toString('latin1');
      });
      if (deaf) socket.pause();
      const stops = [...cuts].toSorted(([a], [b]) => a - b);
      let at = 0;
      for (const [cut, wait] of stops) {
        const to = Math.floor((cut * text.length) / 1000);
        if (socket.writable) socket.write(text.slice(at, to));
        at = to;
        await turns(wait);
      }
      if (ends === 'ends at a cut') socket.end();
      else if (ends === 'resets at a cut') {
        if (near === 'TLS') socket.destroy();
        else socket.resetAndDestroy();
      } else if (socket.writable) {
        if (ends === 'ends') socket.end(text.slice(at));
        else socket.write(text.slice(at));
        if (ends === 'resets') socket.destroy();
      }
      await turns(30);
      if (deaf && !socket.destroyed) socket.resume();
      await turns(30);
      socket.destroy();
      // A client that has left may be waited for yet: one that has asked for more is not read before its answer has come.
      while (proxy.set.members.size > 0) {
        for (const one of open) one.destroy();
        await turns(1);
      }
      const answered = [...got.matchAll(/<([^>]*)>/g)].map(([, target = '']) => target);
      const numbers = answered.map((target) => Number(target.split('r')[1]));
      expect(answered.filter((target) => !target.startsWith(name))).toEqual([]);
      expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
      expect(proxy.faults).toEqual([]);
      expect(proxy.outcomes).toHaveLength(decided);
    }),
    { numRuns: 150 },
  );
});
