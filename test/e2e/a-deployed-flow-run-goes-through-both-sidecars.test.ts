import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { clientEnvironment, driver, prefectPrograms } from './harness/prefect.ts';
import { finish, start } from './harness/processes.ts';
import { folder, house, sharedPrefect } from './harness/scenario.ts';

/** Prefect's names of the operations. */
const ALICE = ['create_flow', 'create_deployment', 'create_flow_run_from_deployment'];
const WORKER = ['worker_channel_connect', 'stream_events_in', 'set_flow_run_state', 'update_flow_run', 'create_logs'];

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

  // The gate has recorded who did what: every write, under the identity of its certificate and no other.
  const record = (await readFile(join(home.dir, 'state/audit.jsonl'), 'utf8')).trimEnd().split('\n');
  const did = record
    .map((line) => JSON.parse(line) as { identity: string; operation: string; decision: string })
    .filter((one) => 'decision' in one); // how each went, and what was signed, are lines of their own
  expect(did.length).toBeGreaterThan(0);
  const by = (identity: string): ReadonlySet<string> =>
    new Set(did.filter((one) => one.identity === identity).map((one) => one.operation));
  expect(did.every((one) => one.decision === 'permit')).toBe(true);
  expect([...by('user/alice')]).toEqual(expect.arrayContaining(ALICE));
  expect([...by('worker/etl-1')]).toEqual(expect.arrayContaining(WORKER));
  expect([...by('worker/etl-1')]).not.toContain('create_deployment');

  await working.stop('SIGTERM');
}, 300_000);
