import { join } from 'node:path';
import { expect, test } from 'vitest';
import { clientEnvironment, python } from './harness/prefect.ts';
import { folder, house, ownPrefect, sharedPrefect } from './harness/scenario.ts';

test('CSRF protection works through both sidecars: on, Prefect’s client fetches tokens; off, it is told so; a write without a token is refused by Prefect', async () => {
  const home = await house();
  const [prefect, identity, temporary] = await Promise.all([
    ownPrefect({ csrf: true }),
    home.issue('user/alice'),
    folder(),
  ]);
  const env = (url: string): NodeJS.ProcessEnv => clientEnvironment(url, join(temporary, 'client'));

  const off = await home.serve({ upstream: sharedPrefect() });
  expect(await python('csrf', ['csrf_off'], env((await home.connect(off, identity)).url))).toEqual({
    variable: 'a value',
    flow: 201,
    csrf: false,
    token: false,
  });
  await off.stop();

  const on = await home.serve({ upstream: prefect.url });
  const sidecar = await home.connect(on, identity);
  expect(await python('csrf', ['csrf_on'], env(sidecar.url))).toEqual({
    variable: 'a value',
    flow: 201,
    csrf: true,
    token: true,
  });
  const refused = await fetch(`${sidecar.url}/api/flows/`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'without a token' }),
  });
  expect([refused.status, await refused.json()]).toEqual([403, { detail: 'Missing CSRF token.' }]);
}, 300_000);
