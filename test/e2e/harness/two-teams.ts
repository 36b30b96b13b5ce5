// Two teams of one Prefect, each with a pool, a tag, and one of everything that Prefect keeps; every text of the second team's
// has a word in it that nothing of anybody else's has. What Prefect's database says of that team, to be compared.

import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { eventually } from './eventually.ts';

/** The word. What stands behind it says where it was. */
export const CANARY = 'kanarie';

type Named = 'flow' | 'deployment' | 'queue' | 'artifact' | 'input' | 'worker' | 'cache' | 'task-key' | 'dynamic-key';

export interface Team {
  readonly pool: string;
  readonly tag: string;
  /** Ids, by what they are of. */
  readonly ids: Readonly<Record<string, string>>;
  readonly names: Readonly<Record<Named, string>>;
}

type Call = <T>(method: string, path: string, body?: unknown) => Promise<T>;
interface Made {
  readonly id: string;
}

/** Makes all that a team has; `say` makes its texts. */
export async function makeTeam(call: Call, pool: string, tag: string, say: (what: string) => string): Promise<Team> {
  const names = {
    flow: say('flow'),
    deployment: say('deployment'),
    queue: say('queue'),
    artifact: say('artifact').toLowerCase(),
    input: say('input'),
    worker: say('worker'),
    cache: say('cache'),
    'task-key': say('task-key'),
    'dynamic-key': say('dynamic-key'),
  };
  const template = {
    job_configuration: { command: '{{ command }}' },
    variables: { type: 'object', properties: { command: {} } },
  };
  const about = {
    type: 'process',
    description: say('pool'),
    base_job_template: { ...template, word: say('template') },
  };
  const made = await call<Made>('POST', '/work_pools/', { name: pool, ...about });
  const queue = await call<Made>('POST', `/work_pools/${pool}/queues`, {
    name: names.queue,
    description: say('queue'),
  });
  // Prefect would find it offline, and its pool not ready, in the midst of a test.
  const beat = { name: names.worker, heartbeat_interval_seconds: 86_400 };
  await call('POST', `/work_pools/${pool}/workers/heartbeat`, beat);
  const flow = await call<Made>('POST', '/flows/', {
    name: names.flow,
    tags: [say('flow-tag')],
    labels: { l: say('flow-label') },
  });
  const deployment = await call<Made & { schedules: readonly Made[] }>('POST', '/deployments/', {
    name: names.deployment,
    flow_id: flow.id,
    work_pool_name: pool,
    work_queue_name: names.queue,
    tags: [tag, say('deployment-tag')],
    description: say('about'),
    parameters: { p: say('parameter') },
    job_variables: { command: say('command') },
    labels: { l: say('label') },
    version: say('version'),
    schedules: [{ active: false, schedule: { interval: 3_600 }, parameters: { p: say('schedule') } }],
    concurrency_limit: 3,
  });
  const later = {
    type: 'SCHEDULED',
    message: say('message'),
    state_details: { scheduled_time: '2099-01-01T00:00:00Z' },
  };
  const run = await call<Made & { state_id: string }>('POST', `/deployments/${deployment.id}/create_flow_run`, {
    name: say('run'),
    tags: [say('run-tag')],
    parameters: { p: say('run-parameter') },
    context: { c: say('context') },
    job_variables: { command: say('run-command') },
    idempotency_key: say('key'),
    state: later,
  });
  const of = { flow_run_id: run.id };
  const keys = { task_key: names['task-key'], dynamic_key: names['dynamic-key'] };
  const task = await call<Made>('POST', '/task_runs/', { ...of, ...keys, name: say('task'), tags: [say('task-tag')] });
  const cached = {
    type: 'COMPLETED',
    message: say('task-message'),
    data: { d: say('data') },
    state_details: { cache_key: names.cache },
  };
  await call('POST', `/task_runs/${task.id}/set_state`, { state: { type: 'RUNNING' }, force: true });
  await call('POST', `/task_runs/${task.id}/set_state`, { state: cached });
  const child = await call<Made>('POST', '/flow_runs/', {
    flow_id: flow.id,
    name: say('child'),
    parent_task_run_id: task.id,
  });
  const alone = await call<Made>('POST', '/task_runs/', { ...keys, name: say('alone'), tags: [tag], state: later });
  const artifact = await call<Made>('POST', '/artifacts/', {
    ...of,
    key: names.artifact,
    type: 'markdown',
    data: say('artifact-data'),
    description: say('artifact-about'),
  });
  await call('POST', `/flow_runs/${run.id}/input`, { key: names.input, value: say('input'), sender: say('sender') });
  const log = { name: say('logger'), level: 20, timestamp: new Date().toISOString(), ...of };
  await call('POST', '/logs/', [
    { ...log, message: say('log') },
    { ...log, message: say('task-log'), task_run_id: task.id },
  ]);
  const resource = { 'prefect.resource.id': `prefect.flow-run.${run.id}`, 'prefect.resource.name': say('resource') };
  await call('POST', '/events', [
    {
      id: crypto.randomUUID(),
      occurred: log.timestamp,
      event: say('event'),
      resource,
      related: [],
      payload: { p: say('payload') },
    },
  ]);
  const acts = {
    type: 'run-deployment',
    source: 'selected',
    deployment_id: deployment.id,
    parameters: { p: say('action') },
  };
  const automation = await call<Made>('POST', '/automations/', {
    name: say('automation'),
    description: say('automation-about'),
    trigger: { type: 'event', posture: 'Reactive', expect: [say('expect')], threshold: 1, within: 0 },
    actions: [acts],
  });
  const search = await call<Made>('PUT', '/saved_searches/', { name: say('search'), filters: [] });
  const { state_id: taskState } = await call<{ state_id: string }>('GET', `/task_runs/${task.id}`);
  const ids = {
    pool: made.id,
    queue: queue.id,
    flow: flow.id,
    deployment: deployment.id,
    schedule: deployment.schedules[0]?.id ?? '',
    run: run.id,
    state: run.state_id,
    task: task.id,
    taskState,
    child: child.id,
    alone: alone.id,
    artifact: artifact.id,
    automation: automation.id,
    search: search.id,
  };
  return { pool, tag, ids, names };
}

/** Rows of Prefect's database that have the word or an id of the team's in them, by table; without those of events. */
export async function rowsOf(home: string, team: Team): Promise<readonly string[]> {
  const marks = [CANARY, ...Object.values(team.ids), ...Object.values(team.ids).map((id) => id.replaceAll('-', ''))];
  const read = (): readonly string[] => {
    const database = new DatabaseSync(join(home, 'prefect.db'), { readOnly: true });
    try {
      const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
      return tables.flatMap(({ name }) => {
        const table = String(name);
        if (/event|alembic|sqlite/.test(table)) return [];
        const rows = database.prepare(`SELECT * FROM "${table}"`).all();
        const texts = rows.map((row) => `${table} ${JSON.stringify(row)}`);
        return texts.filter((text) => marks.some((mark) => text.includes(mark)));
      });
    } finally {
      database.close();
    }
  };
  // While Prefect writes, SQLite may say that it is locked.
  return await eventually('the database can be read', async () => {
    try {
      return await Promise.resolve(read().toSorted());
    } catch (error) {
      if (/locked|busy/.test(String(error))) return undefined;
      throw error;
    }
  });
}
