// Objects of Prefect that a request is about, and how it is found out in which pool they are and what tags they carry: the
// question to ask Prefect, and what its answer says. A thing without a pool and a team of its own belongs where what it came
// from does: a task run to its flow run, an artifact to its run, a subflow's run to the task that stands for it in its parent.

import { isRecord } from './strict-json.ts';

export type ObjectType =
  | 'flow_run'
  | 'task_run'
  | 'deployment'
  | 'work_queue'
  | 'work_pool'
  | 'flow'
  | 'flow_name'
  | 'deployment_name'
  | 'artifact'
  | 'artifact_key'
  | 'flow_run_state'
  | 'task_run_state'
  /** By its id or its name. */
  | 'concurrency_limit'
  /** `prefect.flow-run.<id>` and the like. */
  | 'resource'
  /** The deployment of a flow by its name, which making one would change: `<flow id>/<name>`. */
  | 'deployment_of'
  /** The runs of a flow with an idempotency key, which making one would answer: `<flow id>/<key>`. */
  | 'run_of';

export interface Ref {
  readonly type: ObjectType;
  /** UUIDs in lower case with hyphens. */
  readonly id: string;
}

/** What must be within the scope. */
export interface Need {
  readonly ref: Ref;
  /** What if there is no such thing: pass (it is Prefect's to say so), refuse, or these must be within in its place. */
  readonly absent: 'pass' | 'refuse' | readonly Ref[];
  /** Who names it makes it: where its id says that it was made a moment ago, there is none yet. */
  readonly made?: true;
}

/** Objects that one request, or one message, may name. */
export const MOST_NEEDS = 1_000;

/** What is known of a thing. */
export interface Facts {
  readonly pool: string | null;
  readonly tags: readonly string[];
  /** Through which it is within where they are; any of them is enough. */
  readonly via: readonly Ref[];
  /** The flow of a deployment or run. */
  readonly flow: string | null;
  /** It belongs to nobody, and is within whatever scope. */
  readonly shared?: true;
}

/** What the limit of one deployment is called, before the deployment's id; all others are shared. */
export const OWN_LIMIT = 'deployment:';

/** What to ask Prefect; the path is below the API's base. */
export interface Question {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body: object | null;
  /** The members of the answer's objects that are looked at; all when left out. */
  readonly wants?: ReadonlySet<string>;
}

/** What `factsOf` looks at: not the parameters of a run, say, which may be large. */
export const FACTS: ReadonlySet<string> = new Set([
  ...['id', 'name', 'tags', 'filter', 'work_pool_name', 'flow_id', 'flow_run_id', 'task_run_id', 'deployment_id'],
  ...['parent_task_run_id', 'state_details'],
]);

const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;

const PLAIN_UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** A UUID as refs have it; null for what is none, also for spellings that only Python takes. */
export function uuidOf(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  // As Prefect's client writes it.
  if (PLAIN_UUID.test(value)) return value;
  if (!UUID.test(value)) return null;
  return value
    .toLowerCase()
    .replaceAll('-', '')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

const KINDS: Readonly<Record<string, ObjectType>> = {
  'flow-run': 'flow_run',
  'task-run': 'task_run',
  deployment: 'deployment',
  flow: 'flow',
  'work-pool': 'work_pool',
  'work-queue': 'work_queue',
};

/** What a resource's id is of: null for a thing that has no scope, `wrong` for one that should name an object and does not. */
export function resourceRef(id: string): Ref | null | 'wrong' {
  const [, kind = '', rest] = /^prefect\.([a-z-]+)\.(.*)$/s.exec(id) ?? [];
  const type = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  if (type === undefined) return null;
  const uuid = uuidOf(rest);
  return uuid === null ? 'wrong' : { type, id: uuid };
}

/** The question about `ref`; flows and resources have none, they are asked about otherwise. */
export function questionOf({ type, id }: Ref): Question | null {
  const get = (path: string): Question => ({ method: 'GET', path, body: null, wants: FACTS });
  const post = (path: string, body: object): Question => ({ method: 'POST', path, body, wants: FACTS });
  const segments = id.split('/').map(encodeURIComponent);
  switch (type) {
    case 'flow_run':
      return get(`/flow_runs/${id}`);
    case 'task_run':
      return get(`/task_runs/${id}`);
    case 'deployment':
      return get(`/deployments/${id}`);
    case 'work_queue':
      return get(`/work_queues/${id}`);
    case 'work_pool':
      return post('/work_pools/filter', { work_pools: { id: { any_: [id] } } });
    case 'artifact':
      return get(`/artifacts/${id}`);
    case 'artifact_key':
      return get(`/artifacts/${segments.join('/')}/latest`);
    case 'flow_run_state':
      return get(`/flow_run_states/${id}`);
    case 'task_run_state':
      return get(`/task_run_states/${id}`);
    case 'concurrency_limit':
      return get(`/v2/concurrency_limits/${segments.join('/')}`);
    case 'flow_name':
      return get(`/flows/name/${segments.join('/')}`);
    case 'deployment_name':
      return get(`/deployments/name/${segments.join('/')}`);
    case 'deployment_of': {
      const [flow, name] = halves(id);
      return post('/deployments/filter', { flows: { id: { any_: [flow] } }, deployments: { name: { any_: [name] } } });
    }
    case 'run_of': {
      const [flow, key] = halves(id);
      const runs = { idempotency_key: { any_: [key] } };
      return post('/flow_runs/filter', { flows: { id: { any_: [flow] } }, flow_runs: runs });
    }
    default:
      return null;
  }
}

function halves(id: string): readonly [string, string] {
  const at = id.indexOf('/');
  return [id.slice(0, at), id.slice(at + 1)];
}

/** What `answer`, parsed, says of `ref`: nothing when there is no such thing; null when it is not what Prefect would say. */
export function factsOf(ref: Ref, answer: unknown): readonly Facts[] | null {
  const items: readonly unknown[] = Array.isArray(answer) ? answer : [answer];
  const found: Facts[] = [];
  for (const item of items) {
    if (!isRecord(item)) return null;
    found.push(factsOfOne(ref.type, item));
  }
  return found;
}

function factsOfOne(type: ObjectType, item: Readonly<Record<string, unknown>>): Facts {
  const via = (...refs: ReadonlyArray<readonly [ObjectType, unknown]>): Ref[] =>
    refs.flatMap(([of, value]) => {
      const id = uuidOf(value);
      return id === null ? [] : [{ type: of, id }];
    });
  const details = isRecord(item['state_details']) ? item['state_details'] : {};
  const flow = uuidOf(item['flow_id']);
  const none = { pool: null, tags: [], via: [], flow: null };
  switch (type) {
    case 'flow_run':
    case 'run_of':
      return {
        pool: text(item['work_pool_name']),
        tags: texts(item['tags']),
        via: via(['deployment', item['deployment_id']], ['task_run', item['parent_task_run_id']]),
        flow,
      };
    case 'deployment':
    case 'deployment_name':
    case 'deployment_of':
      return { ...none, pool: text(item['work_pool_name']), tags: texts(item['tags']), flow };
    case 'task_run': {
      const run = via(['flow_run', item['flow_run_id']]);
      // One of a background task has no flow run and tags of its own.
      return { ...none, tags: run.length === 0 ? texts(item['tags']) : [], via: run };
    }
    case 'work_queue':
      // One with a filter hands out what that finds, in whatever pool.
      return (item['filter'] ?? null) === null ? { ...none, pool: text(item['work_pool_name']) } : none;
    case 'work_pool':
      return { ...none, pool: text(item['name']) };
    case 'artifact':
    case 'artifact_key':
      return { ...none, via: via(['flow_run', item['flow_run_id']], ['task_run', item['task_run_id']]) };
    case 'flow_run_state':
      return { ...none, via: via(['flow_run', details['flow_run_id']]) };
    case 'task_run_state':
      return { ...none, via: via(['task_run', details['task_run_id']]) };
    case 'concurrency_limit': {
      const name = text(item['name']) ?? OWN_LIMIT;
      if (!name.startsWith(OWN_LIMIT)) return { ...none, shared: true };
      return { ...none, via: via(['deployment', name.slice(OWN_LIMIT.length)]) };
    }
    case 'flow_name':
      return { ...none, via: via(['flow', item['id']]) };
    default:
      return none;
  }
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

/** Makes keys of needs: the same for the same need. What stands in its place may be a long list, which the needs of one item share. */
export function needKeys(): (need: Need) => string {
  const known = new Map<readonly Ref[], string>();
  const lists = new Map<string, string>();
  const listKey = (list: readonly Ref[]): string => {
    const [one] = list;
    // No id of these has a blank in it.
    if (one !== undefined && list.length === 1) return `${one.type} ${one.id}`;
    const before = known.get(list);
    if (before !== undefined) return before;
    const said = JSON.stringify(list);
    const key = lists.get(said) ?? `list ${lists.size}`;
    lists.set(said, key);
    known.set(list, key);
    return key;
  };
  return ({ ref: { type, id }, absent, made }) =>
    `${type} ${typeof absent === 'string' ? absent : listKey(absent)} ${made === true} ${id}`;
}
