import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { beforeAll, expect, test } from 'vitest';
import { within } from './harness/eventually.ts';
import { credentialsIn, type House, type Serving } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, type Credentials, get, openTcp, openTls, WEBSOCKET_OPENING, type Wire } from './harness/wire.ts';

let home: House;
let gate: Serving;
let credentials: Credentials;
/** Opened before all the mischief, and used after each piece of it. */
let steady: Wire;

beforeAll(async () => {
  home = await house();
  const identity = await home.issue('worker/etl-1');
  gate = await home.serve({ upstream: (await echo()).url });
  credentials = await credentialsIn(identity);
  steady = await openTls(gate.port, credentials);
}, 60_000);

/** The gate still serves the connection it had, and a new one. */
async function stillServes(): Promise<void> {
  expect((await within('an answer on the old connection', ask(steady, get('/api/hello')))).status).toBe(200);
  const fresh = await openTls(gate.port, credentials);
  expect((await within('an answer on a new connection', ask(fresh, get('/api/hello')))).status).toBe(200);
  fresh.socket.destroy();
}

test('garbage in place of a handshake, and plain HTTP', async () => {
  for (const bytes of [
    randomBytes(5000),
    Buffer.from(get('/')),
    Buffer.from([0x16, 3, 1, 0xff, 0xff]),
    Buffer.alloc(20_000),
  ]) {
    const wire = await openTcp(gate.port);
    wire.send(bytes);
    wire.socket.end();
    await within('the connection ends', wire.ended);
  }
  await gate.logged((line) => line.msg === 'tls handshake failed');
  await stillServes();
});

test('many half handshakes that stay open', async () => {
  // The first bytes of a ClientHello, and never the rest.
  const wires = await Promise.all(Array.from({ length: 100 }, async () => await openTcp(gate.port)));
  for (const wire of wires) wire.send(Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]));
  await stillServes();
  for (const wire of wires) wire.reset();
  await stillServes();
});

test('a reset at every stage: before and in the handshake, in a head, in a body, in an answer, in a WebSocket', async () => {
  const socket = connect(gate.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.once('connect', () => socket.resetAndDestroy());
  for (const bytes of [
    null,
    'GET /api/he',
    'POST /api/logs/ HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf',
    'POST /api/logs/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab',
    get('/api/hello'),
    WEBSOCKET_OPENING,
  ]) {
    const wire = await openTls(gate.port, credentials);
    if (bytes !== null) {
      wire.socket.write(bytes);
      if (bytes.startsWith('GET /api/hello') || bytes.includes('websocket')) {
        await wire.until('an answer', (received) => (received.length > 0 ? true : undefined));
      }
    }
    wire.reset();
  }
  await stillServes();
});

test.each([
  ['a head of a megabyte', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(1_000_000)}\r\n\r\n`, 431],
  ['ten thousand header lines', `GET / HTTP/1.1\r\nHost: a\r\n${'x: y\r\n'.repeat(10_000)}\r\n`, 431],
  ['a target of a megabyte', `GET /${'a'.repeat(1_000_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, null],
  ['binary garbage', randomBytes(100_000), 400],
  ['a bare line feed', 'GET / HTTP/1.1\nHost: a\n\n', 400],
  [
    'both framings',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    400,
  ],
  [
    'an absurd chunk',
    'POST /api/logs/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n',
    400,
  ],
] as const)('%s after the handshake is refused, and nobody else notices', async (_, bytes, status) => {
  const wire = await openTls(gate.port, credentials);
  wire.send(bytes);
  const answer = await within('an answer', wire.answer());
  if (status === null) expect([400, 414, 431]).toContain(answer.status);
  else expect(answer.status).toBe(status);
  await within('the connection ends', wire.ended);
  await stillServes();
});

test('and it is the same process, still running, that has logged no fault of its own', async () => {
  await stillServes();
  expect(gate.log().filter((line) => Number(line['level']) >= 50 || line['level'] === 'error')).toEqual([]);
  expect(gate.running.stderr()).not.toMatch(/CG_INTERNAL|Unhandled|\n {4}at /);
});
