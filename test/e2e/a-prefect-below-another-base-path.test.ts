import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { clientEnvironment, python } from './harness/prefect.ts';
import { folder, house, ownPrefect } from './harness/scenario.ts';

test('a Prefect with PREFECT_SERVER_API_BASE_PATH serves its own clients at /api of the gate, by the policy, its WebSockets too', async () => {
  const home = await house();
  const policy = join(home.dir, 'policy.yaml');
  await writeFile(
    policy,
    'bindings:\n  - {role: Developer, identity: user/alice}\n  - {role: Viewer, identity: user/bob}\n',
  );
  const [prefect, alice, bob, temporary] = await Promise.all([
    ownPrefect({ env: { PREFECT_SERVER_API_BASE_PATH: '/team/prefect' } }),
    home.issue('user/alice'),
    home.issue('user/bob'),
    folder(),
  ]);
  const flags = ['--policy', policy];
  // The gate that has not been told: nothing of the API is taken for a page of the interface.
  const untold = await home.serve({ upstream: prefect.url, flags });
  const before = await home.connect(untold, bob);
  for (const path of ['/team/prefect/admin/settings', '/team/prefect/collections/views/aggregate-block-metadata']) {
    expect((await fetch(before.url + path)).status, path).toBe(403);
  }
  expect((await fetch(`${before.url}/dashboard`)).headers.get('content-type')).toContain('text/html');
  await untold.stop();

  const env = { CERTGATE_SERVE_API_PATH: '/team/prefect' };
  const gate = await home.serve({ upstream: prefect.url, flags, env });
  const [first, second] = [await home.connect(gate, alice), await home.connect(gate, bob)];
  const seen = await python('sockets', ['through'], clientEnvironment(first.url, join(temporary, 'client')));
  expect(seen).toMatchObject({ events: { received: 25, same: true }, logs: 'a line', task: 42 });
  expect(await (await fetch(`${second.url}/ui-settings`)).json()).toMatchObject({ api_url: `${second.url}/api` });
  expect((await fetch(`${second.url}/api/health`)).status).toBe(200);
  expect((await fetch(`${second.url}/api/admin/settings`)).status).toBe(403);
  expect((await fetch(`${second.url}/team/prefect/admin/settings`)).status).toBe(403);
}, 300_000);
