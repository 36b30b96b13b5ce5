import { join } from 'node:path';
import { expect, test } from 'vitest';
import { credentialsIn } from './harness/house.ts';
import { clientEnvironment, python } from './harness/prefect.ts';
import { folder, house, sharedPrefect } from './harness/scenario.ts';
import { openTls } from './harness/wire.ts';

test('Prefect’s client that has 429 over a limit waits until there is room, even when it may not try again', async () => {
  const home = await house();
  const identity = await home.issue('worker/etl-1');
  const gate = await home.serve({
    upstream: sharedPrefect(),
    env: { CERTGATE_SERVE_LIMITS_REQUESTS_PER_IDENTITY: '1' },
  });
  const sidecar = await home.connect(gate, identity);
  // A request whose body never ends takes the only place.
  const holder = await openTls(gate.port, await credentialsIn(identity));
  holder.send('POST /api/flows/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf');

  const env = clientEnvironment(sidecar.url, join(await folder(), 'client'));
  const asked = python('ask_hello', [], { ...env, PREFECT_CLIENT_MAX_RETRIES: '0' });
  const refused = (): number => gate.log().filter(({ status }) => status === 429).length;
  const early = asked.then(
    () => 'answered',
    () => 'failed',
  );
  while (refused() < 2) {
    const ended = await Promise.race([early, new Promise((resolve) => setTimeout(resolve, 50))]);
    if (ended !== undefined) break;
  }
  expect(refused()).toBeGreaterThanOrEqual(2);
  holder.reset();
  expect(await asked).toEqual({ status: 200 });
});
