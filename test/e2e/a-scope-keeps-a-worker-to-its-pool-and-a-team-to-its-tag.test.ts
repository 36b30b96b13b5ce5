// Scopes before a real Prefect: a worker that is bound to a pool does all its work, and a tenant of another pool or another
// tag finds no way to what is not its own.

import { beforeAll, expect, test } from 'vitest';
import { logMessages, post, taskStates } from './harness/api.ts';
import { eventually } from './harness/eventually.ts';
import { sharedPrefect } from './harness/scenario.ts';
import { type Client, openTenants, TEAMS, type Tenants } from './harness/tenants.ts';

let tenants: Tenants;
/** What each pool has: its deployment, and a run of it that is done. */
const things = { etl: { deployment: '', run: '', flow: '' }, ml: { deployment: '', run: '', flow: '' } };
const call: Tenants['call'] = async (...request) => await tenants.call(...request);
const json = async <T>(name: Client, method: string, path: string, body?: unknown): Promise<T> =>
  await tenants.json<T>(name, method, path, body);

beforeAll(async () => {
  tenants = await openTenants();
  await call('user/root', 'POST', '/variables/', { name: 'scoped_word', value: 'word' });
  await call('user/root', 'POST', '/v2/concurrency_limits/', { name: 'scoped-limit', limit: 5 });
  const saving =
    'from prefect.blocks.system import Secret; Secret(value="hidden").save("scoped-secret", overwrite=True)';
  const saved = await tenants.run('user/root', 'python', ['-c', saving]);
  if (saved.code !== 0) throw new Error(saved.said);
  for (const [pool, name, tag] of TEAMS) {
    const deployment = await tenants.deploy(name, 'scoped', pool, tag);
    const run = await json<{ id: string; flow_id: string }>(
      name,
      'POST',
      `/deployments/${deployment}/create_flow_run`,
      {},
    );
    things[pool] = { deployment, run: run.id, flow: run.flow_id };
  }
}, 600_000);

async function finished(name: Client, run: string): Promise<string> {
  return await eventually(
    `the run ${run} has ended`,
    async () => {
      const { state_type: state } = await json<{ state_type: string }>(name, 'GET', `/flow_runs/${run}`);
      return ['COMPLETED', 'FAILED', 'CRASHED'].includes(state) ? state : undefined;
    },
    280_000,
  );
}

test('a worker that is bound to a pool does all of its work, and so does one of another pool beside it', async () => {
  for (const [pool, name] of TEAMS) {
    const { run } = things[pool];
    expect([pool, await finished(name, run)]).toEqual([pool, 'COMPLETED']);
    expect(await logMessages(sharedPrefect(), run, 'scoped word hidden 10')).toContain('scoped word hidden 10');
    // Two tasks, and the one that stands for the subflow.
    expect((await taskStates(sharedPrefect(), run, 3)).toSorted()).toEqual(['Completed', 'Completed', 'Completed']);
    const artifacts = await post<unknown[]>(sharedPrefect(), '/artifacts/filter', {
      flow_runs: { id: { any_: [run] } },
    });
    expect(artifacts).toHaveLength(1);
  }
  const asked = tenants.gate
    .log()
    .filter((line) => line.msg === 'request' && /^worker\/(etl|ml)-1$/.test(String(line['identity'])));
  // 503 is no refusal but "not now": Prefect was busy when the gate asked it whose something is, and its client asks again.
  const refused = asked.filter((line) => line['decision'] !== 'permit' && line['status'] !== 503);
  const counts = new Map<string, number>();
  for (const line of asked) counts.set(String(line['operation']), (counts.get(String(line['operation'])) ?? 0) + 1);
  process.stderr.write(`of workers within a pool: ${[...counts].map(([name, n]) => `${name} ${n}`).join(', ')}\n`);
  expect(refused.map((line) => [line['operation'], line['code']])).toEqual([]);
  // A client that is closed instead of kept in the dark comes again, at once, for ever.
  expect(counts.get('stream_workspace_events_out') ?? 0).toBeLessThan(20);
}, 600_000);

/** What there is of another tenant's, found by one who may see all. */
async function foreign() {
  const { run, deployment, flow } = things.etl;
  const tasks = await json<Array<{ id: string; name: string; state_id: string }>>(
    'user/root',
    'POST',
    '/task_runs/filter',
    {
      flow_runs: { id: { any_: [run] } },
    },
  );
  const task = tasks[0]?.id ?? '';
  const children = await json<Array<{ id: string }>>('user/root', 'POST', '/flow_runs/filter', {
    flow_runs: { parent_task_run_id: { any_: tasks.map((one) => one.id) } },
  });
  const artifacts = await json<Array<{ id: string }>>('user/root', 'POST', '/artifacts/filter', {
    artifacts: { flow_run_id: { any_: [run] } },
  });
  const own = await json<{ state_id: string; work_queue_id: string }>('user/root', 'GET', `/flow_runs/${run}`);
  const schedules = await json<Array<{ id: string }>>('user/root', 'POST', `/deployments/${deployment}/schedules`, [
    { active: false, schedule: { interval: 3600 } },
  ]);
  return {
    run,
    deployment,
    flow,
    task,
    taskState: tasks[0]?.state_id ?? '',
    child: children[0]?.id ?? '',
    artifact: artifacts[0]?.id ?? '',
    state: own.state_id,
    queue: own.work_queue_id,
    schedule: schedules[0]?.id ?? '',
    limit: (await json<{ id: string }>('user/root', 'GET', '/v2/concurrency_limits/scoped-limit')).id,
  };
}

const NOW = new Date().toISOString();

test('a tenant of another pool or tag is refused whatever is not its own, by id, by name, by filter and in bulk', async () => {
  const it = await foreign();
  expect(Object.entries(it).filter(([, id]) => id === '')).toEqual([]);
  const runs = { id: { any_: [it.run] } };
  const state = { type: 'CANCELLED', name: 'Cancelled' };
  const event = (resource: string, related: object[] = [], payload: object = {}, name = 'prefect.flow-run.Failed') => ({
    occurred: NOW,
    event: name,
    resource: { 'prefect.resource.id': resource, 'prefect.orchestration': 'client' },
    related,
    payload,
    id: crypto.randomUUID(),
  });
  const mine = { 'prefect.resource.id': `prefect.flow-run.${things.ml.run}`, 'prefect.resource.role': 'flow-run' };
  const attacks: ReadonlyArray<readonly [method: string, path: string, body?: unknown]> = [
    ['GET', `/flow_runs/${it.run}`],
    ['GET', `/flow_runs/${it.run.toUpperCase()}`],
    ['GET', `/flow_runs/${it.run.replaceAll('-', '')}`],
    ['GET', `/flow_runs/${it.run}/`],
    ['GET', `/flow_runs/${it.child}`],
    ['GET', `/flow_runs/${it.run}/graph-v2`],
    ['GET', `/flow_runs/${it.run}/logs/download`],
    ['GET', `/flow_runs/${it.run}/input/key`],
    ['POST', `/flow_runs/${it.run}/input/filter`, { prefix: '' }],
    ['POST', `/flow_runs/${it.run}/input`, { key: 'k', value: 'dg==' }],
    ['POST', `/flow_runs/${it.run}/set_state`, { state, force: true }],
    ['POST', `/flow_runs/${it.child}/set_state`, { state, force: true }],
    ['POST', `/flow_runs/${it.run}/resume`, {}],
    ['PATCH', `/flow_runs/${it.run}`, { tags: ['team-b'] }],
    ['PATCH', `/flow_runs/${it.run}/labels`, { a: 'b' }],
    ['DELETE', `/flow_runs/${it.run}`],
    ['POST', '/flow_runs/bulk_delete', { flow_runs: runs }],
    ['POST', '/flow_runs/bulk_delete', { flow_runs: { id: { any_: [things.ml.run, it.run] } } }],
    ['POST', '/flow_runs/bulk_set_state', { flow_runs: runs, state }],
    ['GET', `/flow_run_states/${it.state}`],
    ['GET', `/flow_run_states/?flow_run_id=${it.run}`],
    ['GET', `/flow_run_states/?flow_run_id=${things.ml.run}&flow_run_id=${it.run}`],
    ['GET', `/flow_run_states/?flow_run_id=${things.ml.run}&flow%5Frun_id=${it.run}`],
    ['GET', `/task_run_states/?task_run_id=${it.task}`],
    ['GET', `/task_runs/${it.task}`],
    ['GET', `/ui/task_runs/${it.task}`],
    ['POST', `/task_runs/${it.task}/set_state`, { state: { type: 'FAILED' } }],
    ['DELETE', `/task_runs/${it.task}`],
    ['POST', '/task_runs/filter', { flow_runs: runs }],
    [
      'POST',
      '/task_runs/filter',
      { flow_runs: { operator: 'or_', id: { any_: [things.ml.run] }, name: { like_: '' } } },
    ],
    ['POST', '/task_runs/filter', { task_runs: { id: { any_: [it.task] } } }],
    ['POST', '/task_runs/', { flow_run_id: it.run, task_key: 'k', dynamic_key: 'd' }],
    ['POST', '/flows/filter', { flow_runs: runs }],
    ['POST', '/flows/count', { task_runs: { id: { any_: [it.task] } } }],
    ['POST', '/ui/flow_runs/count-task-runs', { flow_run_ids: [it.run] }],
    ['POST', '/ui/flows/count-deployments', { flow_ids: [it.flow] }],
    ['POST', '/logs/', [{ name: 'x', level: 20, message: 'forged', timestamp: NOW, flow_run_id: it.run }]],
    [
      'POST',
      '/logs/',
      [{ name: 'x', level: 20, message: 'forged', timestamp: NOW, flow_run_id: things.ml.run, task_run_id: it.task }],
    ],
    ['POST', '/logs/filter', { logs: { flow_run_id: { any_: [it.run] } } }],
    ['POST', '/logs/filter', {}],
    ['POST', '/logs/filter', { logs: { operator: 'or_', flow_run_id: { any_: [things.ml.run] }, level: { ge_: 0 } } }],
    ['GET', `/artifacts/${it.artifact}`],
    ['PATCH', `/artifacts/${it.artifact}`, { data: 'x' }],
    ['POST', '/artifacts/', { key: 'k', type: 'markdown', data: 'x', flow_run_id: it.run }],
    ['POST', '/artifacts/filter', { artifacts: { flow_run_id: { any_: [it.run] } } }],
    ['GET', `/deployments/${it.deployment}`],
    ['GET', '/deployments/name/scoped-work/etl'],
    ['PATCH', `/deployments/${it.deployment}`, { description: 'x' }],
    ['DELETE', `/deployments/${it.deployment}`],
    ['POST', '/deployments/bulk_delete', { deployments: { id: { any_: [it.deployment] } } }],
    ['POST', `/deployments/${it.deployment}/create_flow_run`, {}],
    ['POST', `/deployments/${it.deployment}/create_flow_run/bulk`, [{}]],
    ['POST', `/deployments/${it.deployment}/pause_deployment`],
    ['POST', `/deployments/${it.deployment}/schedule`, {}],
    ['GET', `/deployments/${it.deployment}/schedules`],
    ['DELETE', `/deployments/${it.deployment}/schedules/${it.schedule}`],
    ['GET', `/deployments/${it.deployment}/work_queue_check`],
    ['POST', '/deployments/get_scheduled_flow_runs', { deployment_ids: [it.deployment], scheduled_before: NOW }],
    ['POST', '/deployments/', { name: 'etl', flow_id: it.flow, work_pool_name: 'ml', tags: ['team-b'] }],
    ['POST', '/deployments/', { name: 'mine', flow_id: it.flow, work_pool_name: 'etl', tags: ['team-a'] }],
    ['POST', `/deployments/${things.ml.deployment}/create_flow_run`, { parent_task_run_id: it.task }],
    ['PATCH', `/deployments/${things.ml.deployment}`, { work_pool_name: 'etl', tags: [] }],
    ['PATCH', `/deployments/${things.ml.deployment}`, { global_concurrency_limit_id: it.limit }],
    ['POST', '/flow_runs/', { flow_id: it.flow, deployment_id: it.deployment, work_pool_name: 'ml', tags: ['team-b'] }],
    ['POST', '/flow_runs/', { flow_id: it.flow, parent_task_run_id: it.task }],
    ['POST', '/flow_runs/', { flow_id: it.flow }],
    ['GET', `/automations/related-to/prefect.deployment.${it.deployment}`],
    ['DELETE', `/automations/owned-by/prefect.deployment.${it.deployment}`],
    ['DELETE', `/automations/owned-by/prefect.flow.${it.flow}`],
    ['POST', '/automations/filter', {}],
    ['POST', '/events', [event(`prefect.flow-run.${it.run}`)]],
    [
      'POST',
      '/events',
      [event('mine', [mine, { ...mine, 'prefect.resource.id': `prefect.deployment.${it.deployment}` }])],
    ],
    [
      'POST',
      '/events',
      [
        event(
          `prefect.task-run.${crypto.randomUUID()}`,
          [mine],
          { task_run: { id: it.task } },
          'prefect.task-run.Failed',
        ),
      ],
    ],
    [
      'POST',
      '/events',
      [
        event(
          `prefect.task-run.${crypto.randomUUID()}`,
          [mine],
          { task_run: {}, validated_state: { id: it.taskState, type: 'RUNNING' } },
          'prefect.task-run.Running',
        ),
      ],
    ],
    ['POST', '/events', [event(`prefect.task-run.{${it.task}}`, [mine], {}, 'prefect.task-run.Failed')]],
    ['POST', '/events/filter', { filter: { resource: { id: [`prefect.flow-run.${it.run}`] } } }],
    // Both have the flow: what is related to it is of both.
    ['POST', '/events/filter', { filter: { related: { id: [`prefect.flow.${it.flow}`] } } }],
    ['POST', '/events/filter', { filter: { any_resource: { id: [`prefect.flow.${it.flow}`] } } }],
    ['POST', '/events/filter', {}],
    ['POST', '/events/count-by/resource', { filter: {}, time_unit: 'day' }],
    ['GET', '/events/filter/next?page-token=eyJ9'],
    ['PUT', '/saved_searches/', { name: 'x', filters: [] }],
    ['PATCH', '/work_pools/etl', { is_paused: true }],
    ['PATCH', `/work_queues/${it.queue}`, { is_paused: true }],
    ['POST', `/work_queues/${it.queue}/get_runs`, {}],
    ['POST', '/work_pools/etl/get_scheduled_flow_runs', {}],
    ['POST', '/work_pools/%65tl/get_scheduled_flow_runs', {}],
    ['POST', '/work_pools/etl/workers/heartbeat', { name: 'x' }],
    ['DELETE', `/flows/${it.flow}`],
    ['POST', '/variables/', { name: 'x', value: 'y' }],
    ['DELETE', '/v2/concurrency_limits/scoped-limit'],
  ];
  const through: string[] = [];
  for (const name of ['worker/ml-2', 'user/bob', 'user/dave'] as const) {
    for (const [method, path, body] of attacks) {
      const { status, said } = await call(name, method, path, body);
      if (status !== 403 || !said.includes('certgate: ')) through.push(`${name} ${method} ${path}: ${status} ${said}`);
    }
  }
  expect(through).toEqual([]);
  // By a queue alone Prefect would move it to the pool default-agent-pool.
  const moved = await call('user/bob', 'PATCH', `/deployments/${things.ml.deployment}`, {
    work_queue_name: 'elsewhere',
  });
  expect([moved.status, moved.said]).toEqual([403, expect.stringContaining('names a queue without its pool')]);
  // Prefect takes "of no flow run" in place of the ids, and has the background tasks of all. By a tag alone that is added.
  const task = { task_key: 'of-another', dynamic_key: crypto.randomUUID(), tags: ['team-a'] };
  await json('user/root', 'POST', '/task_runs/', task);
  const none = { task_runs: { flow_run_id: { any_: [things.ml.run], is_null_: true } } };
  expect((await call('user/bob', 'POST', '/task_runs/filter', none)).status).toBe(403);
  expect(await json('user/dave', 'POST', '/task_runs/filter', none)).toEqual([]);
}, 300_000);

test('a filter that is not said to be JSON, of which Prefect would take nothing, lists, counts and deletes nothing', async () => {
  const runs = { flow_runs: { id: { any_: [things.ml.run] } } };
  const filters: ReadonlyArray<readonly [path: string, body: object]> = [
    ['/flow_runs/filter', {}],
    ['/flow_runs/count', {}],
    ['/flow_runs/paginate', {}],
    ['/flow_runs/bulk_delete', runs],
    ['/deployments/filter', {}],
    ['/deployments/bulk_delete', { deployments: { id: { any_: [things.ml.deployment] } } }],
    ['/flows/filter', {}],
    ['/work_pools/filter', {}],
    ['/task_runs/filter', runs],
    ['/artifacts/filter', runs],
    ['/logs/filter', { logs: { flow_run_id: { any_: [things.ml.run] } } }],
    ['/events/filter', { filter: { resource: { id: [`prefect.flow-run.${things.ml.run}`] } } }],
  ];
  const through: string[] = [];
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/json, text/plain']) {
    for (const [path, body] of filters) {
      const { status, said } = await call('user/bob', 'POST', path, body, type);
      if (status !== 415 || !said.includes('certgate: ')) through.push(`${path} as ${type}: ${status} ${said}`);
    }
  }
  expect(through).toEqual([]);
}, 300_000);

test('what is listed is one’s own, whatever the filter, and what is counted too', async () => {
  const list = async (name: Client, path: string, body: object) =>
    (await json<Array<{ id: string }>>(name, 'POST', path, { limit: 200, ...body })).map((one) => one.id);
  const everything = [{}, { work_pools: null }, { work_pools: { name: { any_: ['etl', 'ml'] } } }];
  for (const [name, own, other] of [
    ['worker/ml-2', things.ml, things.etl],
    ['user/bob', things.ml, things.etl],
    ['user/dave', things.ml, things.etl],
    ['user/alice', things.etl, things.ml],
    ['user/carol', things.etl, things.ml],
  ] as const) {
    for (const filter of everything) {
      const runs = await list(name, '/flow_runs/filter', filter);
      expect([name, filter, runs.includes(own.run), runs.includes(other.run)]).toEqual([name, filter, true, false]);
      const deployments = await list(name, '/deployments/filter', filter);
      expect([name, deployments.includes(own.deployment), deployments.includes(other.deployment)]).toEqual([
        name,
        true,
        false,
      ]);
    }
    const paged = await json<{ results: Array<{ id: string }> }>(name, 'POST', '/flow_runs/paginate', {});
    expect(paged.results.some((one) => one.id === other.run)).toBe(false);
    const count = await json<number>(name, 'POST', '/flow_runs/count', {
      flow_runs: { id: { any_: [own.run, other.run] } },
    });
    expect(count).toBe(1);
    const history = await json<Array<{ states: Array<{ count_runs: number }> }>>(name, 'POST', '/flow_runs/history', {
      history_start: new Date(Date.now() - 3_600_000).toISOString(),
      history_end: new Date(Date.now() + 60_000).toISOString(),
      history_interval_seconds: 7_200,
      flow_runs: { id: { any_: [own.run, other.run] } },
    });
    expect(history.flatMap((one) => one.states).reduce((sum, one) => sum + one.count_runs, 0)).toBe(1);
    // Both deployments are of one flow, and each sees it by its own.
    expect((await list(name, '/flows/filter', {})).includes(own.flow)).toBe(true);
    expect((await call(name, 'GET', `/flows/${own.flow}`)).status).toBe(200);
    const or = {
      flow_runs: { operator: 'or_', name: { like_: '' } },
      work_pools: { operator: 'or_', type: { any_: [] } },
    };
    expect((await call(name, 'POST', '/flow_runs/filter', or)).status).toBe(403);
    expect((await call(name, 'POST', '/ui/task_runs/count', {})).status).toBe(/carol|dave/.test(name) ? 200 : 403);
  }
  const pools = await json<Array<{ name: string }>>('user/bob', 'POST', '/work_pools/filter', {});
  expect(pools.map((one) => one.name)).toEqual(['ml']);
}, 300_000);
