import { join } from 'node:path';
import { expect, test } from 'vitest';
import { within } from './harness/eventually.ts';
import { clientEnvironment, prefectPrograms } from './harness/prefect.ts';
import { start } from './harness/processes.ts';
import { folder, house, sharedPrefect } from './harness/scenario.ts';

test('a Prefect worker whose certificate is revoked loses its WebSockets and ends; it does not come back, and a person still can', async () => {
  const [home, programs, temporary] = await Promise.all([house(), prefectPrograms(), folder()]);
  const gate = await home.serve({ upstream: sharedPrefect() });
  const [worker, alice] = [await home.issue('worker/etl-1'), await home.issue('user/alice')];
  const working = () =>
    start(
      ...home.run(gate, worker, [
        join(programs, 'prefect'),
        'worker',
        'start',
        '--pool',
        'revoked',
        '--type',
        'process',
      ]),
      { env: clientEnvironment(null, join(temporary, 'worker'), { PREFECT_WORKER_QUERY_SECONDS: '1' }) },
    );

  const first = working();
  await first.line((line) => line.includes('started!'));
  // Its worker channel and its subscription to cancellations are WebSockets.
  const said = await home.certgate(['revoke', 'worker/etl-1', '--config', home.config]);
  expect(said.stderr).toMatch(/has cut \d+ connections?, .*[1-9]\d* WebSockets?/);
  const ended = await within('the worker ends', first.exited, 90_000);
  expect(ended.code).not.toBe(0);
  expect(first.stderr() + first.stdout()).toContain('403');

  const second = working();
  expect((await within('the worker that came back ends', second.exited, 90_000)).code).not.toBe(0);
  expect(second.stdout()).not.toContain('started!');

  const sidecar = await home.connect(gate, alice);
  expect((await fetch(`${sidecar.url}/api/work_pools/revoked`)).status).toBe(200);
}, 300_000);
