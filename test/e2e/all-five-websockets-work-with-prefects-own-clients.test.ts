import { join } from 'node:path';
import { expect, test } from 'vitest';
import { clientEnvironment, python } from './harness/prefect.ts';
import { folder, house, sharedPrefect } from './harness/scenario.ts';

test('events in and out, logs out, scheduled task runs and the worker channel work through both sidecars', async () => {
  const home = await house();
  const [gate, identity, temporary] = await Promise.all([
    home.serve({ upstream: sharedPrefect() }),
    home.issue('worker/etl-1'),
    folder(),
  ]);
  const sidecar = await home.connect(gate, identity);

  const seen = await python('sockets', ['through'], clientEnvironment(sidecar.url, join(temporary, 'client')));

  expect(seen).toEqual({
    // A checkpoint is a ping that the server itself has answered: nothing stays unconfirmed after it.
    events: { received: 25, same: true, unconfirmedBeforeCheckpoint: 5, unconfirmedAfterCheckpoint: 0 },
    logs: 'a line',
    task: 42,
    channel: { status: 'healthy', reason: null, workerId: false },
    authString: false,
  });
}, 300_000);
