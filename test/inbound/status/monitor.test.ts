// The listener for monitors over real sockets, with a gate's health that the test decides.

import { connect } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { GateHealth } from '../../../src/inbound/gate.ts';
import { openMonitor } from '../../../src/inbound/status/monitor.ts';
import { type PlainListener, startPlainListener } from '../../../src/inbound/status/plain-listener.ts';
import { toldOfGate } from '../../../src/inbound/status/told-of-gate.ts';
import { createMetrics } from '../../../src/observe/metrics.ts';

const WELL: GateHealth = {
  ...{ status: 'ok', store: true, audit: true, upstream: true, workers: true, connections: 0 },
  locks: { standing: 0, everyone: false },
  metrics: createMetrics(),
  ends: {},
};

let health: () => Promise<GateHealth>;
let asked: number;
let failures: unknown[];
let draining: boolean;
let listener: PlainListener;

beforeEach(async () => {
  [asked, failures, draining] = [0, [], false];
  health = async () => WELL;
  const answers = openMonitor({
    async told() {
      asked++;
      return toldOfGate(await health());
    },
    version: '1.0.0',
    draining: () => draining,
    failed: (error) => failures.push(error),
  });
  listener = await startPlainListener({ host: '127.0.0.1', port: 0, flag: '--metrics-listen' }, answers);
});
afterEach(async () => {
  await listener.stop();
});

const read = async (path: string) => {
  const answer = await fetch(`http://127.0.0.1:${listener.port}${path}`, { headers: { connection: 'close' } });
  return { status: answer.status, text: await answer.text() };
};

/** All that comes back for `text` until the other side ends. */
function exchange(text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(listener.port, '127.0.0.1');
    let got = '';
    socket.on('data', (bytes) => {
      got += bytes.toString('latin1');
    });
    socket.once('close', () => resolve(got));
    socket.end(text);
  });
}

test('whoever asks while the gate is being asked gets the same answer, and /livez waits for none', async () => {
  const said = Promise.withResolvers<GateHealth>();
  health = () => said.promise;
  const all = Array.from({ length: 50 }, (_, i) => read(i % 2 === 0 ? '/metrics' : '/readyz?verbose'));
  while (asked === 0) await new Promise((resolve) => setImmediate(resolve));
  expect(await read('/livez')).toEqual({ status: 200, text: 'ok\n' });
  said.resolve(WELL);
  for (const { status } of await Promise.all(all)) expect(status).toBe(200);
  expect(asked).toBe(1);
});

test('a gate that cannot say how it is is asked again by the next who asks', async () => {
  health = () => Promise.reject(new Error('no descriptors'));
  expect((await read('/readyz')).status).toBe(500);
  expect((await read('/livez')).status).toBe(200);
  health = async () => WELL;
  expect((await read('/readyz')).status).toBe(200);
  expect([asked, failures.map(String)]).toEqual([2, ['Error: no descriptors']]);
});

test.each([
  ['store', { store: false }],
  ['record', { audit: false }],
  ['upstream', { upstream: false }],
  ['workers', { workers: false }],
])('a gate whose %s is not well is not ready, and its counters say so', async (part, change) => {
  health = async () => ({ ...WELL, ...change });
  const { status, text } = await read('/readyz');
  expect([status, text.match(/^\[-\].*$/gm)]).toEqual([503, [`[-]${part} failed`]]);
  expect((await read('/metrics')).text.match(/^certgate_healthy.* 0$/gm)).toEqual([
    `certgate_healthy{part="${part}"} 0`,
  ]);
});

test('a gate that was told to stop is not ready from then on, though what it said of itself is kept', async () => {
  expect((await read('/readyz')).status).toBe(200);
  draining = true;
  expect(await read('/readyz')).toEqual({
    status: 503,
    text: '[+]store ok\n[+]record ok\n[+]upstream ok\n[+]workers ok\n[-]serving failed\n',
  });
  expect(asked).toBe(1);
});

test('requests may come at once, in HTTP/1.0, as HEAD, with a query; other forms and methods are refused', async () => {
  const line = (text: string): string => `${text}\r\nHost: a\r\n\r\n`;
  const many = line('HEAD /metrics HTTP/1.1') + line('GET /livez?x=/metrics HTTP/1.1') + line('PUT /livez HTTP/1.1');
  const statuses = (await exchange(many + line('GET /livez/ HTTP/1.1'))).match(/HTTP\/1\.1 \d+/g);
  expect(statuses).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 405', 'HTTP/1.1 404']);
  const old = await exchange('GET /readyz HTTP/1.0\r\n\r\n');
  expect(old).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(old).toContain('\r\nconnection: close\r\n');
  expect(await exchange(line('GET http://gate:9464/livez HTTP/1.1'))).toMatch(/^HTTP\/1\.1 40[04] /);
  expect(await exchange(line('GET /toString HTTP/1.1'))).toMatch(/^HTTP\/1\.1 404 /);
});
