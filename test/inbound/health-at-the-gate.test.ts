// How a gate is and what it counts, by a whole gate in this process.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { startEcho } from '../e2e/harness/echo.ts';
import { type GateFixture, openGateHouse } from '../security/gate-fixture.ts';
import { GATE_LIMITS } from './gate-options.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function gateBefore(port: number): Promise<GateFixture> {
  const home = await openGateHouse();
  ends.push(() => home.close());
  const gate = await home.start(port, { limits: { ...GATE_LIMITS, upstreamConnect: 300_000 } });
  ends.push(() => gate.close());
  return gate;
}

/** Listens, accepts nothing, and has no room for a connection more. */
async function fullListener(): Promise<number> {
  const program = `require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, function () {
    console.log(this.address().port);
  });`;
  const child: ChildProcess = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  ends.push(() => child.kill('SIGKILL'));
  const [port] = (await once(child.stdout ?? child, 'data')) as [Buffer];
  child.kill('SIGSTOP');
  const sockets: Socket[] = Array.from({ length: 8 }, () => connect(Number(port), '127.0.0.1').on('error', () => {}));
  ends.push(() => sockets.map((socket) => socket.destroy()));
  await Promise.race(sockets.map((socket) => once(socket, 'connect')));
  return Number(port);
}

test('says how it is in good time also while Prefect accepts no connection', async () => {
  const gate = await gateBefore(await fullListener());
  expect(await gate.health()).toMatchObject({ status: 'degraded', store: true, audit: true, upstream: false });
}, 30_000);

const get = (path: string, ...lines: readonly string[]): string =>
  [`GET ${path} HTTP/1.1`, 'Host: gate', ...lines, '', ''].join('\r\n');
const opening = (path: string): string =>
  get(
    path,
    ...['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'],
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  );

test('every request counted is in flight, a WebSocket, or among the answers; what is no request is refused alone', async () => {
  const upstream = await startEcho({ answer: ({ url }) => url === '/api/slow' });
  ends.push(() => upstream.stop());
  const gate = await gateBefore(upstream.port);
  const sums = async () => {
    const { requests, refused, requestsOpen, tunnels, answers, durations, upstreamFailures } = (await gate.health())
      .metrics;
    const sum = (all: readonly number[]): number => all.reduce((total, one) => total + one, 0);
    expect(requestsOpen + tunnels + sum(answers)).toBe(requests);
    return { requests, refused, requestsOpen, tunnels, answers, timed: sum(durations), upstreamFailures };
  };

  const answered = await gate.connect();
  for (const path of ['/api/hello', '/api/%00', '/.well-known/est/cacerts']) {
    const before = (await gate.health()).metrics.answers.join();
    answered.socket.write(get(path));
    while ((await gate.health()).metrics.answers.join() === before) await new Promise(setImmediate);
  }
  const malformed = await gate.connect();
  malformed.socket.end('GET /api/hello HTTP/1.1\r\n\r\n');
  await once(malformed.socket, 'close');
  const aborted = await gate.connect();
  aborted.socket.write(get('/api/slow'));
  while ((await sums()).requestsOpen === 0) await new Promise(setImmediate);
  const gone = await gate.connect();
  gone.socket.end(get('/api/hello', 'Content-Length: 10').replace('GET', 'POST'));
  await once(gone.socket, 'close');
  const tunnelled = await gate.connect();
  tunnelled.socket.write(opening('/api/events/in'));
  while ((await sums()).tunnels === 0) await new Promise(setImmediate);
  expect(await sums()).toEqual({
    ...{ requests: 6, refused: 2, requestsOpen: 1, tunnels: 1, upstreamFailures: 0 },
    ...{ answers: [1, 0, 2, 0, 1, 0], timed: 4 },
  });

  await upstream.stop();
  const [http, webSocket] = [await gate.connect(), await gate.connect()];
  http.socket.end(get('/api/hello'));
  webSocket.socket.end(opening('/api/events/in'));
  tunnelled.socket.destroy();
  await Promise.all([http, webSocket].map(({ socket }) => once(socket, 'close')));
  while ((await sums()).tunnels + (await sums()).requestsOpen > 0) await new Promise(setImmediate);
  // The one in flight has broken off, and none of the other two has been sent.
  expect(await sums()).toMatchObject({ requests: 8, answers: [1, 2, 2, 0, 1, 2], timed: 7, upstreamFailures: 3 });
});
