// "Five minutes on two machines": the commands of README.md's own blocks, on two machines that are folders, before a real
// Prefect. What is put in are addresses: a free port for each of 4200, 8443 and 4210, by variables, and for gate.example the
// address that both have in common. Left out is the set-up of the program (npm ci, npm run build: test/build).

import { existsSync, mkdirSync } from 'node:fs';
import { cp, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { expect, inject, test } from 'vitest';
import { fetchAvailable, post } from './harness/api.ts';
import { certgateOnPath, paste, pasteAndLeave, shellBlocks, type Terminal } from './harness/documented.ts';
import { eventually } from './harness/eventually.ts';
import { freePort } from './harness/ports.ts';
import { clientEnvironment, prefectPrograms } from './harness/prefect.ts';
import { folder } from './harness/scenario.ts';

const blocks = (heading: string, count: number): readonly string[] => {
  const found = shellBlocks('README.md', heading);
  expect(found, heading).toHaveLength(count);
  return found;
};

test('two machines, by the commands of the README: a worker and a person join, one is taken back, and each step says what it does', async () => {
  const [dir, prefectPort, gatePort, sidecarPort] = [
    await folder(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const PATH = [certgateOnPath(join(dir, 'bin')), await prefectPrograms(), process.env['PATH'] ?? ''].join(delimiter);
  const machine = (name: string, extra: NodeJS.ProcessEnv): Terminal => {
    const cwd = join(dir, name);
    mkdirSync(cwd);
    return { cwd, env: clientEnvironment(null, join(dir, `${name}.prefect`), { PATH, ...extra }) };
  };
  const server = machine('server', {
    PREFECT_SERVER_API_PORT: String(prefectPort),
    CERTGATE_SERVE_UPSTREAM: `http://127.0.0.1:${prefectPort}`,
    CERTGATE_SERVE_LISTEN: `127.0.0.1:${gatePort}`,
    CERTGATE_SERVE_DRAIN: '0s',
  });
  const worker = machine('worker', { PREFECT_WORKER_QUERY_SECONDS: '1' });
  const alice = machine('alice', { CERTGATE_CONNECT_LISTEN: `127.0.0.1:${sidecarPort}` });
  const here = (commands: string): string =>
    commands.replaceAll('gate.example', '127.0.0.1').replaceAll('4210', String(sidecarPort));
  const prefect = `http://127.0.0.1:${prefectPort}`;
  const workers = async (): Promise<readonly string[]> =>
    (await post<{ status: string }[]>(prefect, '/work_pools/etl/workers/filter', {})).map(({ status }) => status);

  const [version = ''] = blocks('1. The program, on both machines', 1);
  expect((await paste(version.split('\n').find((line) => line.startsWith('certgate')) ?? '', worker)).stdout).toMatch(
    /^\d/,
  );

  const [init = '', prefectStart = '', serve = '', tokens = ''] = blocks('2. The server machine', 4);
  await paste(here(init), server);
  const home = { ...server, cwd: join(server.cwd, 'certgate-home') };
  await cp(inject('prefectTemplate'), join(dir, 'server.prefect'), { recursive: true });
  pasteAndLeave(prefectStart, server);
  await eventually(
    'Prefect answers',
    async () => ((await fetch(`${prefect}/api/health`)).ok ? true : undefined),
    180_000,
  );
  const gate = pasteAndLeave(serve, home);
  await gate.line((line) => line.includes('"listening"'));
  const { stdout } = await paste(tokens, home);
  const [workerToken = '', aliceToken = ''] = stdout.split('\n').filter((line) => line.startsWith('cgt'));
  expect(aliceToken).not.toBe('');

  const [run = ''] = blocks('3. The worker machine', 1);
  await writeFile(join(worker.cwd, 'token'), workerToken, { mode: 0o600 });
  const working = pasteAndLeave(run, worker);
  await eventually('the worker is there', async () => ((await workers()).includes('ONLINE') ? true : undefined));
  expect(existsSync(join(worker.cwd, 'worker-etl-1/tls.crt'))).toBe(true);

  const [connect = '', commands = ''] = blocks('4. A person', 2);
  await writeFile(join(alice.cwd, 'token'), aliceToken, { mode: 0o600 });
  const sidecar = pasteAndLeave(connect, alice);
  await sidecar.line((line) => line.includes('"listening"'));
  const ui = await fetchAvailable(`http://127.0.0.1:${sidecarPort}/`);
  expect([ui.status, await ui.text()]).toEqual([200, expect.stringContaining('<html')]);
  const asAlice = { ...alice, env: { ...alice.env, NO_COLOR: '1' } };
  expect((await paste(here(commands), asAlice)).stdout).toContain('etl');

  const [revoke = '', again = '', lock = ''] = blocks('5. Take it back', 3);
  const said = await paste(revoke, home);
  expect(said.stdout + said.stderr).toContain('revoked');
  const { code } = await working.exited;
  expect(code).not.toBe(0);
  expect((await paste(here(commands), asAlice)).stdout).toContain('etl');
  const [make = '', use = '', ...rest] = again.trim().split('\n');
  expect(rest).toEqual([]);
  await writeFile(join(worker.cwd, 'token'), (await paste(make, home)).stdout.trim(), { mode: 0o600 });
  await paste(use, worker);
  const back = pasteAndLeave(run, worker);
  await back.line((line) => line.includes('Worker') && line.includes('started'));

  const [shut = '', show = '', open = ''] = lock.trim().split('\n');
  const status = async (): Promise<number> => (await fetch(`http://127.0.0.1:${sidecarPort}/api/version`)).status;
  await paste(shut, home);
  await eventually('alice is kept out', async () => ((await status()) === 403 ? true : undefined));
  expect((await paste(show, home)).stdout).toContain('user/alice');
  await paste(open, home);
  await eventually('alice is let in', async () => ((await status()) === 200 ? true : undefined));
}, 300_000);
