import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventResources } from './harness/api.ts';
import { clientEnvironment, driver, prefectPrograms } from './harness/prefect.ts';
import { start } from './harness/processes.ts';
import { startRelay } from './harness/relay.ts';
import { atEnd, folder, house, sharedPrefect } from './harness/scenario.ts';

test('events emitted while the Prefect server can’t be reached arrive when it can, through both sidecars as without them', async () => {
  const [home, temporary, programs] = await Promise.all([house(), folder(), prefectPrograms()]);
  const identity = await home.issue('worker/etl-1');
  const all = Array.from({ length: 10 }, (_, i) => `certgate.test.${i}`);

  for (const way of ['direct', 'through'] as const) {
    const relay = await startRelay(sharedPrefect());
    atEnd(async () => await relay.away());
    const url =
      way === 'direct' ? relay.url : (await home.connect(await home.serve({ upstream: relay.url }), identity)).url;
    const away = join(temporary, `away-${way}`);
    const client = start(join(programs, 'python'), [driver('emit_while_away'), `away-${way}`, away], {
      env: clientEnvironment(url, join(temporary, way)),
    });
    await client.line((line) => line === 'ready');
    await relay.away();
    await writeFile(away, '');
    // The client's first attempts have failed; it makes eleven, the later ones a second apart.
    await client.line((line) => line === 'reconnecting 3');
    await relay.back();

    expect((await client.exited).code, client.stderr()).toBe(0);
    expect(JSON.parse(client.stdout().trimEnd().split('\n').at(-1) ?? '')).toEqual({ emitted: 10, unconfirmed: 0 });
    expect(await eventResources(sharedPrefect(), `certgate.test.away-${way}`, 10), way).toEqual(all);
  }
}, 300_000);
