import { join } from 'node:path';
import { expect, test } from 'vitest';
import { clientEnvironment, driver, prefectPrograms } from './harness/prefect.ts';
import { finish, start } from './harness/processes.ts';
import { folder, house, sharedPrefect } from './harness/scenario.ts';

interface Run {
  readonly state: string;
  readonly tasks: readonly string[];
  readonly logs: readonly string[];
  readonly events: readonly string[];
}

test('a deployed flow run with tasks, logs and events goes through both sidecars, started by a person and executed by a process worker', async () => {
  const [home, programs, temporary] = await Promise.all([house(), prefectPrograms(), folder()]);
  const [gate, worker, alice] = await Promise.all([
    home.serve({ upstream: sharedPrefect() }),
    home.issue('worker/etl-1'),
    home.issue('user/alice'),
  ]);

  const working = start(
    ...home.run(gate, worker, [
      join(programs, 'prefect'),
      'worker',
      'start',
      '--pool',
      'deployed',
      '--type',
      'process',
    ]),
    { env: clientEnvironment(null, join(temporary, 'worker'), { PREFECT_WORKER_QUERY_SECONDS: '1' }) },
  );
  const deployed = await finish(
    ...home.run(gate, alice, [join(programs, 'python'), driver('deploy_and_run'), 'deployed']),
    {
      env: clientEnvironment(null, join(temporary, 'alice')),
      boundMs: 150_000,
    },
  );
  expect(deployed, `${deployed.stderr}\n${working.stderr()}`).toMatchObject({ code: 0 });

  const run = JSON.parse(deployed.stdout.trimEnd().split('\n').at(-1) ?? '') as Run;
  expect(run.state).toBe('Completed');
  expect(run.tasks).toHaveLength(3);
  expect(run.tasks.every((task) => task.endsWith(' Completed'))).toBe(true);
  expect(run.logs).toEqual(
    expect.arrayContaining(['squaring 0', 'squaring 1', 'squaring 2', 'the sum of 3 squares is 5']),
  );
  expect(run.events).toEqual(['certgate.test.number.0', 'certgate.test.number.1', 'certgate.test.number.2']);

  await working.stop('SIGTERM');
}, 200_000);
