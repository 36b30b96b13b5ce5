import { expect, test } from 'vitest';
import { echo, house } from './harness/scenario.ts';

test('a gate that was killed starts again on the same state, and a sidecar that lived on needs no restart', async () => {
  const home = await house();
  const upstream = await echo();
  const first = await home.serve({ upstream: upstream.url });
  const sidecar = await home.connect(first, await home.issue('worker/etl-1'));
  const status = async (): Promise<number> => (await fetch(`${sidecar.url}/api/hello`)).status;
  expect(await status()).toBe(200);

  await first.running.stop('SIGKILL');
  expect(await status()).toBe(503);

  const second = await home.serve({ upstream: upstream.url, port: first.port });
  expect(await status()).toBe(200);
  const said = await home.certgate(['revoke', 'worker/etl-1', '--config', home.config]);
  expect(said.stderr).toMatch(/the gate on this machine has cut \d+ connection/);
  expect(await status()).toBe(403);
  expect(second.running.stderr()).not.toContain('fault');
});
