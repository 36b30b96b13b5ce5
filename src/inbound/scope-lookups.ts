// Whether things of Prefect are within a scope: what is not in a request is asked of Prefect, once for all that one client asks at a
// time, and kept for some seconds for everybody. What is written by way of this gate is forgotten once it is written;
// that of another gate, or Prefect's own, holds after those seconds. That there is no such thing is never kept. Whoever can't
// be asked is a failure, which the caller answers with 503: never a yes.

import { holds, type Scope, scopeKey } from '../policy/scope.ts';
import { FACTS, type Facts, factsOf, type Need, questionOf, type Ref } from '../policy/scope-refs.ts';
import type { AskPrefect } from './prefect-ask.ts';

/** How long an answer holds, ms. */
const KEPT = 5_000;
const MOST_KEPT = 10_000;
/** Characters of what is known of one thing, about; of more, which its tags can be, nothing is kept. */
const MOST_SAID = 4_096;
/** How many things are gone through to find out whose one is: subflows of subflows. */
const DEEPEST = 32;
const AT_ONCE = 16;
/** Newest runs of a flow that are looked at: flows of subflows have no deployment to go by. */
const RUNS_OF_FLOW = 20;

export interface ScopeLookups {
  /** The first of `needs` that is not within; null when all are. Rejects when Prefect can't be asked. `whose`: see AskPrefect. */
  outside(scope: Scope, needs: readonly Need[], whose?: string): Promise<Need | null>;
  /** Whether all of `needs` are within by what is kept now: false too where Prefect would have to be asked. */
  inside(scope: Scope, needs: readonly Need[]): boolean;
  /** Something is written: of the object with this id, or of who knows which (null). */
  forget(id: string | null): void;
  readonly size: number;
}

interface Kept<T> {
  readonly value: T;
  readonly until: number;
}

/** What holds, and for whom it is found out. */
interface Asking {
  readonly scope: Scope;
  readonly whose: string;
}

/** `now` in ms; only differences matter. */
export function openScopeLookups(ask: AskPrefect, now: () => number): ScopeLookups {
  const kept = new Map<string, Kept<readonly Facts[] | boolean>>();
  /** By who asks: the question of somebody who has many may be long in coming to its turn. */
  const asking = new Map<string, Map<string, Promise<unknown>>>();

  const keep = (key: string, value: readonly Facts[] | boolean): void => {
    kept.delete(key);
    if (typeof value !== 'boolean' && saidIn(value) > MOST_SAID) return;
    kept.set(key, { value, until: now() + KEPT });
    for (const oldest of kept.keys()) {
      if (kept.size <= MOST_KEPT) break;
      kept.delete(oldest);
    }
  };

  /** One question at a time for each key and client; what comes of it is kept unless it says that there is nothing. */
  const once = async <T extends readonly Facts[] | boolean>(
    key: string,
    whose: string,
    find: () => Promise<T>,
    lasting: (found: T) => boolean,
  ): Promise<T> => {
    const known = kept.get(key);
    if (known !== undefined && known.until > now()) {
      kept.delete(key);
      kept.set(key, known);
      return known.value as T;
    }
    const together = asking.get(key) ?? new Map<string, Promise<unknown>>();
    const underWay = together.get(whose);
    if (underWay !== undefined) return await (underWay as Promise<T>);
    const work = find();
    together.set(whose, work);
    asking.set(key, together);
    const isCurrent = (): boolean => asking.get(key)?.get(whose) === work;
    try {
      const value = await work;
      // Forgotten meanwhile: it may be of before the write.
      if (isCurrent() && lasting(value)) keep(key, value);
      return value;
    } finally {
      if (isCurrent() && together.delete(whose) && together.size === 0) asking.delete(key);
    }
  };

  const facts = async (ref: Ref, whose: string): Promise<readonly Facts[]> =>
    await once(
      keyOf(ref),
      whose,
      async () => {
        const question = questionOf(await withFlow(ref, whose));
        if (question === null) throw new TypeError(`nothing to ask about a ${ref.type}`);
        const answer = await ask(question, whose);
        const found = answer === null ? [] : factsOf(ref, answer);
        if (found === null) throw new Error(`Prefect's answer to ${question.path} can't be read`);
        return found;
      },
      // Names and keys can be taken by another at any time.
      (found) => found.length > 0 && !NAMED.has(ref.type),
    );

  /** `of <deployment>/<key>` with the deployment's flow in its place. */
  const withFlow = async (ref: Ref, whose: string): Promise<Ref> => {
    const [, deployment, key] = /^of ([^/]*)\/(.*)$/s.exec(ref.id) ?? [];
    if (ref.type !== 'run_of' || deployment === undefined || key === undefined) return ref;
    const [one] = await facts({ type: 'deployment', id: deployment }, whose);
    return { type: 'run_of', id: `${one?.flow ?? NO_ID}/${key}` };
  };

  /** Null when there is no such thing. */
  const within = async (by: Asking, ref: Ref, depth: number): Promise<boolean | null> => {
    if (depth > DEEPEST || by.scope.torn) return false;
    if (ref.type === 'flow') return await flowWithin(by, ref.id, depth);
    const found = await facts(ref, by.whose);
    if (found.length === 0) return null;
    for (const one of found) if (!(await factsWithin(by, one, depth))) return false;
    return true;
  };

  const factsWithin = async (by: Asking, { pool, tags, via, shared }: Facts, depth: number): Promise<boolean> => {
    const { scope } = by;
    if (shared === true || holds(scope, pool, tags)) return true;
    // What has a pool is in that, whoever made it.
    if (pool !== null && scope.pools?.includes(pool) === false) return false;
    for (const ref of via) if ((await within(by, ref, depth + 1)) === true) return true;
    return false;
  };

  /** A flow is whosever deployments and runs it has; one that has none yet is anybody's. */
  const flowWithin = async (by: Asking, id: string, depth: number): Promise<boolean> =>
    await once(
      `${scopeKey(by.scope)} flow ${id}`,
      by.whose,
      async () => {
        const { scope, whose } = by;
        const flows = { id: { any_: [id] } };
        const tags = scope.tag === null ? {} : { tags: { all_: [scope.tag] } };
        const pools = scope.pools === null ? {} : { work_pools: { name: { any_: scope.pools } } };
        const any = async (path: string, body: object): Promise<boolean> => {
          const answer = await ask({ method: 'POST', path, body, wants: FACTS }, whose);
          return Array.isArray(answer) && answer.length > 0;
        };
        if (await any('/deployments/filter', { flows, deployments: tags, ...pools, limit: 1 })) return true;
        if (await any('/flow_runs/filter', { flows, flow_runs: tags, ...pools, limit: 1 })) return true;
        const newest = { flows, sort: 'START_TIME_DESC', limit: RUNS_OF_FLOW };
        const runs = factsOf(
          { type: 'flow_run', id },
          await ask({ method: 'POST', path: '/flow_runs/filter', body: newest, wants: FACTS }, whose),
        );
        if (runs?.length === 0) return !(await any('/deployments/filter', { flows, limit: 1 }));
        for (const run of runs ?? []) if (await factsWithin(by, run, depth + 1)) return true;
        return false;
      },
      // It may get one at any time.
      (found) => found,
    );

  const allWithin = async (by: Asking, refs: readonly Ref[]): Promise<boolean> => {
    for (const one of refs) if ((await within(by, one, 0)) !== true) return false;
    return refs.length > 0;
  };

  /** `instead` answers for what stands in the place of what is not there. */
  const met = async (
    by: Asking,
    { ref, absent, made }: Need,
    instead: (refs: readonly Ref[]) => Promise<boolean>,
  ): Promise<boolean> => {
    if (made === true && isFresh(ref.id)) return true;
    const there = await within(by, ref, 0);
    if (there !== null) return there;
    if (typeof absent === 'string') return absent === 'pass';
    if (!(await instead(absent))) return false;
    // It comes into being by this: the next that is said of it needs no question.
    keep(keyOf(ref), [{ pool: null, tags: [], via: absent, flow: null }]);
    return true;
  };

  const fresh = (key: string): readonly Facts[] | boolean | null => {
    const known = kept.get(key);
    return known !== undefined && known.until > now() ? known.value : null;
  };

  /** `within` by what is kept. */
  const known = (scope: Scope, ref: Ref, depth: number): boolean => {
    if (depth > DEEPEST || scope.torn) return false;
    if (ref.type === 'flow') return fresh(`${scopeKey(scope)} flow ${ref.id}`) === true;
    const found = fresh(keyOf(ref));
    if (found === null || typeof found === 'boolean' || found.length === 0) return false;
    return found.every((one) => factsKnown(scope, one, depth));
  };

  const factsKnown = (scope: Scope, { pool, tags, via, shared }: Facts, depth: number): boolean => {
    if (shared === true || holds(scope, pool, tags)) return true;
    if (pool !== null && scope.pools?.includes(pool) === false) return false;
    return via.some((ref) => known(scope, ref, depth + 1));
  };

  return {
    inside: (scope, needs) => needs.every(({ ref }) => known(scope, ref, 0)),
    async outside(scope, needs, whose = '') {
      const by = { scope, whose };
      // All that an event is about share one list, which is gone through once.
      const lists = new Map<readonly Ref[], Promise<boolean>>();
      const instead = async (refs: readonly Ref[]): Promise<boolean> => {
        const said = lists.get(refs) ?? allWithin(by, refs);
        lists.set(refs, said);
        return await said;
      };
      for (let at = 0; at < needs.length; at += AT_ONCE) {
        const some = needs.slice(at, at + AT_ONCE);
        const said = await Promise.all(some.map(async (need) => await met(by, need, instead)));
        const found = some[said.indexOf(false)];
        if (found !== undefined) return found;
      }
      return null;
    },
    forget(id) {
      if (kept.size === 0 && asking.size === 0) return;
      for (const memory of [kept, asking]) {
        if (id === null) memory.clear();
        else for (const type of WRITTEN) memory.delete(keyOf({ type, id }));
      }
    },
    get size() {
      return kept.size;
    },
  };
}

/** Whether the id, a UUID of version 7, says that it was made within the last minute: nobody can guess one of another's. */
function isFresh(id: string): boolean {
  const since = Date.now() - Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
  return id[14] === '7' && Math.abs(since) < FRESH;
}

const FRESH = 60_000;
const NAMED: ReadonlySet<Ref['type']> = new Set([
  'deployment_of',
  'run_of',
  'deployment_name',
  'flow_name',
  'artifact_key',
  'concurrency_limit',
]);
/** What is written by its id. */
const WRITTEN: readonly Ref['type'][] = ['flow_run', 'task_run', 'deployment', 'work_queue', 'artifact'];
const NO_ID = '00000000-0000-0000-0000-000000000000';

function saidIn(facts: readonly Facts[]): number {
  let said = 0;
  for (const { pool, tags, via } of facts) {
    said += 64 + (pool?.length ?? 0) + via.length * 64;
    for (const tag of tags) said += 16 + tag.length;
  }
  return said;
}

function keyOf({ type, id }: Ref): string {
  return `${type} ${id}`;
}
