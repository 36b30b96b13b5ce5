// Several workers and the listener for enrolment behind a load balancer, 127.0.0.2, that speaks the PROXY protocol; whose
// connection it is, the log and the record then say, with nothing else changed.

import { expect, test } from 'vitest';
import { binaryFrom } from '../inbound/proxy-header.ts';
import { credentialsIn } from './harness/house.ts';
import { freePort } from './harness/ports.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls } from './harness/wire.ts';

test('each worker, and the listener for enrolment, takes a client’s address from the balancer and from nobody else', async () => {
  const upstream = await echo();
  const home = await house();
  const door = await freePort();
  const gate = await home.serve({
    upstream: upstream.url,
    flags: ['--workers', '2', '--enroll-listen', `127.0.0.1:${door}`],
    env: { CERTGATE_SERVE_PROXY_PROTOCOL_FROM: '127.0.0.2' },
  });
  const worker = await credentialsIn(await home.issue('worker/etl-1'));
  const balanced = (port: number, client: string) =>
    openTls(port, worker, { from: '127.0.0.2', before: binaryFrom(client) });

  const wires = await Promise.all(['192.0.2.1', '192.0.2.2', '192.0.2.3'].map((client) => balanced(gate.port, client)));
  for (const [i, wire] of wires.entries()) {
    const { status } = await ask(wire, get('/api/health'));
    expect(status).toBe(200);
    await gate.logged(({ msg, address }) => msg === 'request' && address === `192.0.2.${i + 1}`);
  }
  const enrolling = await balanced(door, '192.0.2.9');
  expect((await ask(enrolling, get('/api/health'))).status).toBe(404);
  await gate.logged(({ msg, address }) => msg === 'nothing there for a request' && address === '192.0.2.9');

  for (const port of [gate.port, door]) {
    await expect(openTls(port, worker, { before: binaryFrom('192.0.2.9') })).rejects.toThrow(
      'the connection ended in the handshake',
    );
    await expect(openTls(port, worker, { from: '127.0.0.2' })).rejects.toThrow('the connection ended in the handshake');
  }
  await gate.logged(({ msg, address, reason }) => {
    return msg === 'no client address' && address === '127.0.0.2' && String(reason).startsWith('begins with TLS');
  });
  const direct = await openTls(gate.port, worker);
  expect((await ask(direct, get('/api/health'))).status).toBe(200);
});
