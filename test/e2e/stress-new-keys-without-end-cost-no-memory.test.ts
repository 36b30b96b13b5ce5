import { beforeAll, expect, test } from 'vitest';
import { eventually, within } from './harness/eventually.ts';
import { hostile, SWITCHED } from './harness/hostile.ts';
import { credentialsIn, type Serving } from './harness/house.ts';
import { descriptorsOf, rssOf } from './harness/proc.ts';
import { DATA, openRecords } from './harness/records.ts';
import { house } from './harness/scenario.ts';
import { ask, type Credentials, get, openTls, WEBSOCKET_OPENING, type Wire } from './harness/wire.ts';

const MIB = 1024 * 1024;
const PER_WRITE = 500;
/** Descriptors that Node may open for itself after the start. */
const NODES_OWN = 4;
let gate: Serving;
let credentials: Credentials;
/** Open before all the mischief, and used after each piece of it. */
let steady: Wire;
let base: number;

beforeAll(async () => {
  const home = await house();
  credentials = await credentialsIn(await home.issue('worker/etl-1'));
  const upstream = await hostile((socket, head) => {
    if (head.includes('websocket')) socket.write(SWITCHED);
    else socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok');
  });
  gate = await home.serve({ upstream: upstream.url, env: { CERTGATE_SERVE_LIMITS_IDLE: '5m' } });
  base = descriptorsOf(gate.running.pid) + 1 + NODES_OWN;
  steady = await openTls(gate.port, credentials);
}, 60_000);

/** The gate serves whom it served, and holds nothing of what was before. */
async function stillServes(): Promise<void> {
  expect((await within('an answer on the old connection', ask(steady, get('/api/hello')))).status).toBe(200);
  await eventually('its descriptors are back', () => (descriptorsOf(gate.running.pid) <= base ? true : undefined));
}

test('new keys without end are answered to who reads, and cost no memory', async () => {
  const peer = await openRecords(gate.port, credentials);
  const before = rssOf(gate.running.pid);
  for (let sent = 0; sent < 20_000; sent += PER_WRITE) {
    const updates = Array.from({ length: PER_WRITE }, () => peer.keyUpdate());
    if (!peer.tcp.write(Buffer.concat(updates))) await new Promise((resolve) => peer.tcp.once('drain', resolve));
  }
  peer.tcp.write(peer.record(DATA, get('/api/hello')));
  await eventually('an answer', () => (peer.received().endsWith('\r\n\r\nok') ? true : undefined));
  expect(rssOf(gate.running.pid) - before).toBeLessThan(32 * MIB);
  peer.tcp.destroy();
  await stillServes();
});

test('new keys without end cut who does not read, though a WebSocket is open, before their answers are much', async () => {
  const peer = await openRecords(gate.port, credentials, false);
  peer.tcp.write(peer.record(DATA, WEBSOCKET_OPENING));
  const before = rssOf(gate.running.pid);
  let gone = false;
  void peer.closed.then(() => (gone = true));
  let sent = 0;
  for (; !gone && sent < 1_000_000; sent += PER_WRITE) {
    const updates = Array.from({ length: PER_WRITE }, () => peer.keyUpdate());
    if (!peer.tcp.write(Buffer.concat(updates))) {
      await Promise.race([new Promise((resolve) => peer.tcp.once('drain', resolve)), peer.closed]);
    }
  }
  expect(gone).toBe(true);
  expect(rssOf(gate.running.pid) - before).toBeLessThan(64 * MIB);
  await stillServes();
}, 300_000);
