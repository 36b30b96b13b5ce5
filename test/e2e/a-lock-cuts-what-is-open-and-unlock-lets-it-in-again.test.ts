import { expect, test } from 'vitest';
import { come, openAll, slowUpstream } from './harness/all-open.ts';
import { eventually } from './harness/eventually.ts';
import { credentialsIn, type House } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';

async function scene(flags: readonly string[] = []) {
  const home = await house();
  const [worker, alice] = await Promise.all([
    home.issue('worker/etl-1').then(credentialsIn),
    home.issue('user/alice').then(credentialsIn),
  ]);
  const { url } = await slowUpstream();
  return { home, worker, alice, gate: await home.serve({ upstream: url, flags }) };
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
    await gone.cut();
    await gate.logged((line) => line.msg === 'locked: connections cut' && line['locked'] === 'identity worker/etl-1');
    const detail = 'certgate: worker/etl-1 is locked, not revoked, until it is unlocked';
    expect(await come(gate, worker)).toEqual({ status: 403, body: JSON.stringify({ detail }) });
    await certgate(home, 'issue', 'worker/etl-1', '--out', `${home.dir}/another`).then(
      () => expect.fail('a certificate was issued'),
      (error: Error) => expect(error.message).toContain('[CG_LOCKED]'),
    );

    // The other identity has noticed nothing.
    await stays.goOn();
    const open = await openAll(gate, alice);

    // Everyone: what was open of alice goes too; one lock ends, the other holds.
    await certgate(home, 'lock', 'all', '--reason', 'moving');
    await open.cut();
    expect((await home.certgate(['health', '--config', home.config])).stdout).toContain('everyone is locked');
    await certgate(home, 'unlock', 'identity', 'worker/etl-1');
    expect((await come(gate, worker)).body).toContain('all clients are locked, worker/etl-1 among them, not revoked');

    await certgate(home, 'unlock', 'all');
    for (const credentials of [worker, alice]) expect((await come(gate, credentials)).status).toBe(200);
    await (await openAll(gate, worker)).goOn();
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
