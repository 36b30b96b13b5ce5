// A gate that is told to stop while it is abused: who says nothing, never ends a handshake or a head, floods it with new keys or
// does not read holds its stop up no longer than the drain limit, and who only waits not at all. What was in flight is answered.
// Every other limit is longer than the test.

import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { within } from './harness/eventually.ts';
import { hostile, SWITCHED } from './harness/hostile.ts';
import { credentialsIn } from './harness/house.ts';
import { DATA, openRecords, type Records } from './harness/records.ts';
import { house } from './harness/scenario.ts';
import { type Credentials, get, openTcp, openTls, WEBSOCKET_OPENING, type Wire } from './harness/wire.ts';

const LONG = {
  CERTGATE_LOG_ACCESS: 'false',
  CERTGATE_SERVE_LIMITS_HANDSHAKE: '5m',
  CERTGATE_SERVE_LIMITS_HEAD: '5m',
  CERTGATE_SERVE_LIMITS_IDLE: '5m',
  CERTGATE_SERVE_LIMITS_STALL: '5m',
  CERTGATE_SERVE_LIMITS_CONNECTIONS_PER_ADDRESS: '5000',
  CERTGATE_SERVE_LIMITS_CONNECTIONS_PER_IDENTITY: '5000',
  CERTGATE_SERVE_LIMITS_REQUESTS_PER_IDENTITY: '1000',
  CERTGATE_SERVE_LIMITS_HANDSHAKES_PER_ADDRESS: '5000',
};
const MANY = 60;
/** The first bytes of a ClientHello, and never the rest. */
const HALF_HELLO = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
const HALF_HEAD = 'GET /api/hello HTTP/1.1\r\nHost: localhost\r\nX: ';
const HALF_BODY = 'POST /api/flow_runs/filter HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nhalf';
const BIG = Buffer.alloc(64 * 1024 * 1024, 'x');

const many = async <T>(open: () => Promise<T>): Promise<T[]> => await Promise.all(Array.from({ length: MANY }, open));

/** Those who have shaken no hands, or only wait. */
async function idlers(port: number, credentials: Credentials): Promise<{ stop(): void }> {
  const [silent, half, floods] = await Promise.all([
    many(async () => await openTcp(port)),
    many(async () => await openTcp(port)),
    Promise.all(Array.from({ length: 4 }, async () => await openRecords(port, credentials))),
  ]);
  await many(async () => await openTls(port, credentials));
  let over = false;
  const drip = async (wires: readonly Wire[]): Promise<void> => {
    for (let at = 0; !over; at++) {
      for (const { socket } of wires) if (socket.writable) socket.write(HALF_HELLO.subarray(at, at + 1));
      await sleep(50);
    }
  };
  void drip(half);
  for (const peer of floods) void flood(peer, () => over);
  return {
    stop: () => {
      over = true;
      for (const { socket } of [...silent, ...half]) socket.destroy();
    },
  };
}

async function flood(peer: Records, over: () => boolean): Promise<void> {
  let gone = false;
  void peer.closed.then(() => (gone = true));
  while (!over() && !gone && peer.tcp.writable) {
    const room = peer.tcp.write(Buffer.concat(Array.from({ length: 50 }, () => peer.keyUpdate())));
    await (room
      ? new Promise((resolve) => setImmediate(resolve))
      : Promise.race([new Promise((resolve) => peer.tcp.once('drain', resolve)), peer.closed]));
  }
}

test.each([['one process'], ['two workers', '--workers', '2']])(
  'of %s, waits for nobody who only waits, in a handshake or without one',
  async (_what, ...flags) => {
    const home = await house();
    const credentials = await credentialsIn(await home.issue('worker/etl-1'));
    const upstream = await hostile((socket) => socket.end('HTTP/1.1 204 No Content\r\n\r\n'));
    const gate = await home.serve({ upstream: upstream.url, flags: ['--drain', '10m', ...flags], env: LONG });
    const abuse = await idlers(gate.port, credentials);
    gate.running.signal('SIGTERM');
    expect(await within('the gate ends', gate.running.exited)).toEqual({ code: 0, signal: null });
    abuse.stop();
  },
);

test('of a gate that is kept busy, is over with its drain limit, and what was in flight and could be answered is', async () => {
  const home = await house();
  const credentials = await credentialsIn(await home.issue('worker/etl-1'));
  const slow: Socket[] = [];
  let toAnswer: Socket | null = null;
  const upstream = await hostile((socket, head) => {
    if (head.includes('websocket')) socket.write(SWITCHED);
    else if (head.includes('/api/big'))
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${BIG.length}\r\n\r\n`, () => socket.write(BIG));
    else if (head.includes('/api/late')) toAnswer = socket;
    else slow.push(socket);
  });
  const gate = await home.serve({ upstream: upstream.url, flags: ['--drain', '3s'], env: LONG });
  const abuse = await idlers(gate.port, credentials);
  const tls = async (request: string): Promise<Wire> => {
    const wire = await openTls(gate.port, credentials);
    wire.send(request);
    return wire;
  };
  await many(async () => await tls(HALF_HEAD));
  await many(async () => await tls(HALF_BODY));
  await many(async () => await tls(get('/api/never')));
  await many(async () => await tls(WEBSOCKET_OPENING));
  for (const wire of await Promise.all(Array.from({ length: 4 }, async () => await tls(get('/api/big')))))
    wire.socket.pause();
  // One that floods and does not read, with a request under way.
  const deaf = await openRecords(gate.port, credentials, false);
  deaf.tcp.write(deaf.record(DATA, get('/api/never')));
  void flood(deaf, () => false);
  const late = await tls(get('/api/late'));
  while (toAnswer === null || slow.length < MANY) await sleep(10);

  gate.running.signal('SIGTERM');
  await gate.logged((line) => line.msg === 'draining');
  (toAnswer as Socket).end('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok');
  expect((await late.answer()).body.toString()).toBe('ok');
  expect(await within('the gate ends', gate.running.exited)).toEqual({ code: 0, signal: null });
  abuse.stop();
}, 120_000);
