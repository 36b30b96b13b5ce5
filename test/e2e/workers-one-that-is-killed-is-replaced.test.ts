import { mkdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { answersHalf } from './harness/echo.ts';
import { eventually, within } from './harness/eventually.ts';
import { credentialsIn } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls, type Wire } from './harness/wire.ts';

test('a worker that is killed is replaced, logged and counted, what it held is free, and clients of the other notice nothing', async () => {
  const home = await house();
  const credentials = await credentialsIn(await home.issue('worker/etl-1'));
  const upstream = await echo({
    answer: answersHalf('half'),
  });
  const gate = await home.serve({
    upstream: upstream.url,
    flags: ['--workers', '2'],
    env: { CERTGATE_SERVE_LIMITS_CONNECTIONS_PER_IDENTITY: '8', CERTGATE_SERVE_LIMITS_CONNECTIONS_PER_ADDRESS: '9' },
  });
  const byProcess = new Map<string, Wire[]>();
  for (let i = 0; i < 8; i++) {
    const wire = await openTls(gate.port, credentials);
    const answer = await ask(wire, get('/api/hello'));
    const process = answer.headers['x-request-id']?.split('-')[0] ?? '';
    byProcess.set(process, [...(byProcess.get(process) ?? []), wire]);
  }
  // Evenly: to the worker with the fewest.
  expect([...byProcess.values()].map(({ length }) => length)).toEqual([4, 4]);
  const [ones = [], others = []] = [...byProcess.values()];
  for (const wire of [...ones, ...others].filter((_, i) => i % 2 === 0)) {
    wire.send(get('/api/slow'));
    await wire.until('half an answer', (bytes) => (bytes.includes('half') ? true : undefined));
  }
  const pids = gate.log().flatMap((line) => (line.msg === 'worker started' ? [Number(line['pid'])] : []));
  expect(pids.length).toBe(2);

  process.kill(pids[0] ?? 0, 'SIGKILL');
  await gate.logged((line) => line.msg === 'worker lost, starting another' && line['pid'] === pids[0]);
  const gone = await within(
    'the clients of one worker are cut',
    Promise.any(
      [ones, others].map(async (wires) => {
        await Promise.all(wires.map(({ ended }) => ended));
        return wires;
      }),
    ),
  );
  const stay = gone === ones ? others : ones;
  await gate.logged((line) => line.msg === 'worker started' && !pids.includes(Number(line['pid'])));

  // The others are where they were, in flight or idle.
  for (const [i, wire] of stay.entries()) {
    if (i % 2 === 1) expect((await ask(wire, get('/api/hello'))).status).toBe(200);
    else expect(wire.socket.destroyed).toBe(false);
  }
  // Identity and address have room for exactly as many as were lost, and they go to the new worker.
  const fresh: Wire[] = [];
  for (let i = 0; i < 4; i++) fresh.push(await openTls(gate.port, credentials));
  const answers = await Promise.all(fresh.map(async (wire) => await ask(wire, get('/api/hello'))));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect(new Set(answers.map(({ headers }) => headers['x-request-id']?.split('-')[0])).size).toBe(1);
  const ninth = await openTls(gate.port, credentials);
  expect((await ask(ninth, get('/api/hello'))).status).toBe(429);
  const health = await eventually('the gate is well again', async () => {
    const { stdout } = await home.certgate(['health', '--json', '--config', home.config]);
    return JSON.parse(stdout) as { status: string; connections: number; metrics: Record<string, number> };
  });
  expect(health).toMatchObject({ status: 'ok', connections: 8, metrics: { workersLost: 1, limitedConnections: 1 } });
  for (const wire of [...stay, ...fresh]) wire.socket.destroy();
});

test('a worker is replaced also where the folder that the gate was started in was removed meanwhile', async () => {
  const home = await house();
  const release = join(home.dir, 'release');
  await mkdir(release);
  const upstream = await echo({ answer: answersHalf('half') });
  const gate = await home.serve({ upstream: upstream.url, flags: ['--workers', '2'], cwd: release });
  await rmdir(release);
  const pids = gate.log().flatMap((line) => (line.msg === 'worker started' ? [Number(line['pid'])] : []));
  process.kill(pids[0] ?? 0, 'SIGKILL');
  await gate.logged((line) => line.msg === 'worker started' && !pids.includes(Number(line['pid'])));
});
