import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fetchAvailable } from './harness/api.ts';
import { house, ownPrefect } from './harness/scenario.ts';

test('a Prefect with PREFECT_SERVER_API_BASE_PATH is at /api of the gate, by the policy; a gate that was not told takes nothing of it for a page', async () => {
  const home = await house();
  const policy = join(home.dir, 'policy.yaml');
  await writeFile(
    policy,
    'bindings:\n  - {role: Developer, identity: user/alice}\n  - {role: Viewer, identity: user/bob}\n',
  );
  const [prefect, alice, bob] = await Promise.all([
    ownPrefect({ env: { PREFECT_SERVER_API_BASE_PATH: '/team/prefect' } }),
    home.issue('user/alice'),
    home.issue('user/bob'),
  ]);
  const flags = ['--policy', policy];
  // The gate that has not been told: nothing of the API is taken for a page of the interface.
  const untold = await home.serve({ upstream: prefect.url, flags });
  const before = await home.connect(untold, bob);
  for (const path of ['/team/prefect/admin/settings', '/team/prefect/flow_run_states/']) {
    expect((await fetch(before.url + path)).status, path).toBe(403);
  }
  await untold.stop();

  const env = { CERTGATE_SERVE_API_PATH: '/team/prefect' };
  const gate = await home.serve({ upstream: prefect.url, flags, env });
  const [first, second] = [await home.connect(gate, alice), await home.connect(gate, bob)];
  const made = await fetchAvailable(`${first.url}/api/flows/`, () => ({
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"name":"elsewhere"}',
  }));
  expect(made.status).toBe(201);
  const { id } = (await made.json()) as { id: string };
  expect(await (await fetch(`${second.url}/api/flows/${id}`)).json()).toMatchObject({ name: 'elsewhere' });
  expect(await (await fetch(`${second.url}/ui-settings`)).json()).toMatchObject({ api_url: `${second.url}/api` });
  expect((await fetch(`${second.url}/api/health`)).status).toBe(200);
  expect((await fetch(`${second.url}/api/admin/settings`)).status).toBe(403);
  expect((await fetch(`${second.url}/team/prefect/admin/settings`)).status).toBe(403);
}, 300_000);
