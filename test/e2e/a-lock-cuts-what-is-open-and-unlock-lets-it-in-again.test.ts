import { once } from 'node:events';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { answersHalf } from './harness/echo.ts';
import { eventually, within } from './harness/eventually.ts';
import { credentialsIn, type House, type Serving } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, type Credentials, get, openTls } from './harness/wire.ts';

/** A gate whose upstream never ends `/api/slow`, and repeats what a WebSocket is told. */
async function scene(flags: readonly string[] = []) {
  const home = await house();
  const [worker, alice] = await Promise.all([
    home.issue('worker/etl-1').then(credentialsIn),
    home.issue('user/alice').then(credentialsIn),
  ]);
  const upstream = await echo({
    answer: answersHalf('half a body'),
    webSocket: (socket) => socket.on('message', (data: Buffer) => socket.send(data.toString())),
  });
  return { home, worker, alice, gate: await home.serve({ upstream: upstream.url, flags }) };
}

/** A request in flight, an idle connection and a WebSocket. */
async function openAll(gate: Serving, credentials: Credentials) {
  const [inFlight, idle] = await Promise.all([openTls(gate.port, credentials), openTls(gate.port, credentials)]);
  inFlight.send(get('/api/slow'));
  await inFlight.until('half a body', (bytes) => (bytes.includes('half a body') ? true : undefined));
  expect((await ask(idle, get('/api/hello'))).status).toBe(200);
  const socket = new WebSocket(`wss://127.0.0.1:${gate.port}/api/events/in`, 'prefect', credentials);
  socket.on('error', () => {});
  await once(socket, 'open');
  const closed = once(socket, 'close');
  return { inFlight, idle, socket, closed };
}

/** Comes anew, asks, and goes. */
async function come(gate: Serving, credentials: Credentials) {
  const wire = await openTls(gate.port, credentials);
  const { status, body } = await ask(wire, get('/api/hello'));
  wire.socket.destroy();
  return { status, body: body.toString() };
}

const certgate = (home: House, ...words: string[]) => home.certgate([...words, '--config', home.config]);

test.each([
  ['one process', []],
  ['two workers', ['--workers', '2']],
])(
  '%s: a lock cuts requests in flight and WebSockets of its identity alone, and unlock lets the same certificate in again',
  async (_what, flags) => {
    const { home, worker, alice, gate } = await scene(flags);
    const [gone, stays] = [await openAll(gate, worker), await openAll(gate, alice)];

    const said = await certgate(home, 'lock', 'identity', 'worker/etl-1', '--reason', 'odd traffic');
    expect(said.stderr).toContain('has cut 3 connections, 1 request in flight, 1 WebSocket');
    await within('all is cut', Promise.all([gone.inFlight.ended, gone.idle.ended, gone.closed]));
    expect(gone.inFlight.received().toString('latin1')).not.toMatch(/\r\n0\r\n\r\n$/);
    expect([1006, 1008]).toContain((await gone.closed)[0]);
    await gate.logged((line) => line.msg === 'locked: connections cut' && line['locked'] === 'identity worker/etl-1');
    const detail = 'certgate: worker/etl-1 is locked, not revoked, until it is unlocked';
    expect(await come(gate, worker)).toEqual({ status: 403, body: JSON.stringify({ detail }) });
    await certgate(home, 'issue', 'worker/etl-1', '--out', `${home.dir}/another`).then(
      () => expect.fail('a certificate was issued'),
      (error: Error) => expect(error.message).toContain('[CG_LOCKED]'),
    );

    // The other identity has noticed nothing.
    const repeated = once(stays.socket, 'message');
    stays.socket.send('still here');
    expect(String((await repeated)[0])).toBe('still here');
    expect((await ask(stays.idle, get('/api/hello'))).status).toBe(200);

    // Everyone: what was open of alice goes too; one lock ends, the other holds.
    await certgate(home, 'lock', 'all', '--reason', 'moving');
    await within('alice is cut', Promise.all([stays.inFlight.ended, stays.idle.ended, stays.closed]));
    expect((await home.certgate(['health', '--config', home.config])).stdout).toContain('everyone is locked');
    await certgate(home, 'unlock', 'identity', 'worker/etl-1');
    expect((await come(gate, worker)).body).toContain('all clients are locked, worker/etl-1 among them, not revoked');

    await certgate(home, 'unlock', 'all');
    for (const credentials of [worker, alice]) expect((await come(gate, credentials)).status).toBe(200);
    const again = await openAll(gate, worker);
    for (const wire of [again.inFlight, again.idle]) wire.socket.destroy();
    again.socket.terminate();
  },
);

test('a lock with an end ends by itself, also over a restart of the gate, and not before its time', async () => {
  const { home, worker, gate } = await scene();
  const { stdout } = await certgate(
    home,
    'lock',
    'identity',
    'worker/etl-1',
    '--for',
    '4s',
    '--reason',
    'a while',
    '--json',
  );
  const { until } = (JSON.parse(stdout) as { lock: { until: string } }).lock;
  const port = gate.port;
  await gate.stop();
  const upstream = await echo();
  const next = await home.serve({ upstream: upstream.url, port });
  await eventually('the worker is let in', async () => {
    const { status, body } = await come(next, worker);
    const now = Date.now();
    if (status !== 200) {
      expect(body).toContain(`worker/etl-1 is locked, not revoked, until ${until}`);
      return undefined;
    }
    expect(now).toBeGreaterThanOrEqual(Date.parse(until));
    return true;
  });
});
