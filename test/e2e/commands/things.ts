// What Prefect's commands work on, made at the server itself.

import { PROCESS_TEMPLATE } from '../harness/process-template.ts';
import { type Attempt, PYTHON, type Thing } from './attempt.ts';

/** Of the flow that a worker can run: its folder, and where the flow is in it. */
export const SOURCE = { path: PYTHON, entrypoint: 'quick_work.py:quick' } as const;

type Of<T> = (it: Attempt) => Promise<T>;

export const flow: Of<Thing> = async ({ server, own }) => await server.post('/flows/', { name: `flow-${own}` });

export const pool: Of<Thing> = async ({ server, own }) =>
  await server.post('/work_pools/', { name: `pool-${own}`, type: 'process', base_job_template: PROCESS_TEMPLATE });

export const queue: Of<Thing & { readonly pool: string }> = async (it) => {
  const { name } = await pool(it);
  const made = await it.server.post(`/work_pools/${name}/queues`, { name: `queue-${it.own}` });
  return { ...made, pool: name };
};

export interface Deployment extends Thing {
  readonly pool: string;
  /** `flow/deployment`, as commands name it. */
  readonly full: string;
}

export const deployment: Of<Deployment> = async (it) => {
  const [of, at] = await Promise.all([flow(it), pool(it)]);
  const name = `deployment-${it.own}`;
  const body = { ...SOURCE, name, flow_id: of.id, work_pool_name: at.name, parameter_openapi_schema: {} };
  const made = await it.server.post('/deployments/', body);
  return { ...made, pool: at.name, full: `${of.name}/${name}` };
};

/** A deployment with a schedule that is active. */
export const scheduled: Of<Deployment & { readonly schedule: string }> = async (it) => {
  const made = await deployment(it);
  const [first] = await it.server.post<Thing[]>(`/deployments/${made.id}/schedules`, [
    { active: true, schedule: { interval: 86_400 } },
  ]);
  return { ...made, schedule: first?.id ?? '' };
};

/** A run of a deployment, to be run now. */
export const run: Of<Thing & { readonly of: Deployment }> = async (it) => {
  const of = await deployment(it);
  const made = await it.server.post(`/deployments/${of.id}/create_flow_run`, { name: `run-${it.own}` });
  return { ...made, of };
};

export async function setState(it: Attempt, id: string, type: string): Promise<void> {
  await it.server.post(`/flow_runs/${id}/set_state`, { state: { type }, force: true });
}

export const stateOf = async (it: Attempt, id: string): Promise<string> =>
  String((await it.server.get(`/flow_runs/${id}`))?.['state_type']);

/**
 * For a command that watches the run: whether it has told of its end, null while it has not. From when on it watches it does
 * not say: so the run changes until that is seen, and only then ends.
 */
export async function watched(it: Attempt, id: string): Promise<boolean | null> {
  if (it.said().includes('finished successfully')) return true;
  if (it.said().includes('flow-run.Running')) await setState(it, id, 'COMPLETED');
  else await setState(it, id, (await stateOf(it, id)) === 'RUNNING' ? 'PENDING' : 'RUNNING');
  return null;
}

/** A flow run that has a line in its log. */
export const logged: Of<Thing> = async (it) => {
  const made = await run(it);
  const line = { name: 'x', level: 20, timestamp: new Date().toISOString(), flow_run_id: made.id };
  await it.server.post<null>('/logs/', [{ ...line, message: `line of ${it.own}` }]);
  return made;
};

/** A task run, and a line of its log. */
export const task: Of<Thing> = async (it) => {
  const { id: flowRun } = await run(it);
  const name = `task-${it.own}`;
  const made = await it.server.post('/task_runs/', { name, flow_run_id: flowRun, task_key: name, dynamic_key: '0' });
  const line = { name: 'x', level: 20, timestamp: new Date().toISOString(), flow_run_id: flowRun };
  await it.server.post<null>('/logs/', [{ ...line, task_run_id: made.id, message: `line of ${it.own}` }]);
  return made;
};

export const variable: Of<Thing> = async ({ server, own }) =>
  await server.post('/variables/', { name: `v_${own.replaceAll('-', '_')}`, value: `value of ${own}` });

export const limit: Of<{ readonly id: string; readonly tag: string }> = async ({ server, own }) =>
  await server.post('/concurrency_limits/', { tag: `tag-${own}`, concurrency_limit: 7 });

export const globalLimit: Of<Thing> = async ({ server, own }) =>
  await server.post('/v2/concurrency_limits/', { name: `limit-${own}`, limit: 7, active: true });

export const artifact: Of<{ readonly id: string; readonly key: string }> = async ({ server, own }) =>
  await server.post('/artifacts/', { key: `artifact-${own}`, type: 'markdown', data: `# of ${own}` });

export function automationOf(name: string): object {
  const trigger = { type: 'event', posture: 'Reactive', expect: ['certgate.test.never'], threshold: 1, within: 0 };
  return { name, enabled: true, trigger, actions: [{ type: 'do-nothing' }] };
}

export const automation: Of<Thing> = async ({ server, own }) =>
  await server.post('/automations/', automationOf(`automation-${own}`));

/** A block with a secret in it. */
export const block: Of<Thing & { readonly slug: string }> = async ({ server, own }) => {
  const type = await server.get<Thing>('/block_types/slug/secret');
  const [schema] = await server.post<Thing[]>('/block_schemas/filter', {
    block_schemas: { block_type_id: { any_: [type?.id] } },
  });
  const name = `block-${own}`;
  const made = await server.post('/block_documents/', {
    name,
    data: { value: `secret of ${own}` },
    block_type_id: type?.id,
    block_schema_id: schema?.id,
  });
  return { ...made, name, slug: `secret/${name}` };
};

export const blockType: Of<Thing & { readonly slug: string }> = async ({ server, own }) =>
  await server.post('/block_types/', { name: `type ${own}`, slug: `type-${own}` });
