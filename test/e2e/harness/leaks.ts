// Requests of one team for what another has: every operation of the route table, with ids and names of the other team's in paths,
// queries and bodies, alone, beside its own, and in filters of every form that Prefect takes.

import { API_ROUTES } from '../../../src/policy/routes.ts';
import type { Team } from './two-teams.ts';

export interface Ask {
  readonly method: string;
  /** Below /api. */
  readonly path: string;
  readonly body?: unknown;
}

type Bodies = readonly unknown[];

/** What other operations than `path` leave alone: FastAPI takes of a body what it knows. */
export const ALWAYS = {
  history_start: '2026-01-01T00:00:00Z',
  history_end: '2100-01-01T00:00:00Z',
  history_interval_seconds: 1e9,
  time_unit: 'day',
  scheduled_before: '2100-01-01T00:00:00Z',
};

/** How many parts the filters come in. */
export const PARTS = 6;

/**
 * Every HTTP operation with its path about `other`, and bodies about both; what only reads first, what is handed out after what might widen it, and what deletes last. Of the
 * filters each operation gets this part (0 to PARTS - 1), another for each operation.
 */
export function asks(own: Team, other: Team, part: number): readonly Ask[] {
  const all = API_ROUTES.flatMap(([method, route, cls, name], at): ReadonlyArray<readonly [number, Ask]> => {
    if (method === 'WS') return [];
    const [theirs, mine] = [pathOf(route, other), pathOf(route, own)];
    const order = method === 'DELETE' || /bulk_delete/.test(name) ? 2 : cls === 'read' ? 0 : 1;
    const lists = cls === 'read' || cls === 'poll';
    if (method === 'GET' || method === 'DELETE') return [[order, { method, path: theirs }]];
    const bodies =
      lists || /bulk_/.test(name) ? filters(own, other, known(route)).filter((_, i) => (i + at) % PARTS === part) : [];
    const more = lists ? [] : writes(name, own, other);
    return [...new Set([theirs, mine])].flatMap((path) =>
      [...bodies, ...more].map((body) => [order, { method, path, body }] as const),
    );
  });
  return all.toSorted(([a], [b]) => a - b).map(([, one]) => one);
}

/** The filters that an operation has. */
function known(route: string): readonly string[] {
  const [, kind = '', more = ''] = route.split('/');
  if (route.includes('{id')) return [];
  const runs = ['flows', 'flow_runs', 'task_runs', 'deployments'];
  if (kind === 'events') return ['filter'];
  if (kind === 'logs') return ['logs'];
  if (kind === 'artifacts') return [...runs, 'artifacts'];
  if (kind === 'work_pools') return route.includes('queues') ? ['work_queues'] : ['work_pools'];
  if (kind === 'task_runs' || more === 'task_runs')
    return [...runs, ...(route.includes('dashboard') ? ['work_pools'] : [])];
  return ['flows', 'flow_runs', 'deployments', 'ui'].includes(kind) ? [...runs, 'work_pools', 'work_pool_queues'] : [];
}

/** The path of a route with the ids and names of a team's. */
function pathOf(route: string, { ids, names, pool, tag }: Team): string {
  const [, kind = ''] = route.split('/');
  const id = BY_PATH[kind];
  const path = route
    .replace('{id:uuid}', ids[id ?? ''] ?? '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f')
    .replace('{schedule_id:uuid}', ids['schedule'] ?? '')
    .replace('{flow_name}', names.flow)
    .replace('{deployment_name}', names.deployment)
    .replace('{work_pool_name}', pool)
    .replace('{resource_id}', `prefect.deployment.${ids['deployment']}`)
    .replace('{key}', kind === 'artifacts' ? names.artifact : names.input)
    .replace('{tag}', tag)
    .replace('{countable}', 'resource')
    .replace('{view}', 'aggregate-worker-metadata')
    .replace('{id_or_name}', `deployment:${ids['deployment']}`)
    .replace(
      '{name}',
      /queues/.test(route) ? names.queue : /workers/.test(route) ? names.worker : kind === 'flows' ? names.flow : pool,
    )
    .replaceAll(/\{\w+\}/g, 'no-such');
  const query = {
    '/flow_run_states/': `?flow_run_id=${ids['run']}`,
    '/task_run_states/': `?task_run_id=${ids['task']}`,
  }[route];
  return path + (query ?? '');
}

const BY_PATH: Readonly<Record<string, string>> = {
  flows: 'flow',
  flow_runs: 'run',
  task_runs: 'task',
  flow_run_states: 'state',
  task_run_states: 'taskState',
  deployments: 'deployment',
  saved_searches: 'search',
  work_queues: 'queue',
  artifacts: 'artifact',
  automations: 'automation',
  ui: 'task',
};

const FILTERS: Readonly<Record<string, string>> = {
  flows: 'flow',
  flow_runs: 'run',
  task_runs: 'task',
  deployments: 'deployment',
  work_pools: 'pool',
  work_pool_queues: 'queue',
  work_queues: 'queue',
  artifacts: 'artifact',
};

const NAMED: ReadonlySet<string> = new Set([...Object.keys(FILTERS), 'logs', 'filter']);

/** Filters that might find what the other team has. */
function filters(own: Team, other: Team, has: readonly string[]): Bodies {
  const [mine, theirs] = [own.ids, other.ids];
  const said: Array<Readonly<Record<string, unknown>>> = [{}, { limit: 1, offset: 1, page: 1 }];
  for (const [filter, kind] of Object.entries(FILTERS)) {
    const ids = { any_: [theirs[kind]] };
    said.push(
      { [filter]: { id: { any_: [mine[kind], theirs[kind]] } } },
      { [filter]: { operator: 'and_', id: { not_any_: [mine[kind]] } } },
      { [filter]: { operator: 'or_', id: ids, name: { like_: '' } } },
      { [filter]: { tags: { operator: 'or_', all_: [other.tag], is_null_: false } } },
    );
  }
  const [run, task] = [mine['run'], mine['task']];
  said.push(
    { work_pools: { name: { any_: [other.pool] } } },
    { work_pools: { operator: 'or_', name: { any_: [own.pool] }, type: { any_: ['process'] } } },
    { work_pools: { operator: 'AND_' } },
    { flow_runs: { id: { any_: [run] }, tags: { operator: 'or_', is_null_: true } } },
    { flow_runs: { id: { any_: [run] } }, task_runs: { operator: 'or_', id: { any_: [theirs['task']] } } },
    { flow_runs: { deployment_id: { any_: [theirs['deployment']] } } },
    { flow_runs: { deployment_id: { operator: 'or_', is_null_: true, any_: [theirs['deployment']] } } },
    { flow_runs: { work_queue_name: { any_: [other.names.queue] } } },
    { flow_runs: { parent_task_run_id: { any_: [theirs['task']] } } },
    { flow_runs: { parent_flow_run_id: { any_: [theirs['run']] } } },
    { task_runs: { flow_run_id: { any_: [theirs['run']] } } },
    { task_runs: { flow_run_id: { any_: [run], is_null_: true } } },
    { task_runs: { flow_run_id: { operator: 'or_', any_: [run] }, subflow_runs: { exists_: true } } },
    { logs: { flow_run_id: { any_: [theirs['run']] } } },
    { logs: { task_run_id: { any_: [theirs['task']] } } },
    { logs: { task_run_id: { any_: [task, theirs['task']] }, level: { ge_: 0 } } },
    { logs: { operator: 'or_', flow_run_id: { any_: [run] }, level: { ge_: 0 } } },
    { logs: { flow_run_id: { any_: [run] } }, sort: 'TIMESTAMP_ASC', offset: 0 },
    { artifacts: { flow_run_id: { any_: [theirs['run']] } } },
    { artifacts: { task_run_id: { any_: [theirs['task']] } } },
    { artifacts: { key: { any_: [other.names.artifact] }, flow_run_id: { any_: [run] } } },
    { artifacts: { operator: 'or_', flow_run_id: { any_: [run] }, key: { exists_: true } } },
    { deployments: { work_queue_name: { any_: [other.names.queue] } } },
    { flow_run_ids: [theirs['run']], flow_ids: [theirs['flow']], deployment_ids: [theirs['deployment']] },
    { flow_run_ids: [run, theirs['run']], deployment_ids: [mine['deployment'], theirs['deployment']] },
    { task_runs: { start_time: { after_: '2020-01-01T00:00:00Z' } } },
    { task_runs: { start_time: { after_: '2020-01-01T00:00:00Z' } }, flow_runs: { id: { any_: [theirs['run']] } } },
  );
  for (const part of ['resource', 'related', 'any_resource']) {
    said.push(
      { filter: { [part]: { id: [`prefect.flow-run.${theirs['run']}`] } } },
      { filter: { [part]: { id: [`prefect.flow-run.${run}`, `prefect.flow-run.${theirs['run']}`] } } },
      { filter: { [part]: { id: [`prefect.flow-run.${run}`], id_prefix: ['prefect.'], labels: {} } } },
      { filter: { [part]: { id_prefix: ['prefect.flow-run.'] } } },
      { filter: { [part]: { labels: { 'prefect.resource.id': ['prefect.*'] } } } },
      { filter: { [part]: [{ id: [`prefect.flow-run.${run}`] }, {}] } },
      { filter: { [part]: { id: [`prefect.work-pool.${theirs['pool']}`] } } },
      { filter: { [part]: { id: [`prefect.work-queue.${theirs['queue']}`] } } },
    );
  }
  said.push({ filter: {} }, { filter: { event: { prefix: [''] } } }, { filter: { text: { query: 'a' } } });
  const fits = said.filter((one) => Object.keys(one).every((name) => !NAMED.has(name) || has.includes(name)));
  return [undefined, ...fits.map((one) => ({ ...ALWAYS, ...one }))];
}

/** Bodies of what makes or changes something, each about the other team's. */
function writes(name: string, own: Team, other: Team): Bodies {
  const [mine, theirs] = [own.ids, other.ids];
  const state = { type: 'RUNNING', name: 'Running' };
  const keyed = { ...state, state_details: { cache_key: other.names.cache } };
  const now = '2026-01-01T00:00:00Z';
  const event = (
    of: string,
    related: readonly string[] = [],
    payload: object = {},
    id: string = crypto.randomUUID(),
  ) => ({
    id,
    occurred: now,
    event: 'prefect.task-run.Completed',
    resource: { 'prefect.resource.id': of, 'prefect.orchestration': 'client' },
    related: related.map((one) => ({ 'prefect.resource.id': one, 'prefect.resource.role': 'flow-run' })),
    payload,
  });
  const record = { task_run: { task_key: 'k', dynamic_key: 'd' }, validated_state: { type: 'COMPLETED' } };
  const own_run = `prefect.flow-run.${mine['run']}`;
  const of: Readonly<Record<string, Bodies>> = {
    create_flow_run: [
      { flow_id: theirs['flow'], deployment_id: theirs['deployment'], work_pool_name: own.pool, tags: [own.tag] },
      { flow_id: mine['flow'], parent_task_run_id: theirs['task'], work_pool_name: own.pool, tags: [own.tag] },
      { flow_id: mine['flow'], work_pool_name: own.pool, work_queue_name: other.names.queue, tags: [own.tag] },
      { flow_id: theirs['flow'], idempotency_key: `key ${other.pool}`, work_pool_name: own.pool, tags: [own.tag] },
      { flow_id: theirs['flow'] },
    ],
    create_flow_run_from_deployment: [
      {},
      { parent_task_run_id: theirs['task'] },
      { work_queue_name: 'no-such' },
      { job_variables: { command: 'a guess' } },
    ],
    bulk_create_flow_runs_from_deployment: [[{}], [{ parent_task_run_id: theirs['task'] }]],
    update_flow_run: [{ tags: [other.tag] }, { name: 'taken', tags: [own.tag, other.tag] }],
    set_flow_run_state: [
      { state, force: true },
      { state: { ...state, state_details: { flow_run_id: theirs['run'] } } },
    ],
    create_flow_run_input: [{ key: 'k', value: 'v' }],
    create_task_run: [
      { flow_run_id: theirs['run'], task_key: 'k', dynamic_key: 'd' },
      { flow_run_id: mine['run'], task_key: 'k', dynamic_key: 'e', id: theirs['task'] },
      { task_key: other.names['task-key'], dynamic_key: other.names['dynamic-key'], tags: [own.tag] },
      {
        flow_run_id: mine['run'],
        task_key: 'k',
        dynamic_key: 'f',
        state: { ...keyed, state_details: { ...keyed.state_details, deferred: true } },
      },
    ],
    set_task_run_state: [
      { state: keyed },
      { state, force: true },
      { state: { ...state, state_details: { task_run_id: theirs['task'] } } },
    ],
    create_deployment: [
      { name: other.names.deployment, flow_id: theirs['flow'], work_pool_name: own.pool, tags: [own.tag] },
      {
        name: 'mine',
        flow_id: mine['flow'],
        work_pool_name: other.pool,
        work_queue_name: 'pushed-in',
        tags: [other.tag],
      },
      { name: 'mine', flow_id: mine['flow'], work_queue_name: 'pushed-in', tags: [other.tag] },
    ],
    update_deployment: [
      { work_pool_name: other.pool, tags: [other.tag] },
      { tags: [] },
      { work_pool_name: null, tags: [other.tag] },
      { work_queue_name: other.names.queue, tags: [other.tag] },
    ],
    create_logs: [[{ name: 'l', level: 20, message: 'm', timestamp: now, flow_run_id: theirs['run'] }]],
    create_artifact: [{ key: 'k', type: 'markdown', data: 'd', flow_run_id: theirs['run'] }],
    create_events: [
      [event(`prefect.flow-run.${theirs['run']}`)],
      [event(`prefect.task-run.${theirs['task']}`, [own_run], record)],
      [event(`prefect.task-run.${crypto.randomUUID()}`, [`prefect.flow-run.${theirs['run']}`], record)],
      [event(`prefect.task-run.${mine['task']}`, [own_run], record, theirs['taskState'])],
    ],
    create_work_queue: [
      { name: 'finds', filter: { tags: [] } },
      { name: 'finds', filter: { deployment_ids: [theirs['deployment']] } },
    ],
    update_work_queue: [{ filter: { tags: [] } }, { name: 'renamed', filter: { tags: [other.tag] } }],
    bulk_decrement_active_slots: [{ names: [`deployment:${theirs['deployment']}`], slots: 1 }],
    bulk_increment_active_slots: [{ names: [`deployment:${theirs['deployment']}`], slots: 1 }],
    bulk_increment_active_slots_with_lease: [
      { names: [`deployment:${theirs['deployment']}`], slots: 1 },
      { names: ['no-such'], slots: 1, holder: { type: 'task_run', id: theirs['task'] } },
    ],
    create_automation: [
      {
        name: 'x',
        trigger: { type: 'event', expect: ['x'], threshold: 1, within: 0 },
        actions: [{ type: 'run-deployment', source: 'selected', deployment_id: theirs['deployment'] }],
      },
    ],
    schedule_deployment: [{}],
    create_deployment_schedules: [[{ schedule: { interval: 60 }, active: false }]],
    update_deployment_schedule: [{ active: true }],
  };
  return of[name] ?? [undefined, {}];
}
