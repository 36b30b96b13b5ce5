import { once } from 'node:events';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { answersHalf } from './harness/echo.ts';
import { within } from './harness/eventually.ts';
import { credentialsIn } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls } from './harness/wire.ts';

test('revocation cuts requests in flight and open WebSockets, refuses the next request and the next handshake, and leaves other identities alone', async () => {
  const home = await house();
  const [worker, alice] = await Promise.all([home.issue('worker/etl-1'), home.issue('user/alice')]);
  // /slow sends its head and half a body, and then nothing for ever; WebSockets repeat what they are told.
  const upstream = await echo({
    answer: answersHalf('half a body'),
    webSocket: (socket) => socket.on('message', (data: Buffer) => socket.send(data.toString())),
  });
  const gate = await home.serve({ upstream: upstream.url });
  const [doomed, safe] = await Promise.all([credentialsIn(worker), credentialsIn(alice)]);

  const half = /half a body/;
  const openAll = async (credentials: typeof doomed) => {
    const [inFlight, idle] = await Promise.all([openTls(gate.port, credentials), openTls(gate.port, credentials)]);
    inFlight.send(get('/api/slow'));
    await inFlight.until('half a body', (bytes) => (half.test(bytes.toString('latin1')) ? true : undefined));
    expect((await ask(idle, get('/api/hello'))).status).toBe(200);
    const socket = new WebSocket(`wss://127.0.0.1:${gate.port}/api/events/in`, 'prefect', credentials);
    await once(socket, 'open');
    socket.send('hello');
    await once(socket, 'message');
    return { inFlight, idle, socket, closed: once(socket, 'close') };
  };
  const gone = await openAll(doomed);
  const stays = await openAll(safe);
  gone.socket.on('error', () => {});

  const said = await home.certgate(['revoke', 'worker/etl-1', '--config', home.config, '--reason', 'keyCompromise']);
  expect(`${said.stdout}${said.stderr}`).toMatch(/3 connection/);

  // What was open ends, and no body or socket seems to have ended in order.
  await within('the request in flight is cut', gone.inFlight.ended);
  expect(gone.inFlight.received().toString('latin1')).not.toMatch(/\r\n0\r\n\r\n$/);
  await within('the idle connection is cut', gone.idle.ended);
  const [code] = (await within('the WebSocket is cut', gone.closed)) as [number];
  expect([1006, 1008]).toContain(code);

  // The next handshake leads to a refusal that says why.
  const again = await openTls(gate.port, doomed);
  const refused = await ask(again, get('/api/hello'));
  expect([refused.status, JSON.parse(refused.body.toString())]).toEqual([
    403,
    { detail: 'certgate: the certificate of worker/etl-1 was revoked' },
  ]);
  await within('the refused connection ends', again.ended);
  await gate.logged((line) => line['code'] === 'CG_CLIENT_REVOKED' && line['identity'] === 'worker/etl-1');

  // The other identity has noticed nothing.
  expect((await ask(stays.idle, get('/api/hello'))).status).toBe(200);
  const repeated = once(stays.socket, 'message');
  stays.socket.send('still here');
  expect(String((await repeated)[0])).toBe('still here');
  expect(stays.inFlight.received().toString('latin1')).toMatch(half);
  stays.socket.terminate();
  for (const wire of [stays.idle, stays.inFlight]) wire.socket.destroy();
});
