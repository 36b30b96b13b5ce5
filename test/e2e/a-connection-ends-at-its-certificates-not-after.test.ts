import { once } from 'node:events';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { sign } from './harness/certificates.ts';
import { within } from './harness/eventually.ts';
import { credentialsIn } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls } from './harness/wire.ts';

test('a connection, and a WebSocket, ends at its certificate’s notAfter; the next handshake is refused, others go on', async () => {
  const home = await house();
  const upstream = await echo({
    webSocket: (socket) => socket.on('message', (data: Buffer) => socket.send(data.toString())),
  });
  const gate = await home.serve({ upstream: upstream.url });
  const lasting = await openTls(gate.port, await credentialsIn(await home.issue('user/alice')));

  // Whole seconds: X.509 knows no others.
  const notAfter = Math.ceil(Date.now() / 1000) * 1000 + 10_000;
  const brief = await sign(home, { identity: 'worker/brief', notBefore: notAfter - 60_000, notAfter, recorded: true });
  const wire = await openTls(gate.port, brief);
  expect((await ask(wire, get('/api/hello'))).status).toBe(200);
  const socket = new WebSocket(`wss://127.0.0.1:${gate.port}/api/events/in`, 'prefect', brief);
  socket.on('error', () => {});
  const closed = once(socket, 'close').then(() => Date.now());
  const ended = wire.ended.then(() => Date.now());
  await once(socket, 'open');
  socket.send('hello');
  await once(socket, 'message');

  for (const at of await within('both end', Promise.all([ended, closed]))) expect(at).toBeGreaterThanOrEqual(notAfter);

  const again = await openTls(gate.port, brief);
  const refused = await ask(again, get('/api/hello'));
  expect([refused.status, JSON.parse(refused.body.toString())]).toEqual([
    403,
    { detail: `certgate: the client certificate expired at ${new Date(notAfter).toISOString()}` },
  ]);
  expect((await ask(lasting, get('/api/hello'))).status).toBe(200);
  lasting.socket.destroy();
});
