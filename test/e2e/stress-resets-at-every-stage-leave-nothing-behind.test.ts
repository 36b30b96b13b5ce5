import { utimesSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { eventually, within } from './harness/eventually.ts';
import { type Hostile, hostile, SWITCHED } from './harness/hostile.ts';
import { credentialsIn, type Serving } from './harness/house.ts';
import { descriptorsOf } from './harness/proc.ts';
import { house } from './harness/scenario.ts';
import { ask, type Credentials, get, openTcp, openTls, WEBSOCKET_OPENING, type Wire } from './harness/wire.ts';

const EACH = 50;
/** Descriptors that Node may open for itself after the start. */
const NODES_OWN = 4;
let gate: Serving;
let sidecar: Serving;
let upstream: Hostile;
let identity: string;
let credentials: Credentials;
let base: readonly number[];

const descriptors = (): readonly number[] => [gate, sidecar].map(({ running }) => descriptorsOf(running.pid));

/** /api/endless is answered for ever, /api/never not at all; anything else with `ok`. */
function answer(socket: Socket, head: string): void {
  if (head.includes('/api/never')) return;
  if (head.includes('websocket')) {
    socket.on('data', (bytes) => socket.write(bytes));
    socket.write(`${SWITCHED}hello`);
  } else if (head.includes('/api/endless')) {
    const more = (): void => {
      if (!socket.destroyed) socket.write(`4000\r\n${'x'.repeat(0x4000)}\r\n`, () => setImmediate(more));
    };
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
    more();
  } else socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok');
}

beforeAll(async () => {
  const home = await house();
  upstream = await hostile(answer);
  gate = await home.serve({ upstream: upstream.url, env: { CERTGATE_SERVE_LIMITS_HANDSHAKE: '3s' } });
  identity = await home.issue('worker/etl-1');
  credentials = await credentialsIn(identity);
  sidecar = await home.connect(gate, identity);
  base = descriptors();
}, 60_000);

/** What a client sends before it resets, and what it waits for first. */
const STAGES: ReadonlyArray<readonly [stage: string, sent: string, awaited: string | null]> = [
  ['in a head', 'GET /api/he', null],
  ['in a body of known length', 'POST /api/never HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf', null],
  ['in a chunk', 'POST /api/never HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab', null],
  ['while it waits for an answer', get('/api/never'), null],
  ['while the answer comes', get('/api/endless'), 'xxxx'],
  ['in a WebSocket', WEBSOCKET_OPENING, 'hello'],
];

test.each(STAGES)('clients that reset %s', async (_, sent, awaited) => {
  for (const open of [() => openTls(gate.port, credentials), () => openTcp(sidecar.port)]) {
    await Promise.all(
      Array.from({ length: EACH }, async () => {
        const wire: Wire = await open();
        wire.send(sent);
        if (awaited !== null) await wire.until(awaited, (bytes) => (bytes.includes(awaited) ? true : undefined));
        wire.reset();
      }),
    );
  }
});

test('clients that reset before, in and right after the handshake', async () => {
  const half = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
  for (const bytes of [null, half]) {
    for (const wire of await Promise.all(Array.from({ length: EACH }, async () => await openTcp(gate.port)))) {
      if (bytes !== null) wire.send(bytes);
      wire.reset();
    }
  }
  for (const wire of await Promise.all(
    Array.from({ length: EACH }, async () => await openTls(gate.port, credentials)),
  )) {
    wire.reset();
  }
});

test('upstream resets all that it has open, whatever stage it is in, and each client learns of it', async () => {
  const clients = STAGES.filter(([, sent]) => sent.includes('\r\n\r\n'));
  const wires = await Promise.all(
    clients.flatMap(([, sent, awaited]) =>
      Array.from({ length: EACH }, async () => {
        const wire = await openTcp(sidecar.port);
        wire.send(sent);
        if (awaited !== null) await wire.until(awaited, (bytes) => (bytes.includes(awaited) ? true : undefined));
        // What has no end is not collected.
        if (awaited !== null) wire.socket.removeAllListeners('data').resume();
        return wire;
      }),
    ),
  );
  await eventually('all of it is at upstream', () => (upstream.open.size >= wires.length ? true : undefined));
  for (const socket of upstream.open) socket.resetAndDestroy();
  await within(
    'each client has an answer, or the end of its connection',
    Promise.all(
      wires.map(async (wire) => {
        const told = wire.until('502', (bytes) => (bytes.includes(' 502 ') ? true : undefined)).catch(() => true);
        await Promise.race([wire.ended, told]);
        wire.socket.destroy();
      }),
    ),
  );
});

test('and afterwards both sidecars serve, and hold no more descriptors than before', async () => {
  for (const wire of [await openTls(gate.port, credentials), await openTcp(sidecar.port)]) {
    expect((await within('an answer', ask(wire, get('/api/hello')))).body.toString()).toBe('ok');
    wire.socket.destroy();
  }
  await eventually('upstream has no connection left', () => (upstream.open.size === 0 ? true : undefined));
  // The sidecar would keep idle connections to the gate for a minute, but not beside new credentials.
  const now = new Date();
  utimesSync(join(identity, 'tls.crt'), now, now);
  await eventually('descriptors are back', () =>
    descriptors().every((n, at) => n <= (base[at] ?? 0) + NODES_OWN) ? true : undefined,
  );
});
