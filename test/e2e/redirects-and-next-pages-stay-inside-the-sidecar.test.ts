import { join } from 'node:path';
import { expect, test } from 'vitest';
import { clientEnvironment, python } from './harness/prefect.ts';
import { folder, house, sharedPrefect } from './harness/scenario.ts';

interface Led {
  readonly links: readonly string[];
  readonly events: readonly string[];
  readonly get: readonly [number, readonly string[]];
  readonly post: readonly [number, readonly string[]];
  readonly flow: string;
}

test('trailing-slash redirects and next_page links lead Prefect’s own client through the sidecar again', async () => {
  const home = await house();
  const [gate, identity, temporary] = await Promise.all([
    home.serve({ upstream: sharedPrefect() }),
    home.issue('user/alice'),
    folder(),
  ]);
  const sidecar = await home.connect(gate, identity);

  const led = await python<Led>('links', ['links'], clientEnvironment(sidecar.url, join(temporary, 'client')));

  expect(led.events).toEqual(['certgate.test.0', 'certgate.test.1', 'certgate.test.2']);
  expect(led.links).toHaveLength(2);
  for (const link of led.links) expect(link).toContain(`${sidecar.url}/api/events/filter/next?page-token=`);
  expect(led.get).toEqual([200, [`${sidecar.url}/api/block_capabilities/`]]);
  expect(led.post).toEqual([201, [`${sidecar.url}/api/flows/`]]);
  expect(led.flow).toBe('redirected links');
}, 300_000);
