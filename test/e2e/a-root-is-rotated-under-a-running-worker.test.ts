import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually, within } from './harness/eventually.ts';
import { clientEnvironment, driver, prefectPrograms } from './harness/prefect.ts';
import { type Running, start } from './harness/processes.ts';
import { folder, house, sharedPrefect } from './harness/scenario.ts';

interface Status {
  readonly certificates: ReadonlyArray<{ readonly role: string; readonly generation: number; readonly state: string }>;
  readonly withoutBundle: readonly string[];
}

test('a root is rotated, from prepare to retire, under a running worker with flows in flight: no run fails, nothing is restarted', async () => {
  const [home, programs, temporary] = await Promise.all([house(), prefectPrograms(), folder()]);
  const [gate, worker, alice] = await Promise.all([
    home.serve({ upstream: sharedPrefect() }),
    home.issue('worker/etl-1'),
    home.issue('user/alice'),
  ]);
  const certgate = (...args: string[]) => home.certgate([...args, '--config', home.config]);
  const status = async (): Promise<Status> => JSON.parse((await certgate('ca', 'status', '--json')).stdout) as Status;
  const environment = (name: string, more: NodeJS.ProcessEnv = {}) =>
    clientEnvironment(null, join(temporary, name), { CERTGATE_CONNECT_TRUST_INTERVAL: '1s', ...more });

  const working = start(
    ...home.run(gate, worker, [join(programs, 'prefect'), 'worker', 'start', '--pool', 'rotated', '--type', 'process']),
    { env: environment('worker', { PREFECT_WORKER_QUERY_SECONDS: '1' }) },
  );
  const stop = join(temporary, 'stop');
  const runs = start(...home.run(gate, alice, [join(programs, 'python'), driver('runs_until'), 'rotated', stop]), {
    env: environment('alice'),
  });
  const oneMore = async (running: Running): Promise<void> => {
    const before = running.stdout().match(/ended/g)?.length ?? 0;
    await running.line((line) => Number(/^run (\d+) ended/.exec(line)?.[1] ?? 0) > before + 1, 120_000);
  };
  await oneMore(runs);

  await certgate('ca', 'rotate', 'root', 'prepare');
  await eventually(
    'both sidecars have taken the bundle',
    async () => (await status()).withoutBundle.length === 0 || undefined,
  );
  await certgate('ca', 'rotate', 'root', 'activate');
  await gate.logged((line) => line.msg === 'server certificate renewed');
  await oneMore(runs);
  const refused = await home.certgate(['ca', 'rotate', 'root', 'retire', '--config', home.config], 3);
  expect(refused.stderr).toContain('root 1 is still in use by "user/alice", "worker/etl-1"');

  // Each gets a certificate by the new root into its folder, takes it by itself, and the old one is taken back.
  for (const [name, dir] of [
    ['worker/etl-1', worker],
    ['user/alice', alice],
  ] as const) {
    await writeFile(join(temporary, 'old.pem'), await readFile(join(dir, 'tls.crt')));
    await home.issue(name, '--force');
    const serial = new X509Certificate(await readFile(join(dir, 'tls.crt'))).serialNumber.toLowerCase();
    await gate.logged((line) => line['serial'] === serial);
    await oneMore(runs);
    await certgate('revoke', '--file', join(temporary, 'old.pem'), '--reason', 'superseded');
  }
  await certgate('ca', 'rotate', 'root', 'retire');
  await gate.logged((line) => line.msg === 'the CA has changed' && (line['issuers'] as string[]).length === 1);
  await oneMore(runs);
  await writeFile(stop, '');
  const ended = await within('the runs end', runs.exited, 150_000);
  expect(ended.code, `${runs.stderr()}\n${working.stderr()}`).toBe(0);
  const all = JSON.parse(runs.stdout().trimEnd().split('\n').at(-1) ?? '') as ReadonlyArray<{ readonly state: string }>;
  expect(all.length).toBeGreaterThan(4);
  expect(all.filter(({ state }) => state !== 'Completed')).toEqual([]);
  process.kill(working.pid, 0); // still the first one

  const states = (await status()).certificates.map(({ role, generation, state }) => `${role} ${generation} ${state}`);
  expect(states).toEqual(['root 1 retired', 'root 2 active', 'issuer 1 retired', 'issuer 2 active']);
  const bundle = await readFile(join(home.dir, 'certs', 'ca.crt'), 'utf8');
  for (const dir of [worker, alice]) {
    await eventually(
      'the smaller bundle reaches it',
      async () => (await readFile(join(dir, 'ca.crt'), 'utf8')) === bundle || undefined,
    );
  }
  await working.stop('SIGTERM');
}, 600_000);
