import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { House, Serving } from './harness/house.ts';
import { clientEnvironment, driver, prefectPrograms } from './harness/prefect.ts';
import { finish, start } from './harness/processes.ts';
import { folder, house, sharedPrefect } from './harness/scenario.ts';

let home: House;
let gate: Serving;
let url: string;
let temporary: string;
let programs: string;

beforeAll(async () => {
  [home, temporary, programs] = await Promise.all([house(), folder(), prefectPrograms()]);
  gate = await home.serve({ upstream: sharedPrefect() });
  url = (await home.connect(gate, await home.issue('user/alice'))).url;
}, 300_000);

test('the UI’s page, its scripts and its settings come through as Prefect serves them', async () => {
  const read = async (base: string, path: string) => {
    const response = await fetch(base + path);
    return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
  };
  const page = await read(url, '/');
  expect(page).toEqual(await read(sharedPrefect(), '/'));
  expect(page).toMatchObject({ status: 200, type: expect.stringContaining('text/html') as string });
  const scripts = [...page.text.matchAll(/(?:src|href)="([^"]+\.(?:js|css))"/g)].map((match) => match[1] ?? '');
  expect(scripts.length).toBeGreaterThan(0);
  for (const path of ['/dashboard', ...scripts]) {
    const absolute = path.startsWith('/') ? path : `/${path.replace(/^\.\//, '')}`;
    expect(await read(url, absolute), absolute).toEqual(await read(sharedPrefect(), absolute));
  }
  // Prefect names the address that it knows itself by; the UI is to call the origin that it was loaded from.
  const settings = async (base: string) => JSON.parse((await read(base, '/ui-settings')).text) as object;
  expect(await settings(url)).toEqual({ ...(await settings(sharedPrefect())), api_url: `${url}/api` });
});

test('`flow.serve`, `prefect deployment run --watch`, `prefect work-pool ls` and `prefect flow-run ls` work through the sidecar', async () => {
  const env = clientEnvironment(url, join(temporary, 'alice'), { COLUMNS: '200' });
  const prefect = async (...args: string[]): Promise<string> => {
    const ran = await finish(join(programs, 'prefect'), args, { env, boundMs: 120_000 });
    expect(ran.code, `prefect ${args.join(' ')}\n${ran.stdout}\n${ran.stderr}`).toBe(0);
    return ran.stdout;
  };
  const worker = await home.issue('worker/etl-1');
  const serving = start(...home.run(gate, worker, [join(programs, 'python'), driver('serve_work'), 'served']), {
    env: clientEnvironment(null, join(temporary, 'worker'), { PREFECT_RUNNER_POLL_FREQUENCY: '1' }),
    cwd: join(import.meta.dirname, 'python'),
  });
  const pool = prefect('work-pool', 'create', 'listed', '--type', 'process');
  await serving.line((line) => line.includes('work/served'));
  const [watched] = await Promise.all([prefect('deployment', 'run', 'work/served', '--watch'), pool]);
  expect(watched).toMatch(/finished in state|finished successfully|Completed/i);
  const [pools, runs] = await Promise.all([prefect('work-pool', 'ls'), prefect('flow-run', 'ls')]);
  expect(pools).toContain('listed');
  expect(runs).toMatch(/COMPLETED|Completed/);
  await serving.stop('SIGINT');
}, 300_000);
