import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventResources, logMessages, taskStates } from './harness/api.ts';
import { clientEnvironment, driver, prefectPrograms } from './harness/prefect.ts';
import { start } from './harness/processes.ts';
import { folder, house, ownPrefect } from './harness/scenario.ts';

test('a flow run survives a restart of the Prefect server behind the gate: it waits, and no task run, event or log line is lost', async () => {
  const [home, temporary, programs] = await Promise.all([house(), folder(), prefectPrograms()]);
  const before = await ownPrefect();
  const [gate, identity] = await Promise.all([home.serve({ upstream: before.url }), home.issue('worker/etl-1')]);
  const down = join(temporary, 'down');
  const flow = start(...home.run(gate, identity, [join(programs, 'python'), driver('flow_over_restart'), down]), {
    env: clientEnvironment(null, join(temporary, 'client')),
    cwd: join(import.meta.dirname, 'python'),
  });
  await flow.line((line) => line === 'ready');
  // What was emitted so far has reached the server's database, so that a loss could only be on the way to it.
  await eventResources(before.url, 'certgate.test.step', 3);

  await before.running.stop('SIGTERM');
  await writeFile(down, '');
  // The flow asks now, and is told to wait.
  await gate.logged((line) => line['status'] === 503);
  expect(flow.stdout()).not.toContain('asked while down');
  const after = await ownPrefect({ port: before.port, home: before.home });

  expect(await flow.line((line) => line.startsWith('asked while down'), 120_000)).toBe('asked while down: Running');
  expect((await flow.exited).code, flow.stderr()).toBe(0);
  const { flowRun } = JSON.parse(flow.stdout().trimEnd().split('\n').at(-1) ?? '') as { flowRun: string };
  const run = (await (await fetch(`${after.url}/api/flow_runs/${flowRun}`)).json()) as { state_name: string };
  expect(run.state_name).toBe('Completed');
  expect(await taskStates(after.url, flowRun, 6)).toEqual(Array.from({ length: 6 }, () => 'Completed'));
  expect(await eventResources(after.url, 'certgate.test.step', 6)).toEqual(
    [0, 1, 2, 3, 4, 5].map((number) => `certgate.test.step.${number}`),
  );
  expect(await logMessages(after.url, flowRun, 'step 5')).toEqual(
    expect.arrayContaining([0, 1, 2, 3, 4, 5].map((number) => `step ${number}`)),
  );
}, 300_000);
