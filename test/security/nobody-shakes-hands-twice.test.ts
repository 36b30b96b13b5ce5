// Where TLS 1.2 is allowed, a client may ask for another handshake on its connection (RFC 5246 §7.4.1.1), in which it could
// present another certificate behind an identity that was decided once for the connection. There is none: it is told
// no_renegotiation (§7.2.2), what it asks meanwhile is answered as before, and the fourth time ends its connection.

import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DATA, HANDSHAKE } from '../e2e/harness/records.ts';
import { type GateFixture, type GateHouse, openGateHouse, workerCredentials } from './gate-fixture.ts';
import { type LenientUpstream, startLenientUpstream } from './lenient-upstream.ts';
import { openOldRecords } from './old-records.ts';

const GET = 'GET /api/hello HTTP/1.1\r\nHost: gate.test\r\n\r\n';
/** A warning: no_renegotiation. */
const NO_RENEGOTIATION = '1.100';
let house: GateHouse;
let upstream: LenientUpstream;
let gate: GateFixture;
let credentials: { readonly cert: string; readonly key: string; readonly ca: string };

beforeAll(async () => {
  house = await openGateHouse();
  upstream = await startLenientUpstream();
  gate = await house.start(upstream.port, { minTls: '1.2' });
  credentials = workerCredentials(house);
});
afterAll(async () => {
  await gate.close();
  await house.close();
  upstream.close();
});

/** A ClientHello of TLS 1.2 with one cipher suite and no extension. */
function clientHello(): Buffer {
  const body = Buffer.concat([Buffer.from([3, 3]), Buffer.alloc(32, 7), Buffer.from([0, 0, 2, 0xc0, 0x2b, 1, 0])]);
  return Buffer.concat([Buffer.from([1, 0, 0, body.length]), body]);
}

test('three tries are refused, between requests and within one, and nothing else changes; the fourth ends the connection', async () => {
  const peer = await openOldRecords(gate.port, credentials);
  const until = async (what: () => boolean): Promise<void> => {
    while (!what()) await new Promise((resolve) => setImmediate(resolve));
  };
  for (const tries of [1, 2, 3]) {
    const [begun, rest] = [GET.slice(0, 9), GET.slice(9)];
    peer.tcp.write(peer.record(DATA, begun));
    peer.tcp.write(peer.record(HANDSHAKE, clientHello()));
    await until(() => peer.received().alerts.length === tries);
    peer.tcp.write(peer.record(DATA, rest));
    await until(() => peer.received().data.split('\r\n\r\n/api/hello').length === tries + 1);
    expect(peer.received().alerts).toEqual(Array.from({ length: tries }, () => NO_RENEGOTIATION));
  }
  const heard = upstream.take().map(({ head }) => /^x-certgate-identity: (.*)\r$/m.exec(head)?.[1]);
  expect(heard).toEqual(['worker/etl-1', 'worker/etl-1', 'worker/etl-1']);
  peer.tcp.write(peer.record(HANDSHAKE, clientHello()));
  await peer.closed;
});

test('a client whose TLS asks for one is told so by it, and the gate serves on', async () => {
  const socket = connect({ host: '127.0.0.1', port: gate.port, maxVersion: 'TLSv1.2', ...credentials });
  await new Promise((resolve, reject) => socket.once('secureConnect', () => resolve(null)).once('error', reject));
  const failed = new Promise<Error>((resolve) => socket.once('error', resolve));
  socket.renegotiate({}, () => {});
  expect(String(await failed)).toContain('no renegotiation');
  const client = await gate.connect();
  client.send(GET);
  expect(await client.until('/api/hello')).toMatch(/^HTTP\/1\.1 200 /);
  client.socket.destroy();
});
