// The bodies of operations within a scope (scope-rules.ts): what they must not say, what objects they name that must be
// within, and the same body with the scope added where Prefect's own filters can hold it. A filter is narrowed only where
// all its parts have to be met: one that says `or_` could turn what is added into one of several ways in. Pure; the body
// is a value of a JSON that has one reading (strict-json.ts).

import type { Scope } from './scope.ts';
import { eventFilterNeeds, eventNeeds } from './scope-events.ts';
import { MOST_NEEDS, type Need, needKeys, type ObjectType, OWN_LIMIT, type Ref, uuidOf } from './scope-refs.ts';
import type { BodyRule, Tagged } from './scope-rules.ts';
import { isRecord } from './strict-json.ts';

type Fields = Readonly<Record<string, unknown>>;

export type Examined =
  /** Why it goes beyond the scope, to stand after "it …". */
  | { readonly kind: 'refuse'; readonly why: string }
  /** Goes on once all of `needs` are within; `body` in place of what came, null for no change. */
  | { readonly kind: 'pass'; readonly needs: readonly Need[]; readonly body: unknown };

const refuse = (why: string): Examined => ({ kind: 'refuse', why });
const pass = (needs: readonly Need[] = [], body: unknown = null): Examined =>
  needs.length > MOST_NEEDS ? refuse(`names more than ${MOST_NEEDS} objects`) : { kind: 'pass', needs, body };
const check = (needs: readonly Need[] | string): Examined => (typeof needs === 'string' ? refuse(needs) : pass(needs));

/** Examines `body`; `deployment` is the one in the path, of the operations that start its runs. */
export function examineBody(rule: BodyRule, body: unknown, scope: Scope, deployment: string | null): Examined {
  switch (rule.kind) {
    case 'narrow':
      return isRecord(body) ? narrowedBody(body, scope, rule) : refuse('has a body that is no object');
    case 'name':
      return isRecord(body) ? named(body, scope, rule.anchors, rule.tagged) : refuse('has a body that is no object');
    case 'list': {
      const ids = isRecord(body) ? idsOf(body[rule.at]) : null;
      return ids === null ? refuse(`does not list ${rule.at}`) : pass(needsOf(rule.type, ids, 'pass'));
    }
    case 'events':
      return Array.isArray(body)
        ? all(body, (one) => check(eventNeeds(one, scope)))
        : refuse('sends no list of events');
    case 'event filter': {
      const filter = isRecord(body) ? (body['filter'] ?? null) : null;
      return check(eventFilterNeeds(filter));
    }
    case 'logs':
      return Array.isArray(body) ? all(body, logExaminer()) : refuse('sends no list of logs');
    case 'run deployment often':
      return Array.isArray(body)
        ? all(body, (one) => (isRecord(one) ? runOfDeployment(one, deployment) : refuse('sends what is no run')))
        : refuse('sends no list of runs');
    default:
      return isRecord(body) ? create(rule.kind, body, scope, deployment) : refuse('has a body that is no object');
  }
}

type Creating = Exclude<BodyRule, { kind: 'narrow' | 'name' | 'list' }>['kind'];

function create(kind: Creating, body: Fields, scope: Scope, deployment: string | null): Examined {
  switch (kind) {
    case 'create flow run':
      return flowRun(body, scope);
    case 'run deployment':
      return runOfDeployment(body, deployment);
    case 'update tags':
      return tagKept(body, scope) ?? pass();
    case 'create task run':
      return taskRun(body, scope);
    case 'create deployment': {
      const lost = tagCarried(body, scope) ?? poolNamed(body, scope) ?? limitShared(body);
      if (lost !== null) return lost;
      const flow = uuidOf(body['flow_id']);
      const { name } = body;
      if (flow === null || typeof name !== 'string') return refuse('names no flow and deployment');
      return pass([{ ref: { type: 'deployment_of', id: `${flow}/${name}` }, absent: 'pass' }]);
    }
    case 'update deployment':
      return tagKept(body, scope) ?? poolKept(body, scope) ?? limitShared(body) ?? pass();
    case 'create pool': {
      if (scope.tag !== null) return refuse('makes a pool, which carries no tag');
      return poolNamed({ work_pool_name: body['name'] }, scope) ?? pass();
    }
    case 'work queue':
      // Prefect knows queues of old that find runs by tags and deployments, wherever these are.
      return (body['filter'] ?? null) === null
        ? pass()
        : refuse('gives a queue a filter, which finds runs of all pools');
    case 'task state':
      return keyShared(body) ?? pass();
    case 'task run slots':
      return some(body, [['task_run_id', 'task_run', 'pass']]);
    case 'slots':
      return slots(body['names'], body['holder']);
    case 'create artifact': {
      const said = some(body, [
        ['flow_run_id', 'flow_run', 'refuse'],
        ['task_run_id', 'task_run', runOf(body)],
      ]);
      return said.kind === 'pass' && said.needs.length === 0 ? refuse('makes an artifact of no run') : said;
    }
    default:
      return refuse('cannot be kept within a scope');
  }
}

/** A run that names a pool, a deployment or a parent: each of them has to be within, and one has to be named. */
function flowRun(body: Fields, scope: Scope): Examined {
  const said = some(body, [
    ['parent_task_run_id', 'task_run', 'refuse'],
    ['deployment_id', 'deployment', 'refuse'],
  ]);
  if (said.kind === 'refuse') return said;
  const parented = said.needs.length > 0;
  const pool = body['work_pool_name'] ?? null;
  if (pool !== null || !parented) {
    const outside = poolNamed(body, scope);
    if (outside !== null) return outside;
  }
  if (!parented) {
    const bare = tagCarried(body, scope);
    if (bare !== null) return bare;
  }
  return withKey(body, uuidOf(body['flow_id']), said.needs);
}

function runOfDeployment(body: Fields, deployment: string | null): Examined {
  const said = some(body, [['parent_task_run_id', 'task_run', 'refuse']]);
  return said.kind === 'refuse' ? said : withKey(body, deployment === null ? null : `of ${deployment}`, said.needs);
}

/** Prefect answers the run that has the idempotency key already, whosever it is. */
function withKey(body: Fields, flow: string | null, needs: readonly Need[]): Examined {
  const key = body['idempotency_key'] ?? null;
  if (key === null) return pass(needs);
  if (typeof key !== 'string' || flow === null) return refuse('has an idempotency key that cannot be looked up');
  return pass([...needs, { ref: { type: 'run_of', id: `${flow}/${key}` }, absent: 'pass' }]);
}

function taskRun(body: Fields, scope: Scope): Examined {
  const shared = keyShared(body);
  if (shared !== null) return shared;
  if ((body['flow_run_id'] ?? null) !== null) return some(body, [['flow_run_id', 'flow_run', 'refuse']]);
  if (scope.pools !== null) return refuse('makes a task run of no flow run, which is in no pool');
  // Prefect answers the one that has both keys already, whosever it is; its client makes one that nobody can guess.
  const key = body['dynamic_key'];
  const guessed = typeof key !== 'string' || !UNGUESSABLE.test(key);
  return tagCarried(body, scope) ?? (guessed ? refuse('has a dynamic_key that another may have') : pass());
}

const UNGUESSABLE = /[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}/;

/** By a cache key Prefect gives a task run the state that another had, of whatever pool and team. */
function keyShared(body: Fields): Examined | null {
  const { state } = body;
  const details = isRecord(state) ? state['state_details'] : null;
  const key = isRecord(details) ? (details['cache_key'] ?? null) : null;
  return key === null ? null : refuse('names a cache key, which all task runs share');
}

/** A deployment's own limit is called after it, and by freeing its slots its runs are let loose. */
function slots(names: unknown, holder: unknown): Examined {
  // No text is made of anything else: an object may say how, and Prefect takes none.
  if (!Array.isArray(names) || !names.every((name) => typeof name === 'string')) return refuse('names no limits');
  const held = holderNeeds(holder ?? null);
  if (held === null) return refuse('takes slots for what is no run or deployment');
  const ids = names.filter((name) => name.startsWith(OWN_LIMIT)).map((name) => uuidOf(name.slice(OWN_LIMIT.length)));
  return ids.every((id) => id !== null)
    ? pass([...needsOf('deployment', ids, 'refuse'), ...held])
    : refuse('names the limit of no deployment');
}

/** Whom the slots are for: Prefect's older clients free those that are held for their task run, whoever took them. */
function holderNeeds(holder: unknown): readonly Need[] | null {
  if (holder === null) return [];
  const type = isRecord(holder) ? HOLDERS.find((one) => one === holder['type']) : undefined;
  const id = isRecord(holder) ? uuidOf(holder['id']) : null;
  // A task run is on record some time after it has taken its slots.
  return type === undefined || id === null ? null : needsOf(type, [id], 'pass');
}

const HOLDERS = ['flow_run', 'task_run', 'deployment'] as const;

/** A batch has thousands of logs of a few runs: each pair is examined once. */
function logExaminer(): (log: unknown) => Examined {
  const seen = new Set<string>();
  return (log) => {
    if (!isRecord(log)) return refuse('sends what is no log');
    const { flow_run_id: run, task_run_id: task = null } = log;
    const pair = typeof run === 'string' && (task === null || typeof task === 'string') ? `${run} ${task}` : null;
    if (pair !== null && seen.has(pair)) return pass();
    if (pair !== null) seen.add(pair);
    return some(log, [
      ['flow_run_id', 'flow_run', 'refuse'],
      // A task run is on record some time after its first log.
      ['task_run_id', 'task_run', runOf(log)],
    ]);
  };
}

/** In place of a task run that is not there yet: the flow run that is named beside it. */
function runOf(body: Fields): 'refuse' | readonly Ref[] {
  const id = uuidOf(body['flow_run_id']);
  return id === null ? 'refuse' : [{ type: 'flow_run', id }];
}

/** What is named by each of these fields, where it is. */
function some(body: Fields, fields: ReadonlyArray<readonly [string, ObjectType, Need['absent']]>): Examined {
  const needs: Need[] = [];
  for (const [name, type, absent] of fields) {
    const value = body[name] ?? null;
    if (value === null) continue;
    const id = uuidOf(value);
    if (id === null) return refuse(`has a ${name} that is no UUID`);
    needs.push({ ref: { type, id }, absent });
  }
  return pass(needs);
}

function all(items: readonly unknown[], examine: (item: unknown) => Examined): Examined {
  const needs = new Map<string, Need>();
  const keyOf = needKeys();
  for (const item of items) {
    const said = examine(item);
    if (said.kind === 'refuse') return said;
    for (const need of said.needs) needs.set(keyOf(need), need);
    if (needs.size > MOST_NEEDS) break;
  }
  return pass([...needs.values()]);
}

function poolNamed(body: Fields, scope: Scope): Examined | null {
  if (scope.pools === null) return null;
  const pool = body['work_pool_name'] ?? null;
  if (pool === null) return refuse('is for no pool');
  return typeof pool === 'string' && scope.pools.includes(pool) ? null : refuse('is for another pool');
}

function tagCarried(body: Fields, scope: Scope): Examined | null {
  if (scope.tag === null) return null;
  const { tags } = body;
  return Array.isArray(tags) && tags.includes(scope.tag) ? null : refuse(`does not carry the tag ${scope.tag}`);
}

function tagKept(body: Fields, scope: Scope): Examined | null {
  return 'tags' in body ? tagCarried(body, scope) : null;
}

/** A queue without its pool is one of the pool that agents had: Prefect makes it there, and moves the deployment to it. */
function poolKept(body: Fields, scope: Scope): Examined | null {
  if ('work_pool_name' in body) return poolNamed(body, scope);
  const queue = body['work_queue_name'] ?? '';
  return scope.pools !== null && queue !== '' ? refuse('names a queue without its pool') : null;
}

/** What a deployment has for its limit is changed and deleted with the deployment, whoever else takes slots of it. */
function limitShared(body: Fields): Examined | null {
  return (body['global_concurrency_limit_id'] ?? null) === null
    ? null
    : refuse('takes a concurrency limit, which belongs to nobody');
}

function needsOf(type: ObjectType, ids: readonly string[], absent: 'pass' | 'refuse'): Need[] {
  return [...new Set(ids)].map((id) => ({ ref: { type, id }, absent }));
}

/** A list of UUIDs with something in it; null when it is none. */
function idsOf(value: unknown): readonly string[] | null {
  if (!Array.isArray(value) || value.length === 0) return null;
  const ids = value.map(uuidOf);
  return ids.every((id) => id !== null) ? ids : null;
}

/** By what it names, if it does; else by a tag alone, where that will do. */
function named(
  body: Fields,
  scope: Scope,
  anchors: ReadonlyArray<readonly [string, string, ObjectType]>,
  tagged: Tagged | null,
): Examined {
  for (const [filter, part, type] of anchors) {
    const whole = body[filter];
    const of = isRecord(whole) && metAll(whole) ? whole[part] : null;
    const ids = isRecord(of) && namesAlone(of) ? idsOf(of['any_']) : null;
    // Logs and artifacts outlive the runs that they are of, and then nobody knows whose they are.
    if (ids !== null) return pass(needsOf(type, ids, 'refuse'));
  }
  if (scope.pools === null && tagged !== null) return narrowed(body, scope, tagged, false);
  const ways = anchors.map(([filter, part]) => `${filter}.${part}.any_`).join(' or ');
  return refuse(`does not name whose it wants, by ${ways}`);
}

/** Whether the part of a filter is its list of ids and nothing that Prefect would take in its place, as `is_null_` in one. */
function namesAlone(part: Fields): boolean {
  return Object.keys(part).every((key) => NAMES.has(key)) && metAll(part) && (part['is_null_'] ?? false) === false;
}

const NAMES: ReadonlySet<string> = new Set(['any_', 'not_any_', 'operator', 'is_null_']);

function narrowedBody(body: Fields, scope: Scope, rule: Extract<BodyRule, { kind: 'narrow' }>): Examined {
  const asked = rule.unasked?.find((filter) => !saysNothing(body[filter]));
  // What is found shows by being found: whether such a run of another's is there.
  if (asked !== undefined) return refuse(`asks by ${asked} for what others may have`);
  const joins = rule.joins === undefined ? {} : { [rule.joins]: body[rule.joins] ?? {} };
  return narrowed({ ...body, ...joins }, scope, rule.tagged, true);
}

function saysNothing(filter: unknown): boolean {
  return (filter ?? null) === null || (isRecord(filter) && Object.keys(filter).every((key) => key === 'operator'));
}

function narrowed(body: Fields, scope: Scope, tagged: Tagged | null, pooled: boolean): Examined {
  let changed = body;
  if (scope.pools !== null && pooled) {
    const { pools } = scope;
    const said = within(changed, 'work_pools', 'name', 'any_', (old) =>
      old === null ? pools : old.filter((one) => pools.includes(one)),
    );
    if (said === null) return refuse(OR);
    changed = said;
  }
  if (scope.tag !== null && tagged !== null) {
    const { tag } = scope;
    const said = within(changed, tagged, 'tags', 'all_', (old) => [...new Set([...(old ?? []), tag])]);
    if (said === null) return refuse(OR);
    changed = said;
  }
  return changed === body ? pass() : pass([], changed);
}

const OR = 'has a filter of another form, or one of several ways ("or_"), which cannot be narrowed';

/** `body` with `body[filter][part][operator]` changed; null when a filter is in the way that one of several ways satisfies. */
function within(
  body: Fields,
  filter: string,
  part: string,
  operator: string,
  change: (old: readonly string[] | null) => readonly string[],
): Fields | null {
  const whole = body[filter] ?? {};
  if (!isRecord(whole) || !metAll(whole)) return null;
  const old = whole[part] ?? {};
  if (!isRecord(old) || !metAll(old)) return null;
  const values = old[operator] ?? null;
  if (values !== null && !(Array.isArray(values) && values.every((one) => typeof one === 'string'))) return null;
  return { ...body, [filter]: { ...whole, [part]: { ...old, [operator]: change(values) } } };
}

/** Whether all parts of a filter have to be met, which is Prefect's default. */
function metAll(filter: Fields): boolean {
  return !('operator' in filter) || filter['operator'] === 'and_';
}
