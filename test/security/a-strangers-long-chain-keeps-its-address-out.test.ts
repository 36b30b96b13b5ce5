// OpenSSL verifies every signature of a chain that leads nowhere, and Node can't have it stop: a stranger could hold the
// gate's loop for a third of a second with each handshake. After some such chains its address is kept out for a while, also
// what of it is in its handshake already, but where no address is limited; a client of this CA may show what it likes.

import { readFileSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as shake } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { GATE_LIMITS } from '../inbound/gate-options.ts';
import { folderWith, openssl } from '../pki/openssl.ts';
import { type ClientFiles, type GateFixture, type GateHouse, openGateHouse } from './gate-fixture.ts';
import { type LenientUpstream, startLenientUpstream } from './lenient-upstream.ts';

const GET = 'GET /api/hello HTTP/1.1\r\nHost: gate.test\r\n\r\n';
let house: GateHouse;
let upstream: LenientUpstream;
let gate: GateFixture;

beforeAll(async () => {
  house = await openGateHouse();
  upstream = await startLenientUpstream();
});
beforeEach(async () => {
  gate = await house.start(upstream.port, { limits: { ...GATE_LIMITS, handshakesPerAddress: 500 } });
});
afterEach(async () => await gate.close());
afterAll(async () => {
  await house.close();
  upstream.close();
});

/** Signed by itself, as long as a chain of a hundred. */
async function longStranger(): Promise<ClientFiles> {
  const names = Array.from({ length: 2_500 }, (_, i) => `DNS:a-name-of-some-length-${i}.test`).join(',');
  const folder = folderWith({});
  const words = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out crt -subj /CN=x -addext';
  expect(await openssl(folder, ...words.split(' '), `subjectAltName=${names}`)).toMatchObject({ ok: true });
  return { cert: join(folder, 'crt'), key: join(folder, 'key') };
}

/** What `to` answers to who comes with `files`. */
async function refusalOf(to: GateFixture, files: ClientFiles): Promise<string> {
  const stranger = await to.connect(files);
  stranger.send(GET);
  return (await stranger.ended()).text;
}

test('the stranger is told why, and the address is kept out, what waits for its handshake included', async () => {
  const waiting: Socket = connect({ host: '127.0.0.1', port: gate.port });
  const reset = new Promise<string>((resolve) => {
    waiting.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
  });
  await new Promise((resolve) => waiting.once('connect', resolve));
  const files = await longStranger();
  for (let i = 0; i < 4; i++) {
    expect(await refusalOf(gate, files)).toContain('the client certificate is not from the CA of this gate');
  }
  await expect(gate.connect()).rejects.toThrow(/ECONNRESET|disconnected/u);
  expect(await reset).toBe('ECONNRESET');
  expect((await gate.health()).metrics).toMatchObject({ limitedHandshakes: 2 });
});

test('nobody is kept out where addresses are not limited', async () => {
  const open = await house.start(upstream.port, { limits: GATE_LIMITS });
  const files = await longStranger();
  for (let i = 0; i < 6; i++) await refusalOf(open, files);
  (await open.connect()).socket.destroy();
  expect((await open.health()).metrics).toMatchObject({ limitedHandshakes: 0 });
  await open.close();
});

test('a client of this CA may bring as much', async () => {
  const { cert } = await longStranger();
  const [own, key] = [join(house.worker, 'tls.crt'), join(house.worker, 'tls.key')];
  const folder = folderWith({});
  writeFileSync(join(folder, 'crt'), readFileSync(own, 'utf8') + readFileSync(cert, 'utf8'));
  const long = { cert: join(folder, 'crt'), key };
  for (const files of [long, long, long, long, long, undefined]) {
    const client = await gate.connect(files);
    client.send(GET);
    expect(await client.until('/api/hello')).toContain('HTTP/1.1 200 ');
    client.socket.destroy();
  }
});

test('a client that speaks no group but a dear one comes to no handshake', async () => {
  const socket = shake({ host: '127.0.0.1', port: gate.port, ecdhCurve: 'P-521', rejectUnauthorized: false });
  const failed = new Promise<string>((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    socket.once('secureConnect', () => resolve('it came to one'));
  });
  expect(await failed).toMatch(/HANDSHAKE_FAILURE/u);
});
