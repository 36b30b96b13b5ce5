// The least that covers what somebody was seen to do: a built-in role where one fits closely, else permissions by name, and
// the work pool when there was only one. What was refused counts for nothing, so a log of a gate that observes, or has no policy
// yet, says most. A log does not have queries and bodies: whether secrets of blocks were asked for it can't tell.

import { findOperation, type Operation, WEBSOCKET } from './operation.ts';
import { encodePath } from './paths.ts';
import { ALL_PERMISSIONS, BUILT_IN_ROLES, type BuiltInRole, type Permission } from './permissions.ts';
import type { Scope } from './scope.ts';
import { boundsOf } from './scope-request.ts';

/** One permitted request of a log. */
export interface Seen {
  readonly identity: string;
  readonly method: string;
  /** Decoded, without the query. */
  readonly path: string;
  /** By the log: it tells the opening of a WebSocket from a GET. */
  readonly operation: string | null;
}

export interface Suggestion {
  readonly identity: string;
  readonly requests: number;
  /** A request of each operation: `METHOD /path`. */
  readonly samples: readonly string[];
  readonly needs: readonly Permission[];
  /** Null for permissions by name: none of the built-in roles fits closely. */
  readonly role: BuiltInRole | null;
  readonly pools: readonly string[] | null;
  /** Permitted then, and known to no table: for an Owner alone. */
  readonly unknown: readonly string[];
}

/** Permissions beside the needed ones, reading aside, with which a built-in role still fits closely. */
const MOST_BESIDE = 3;
/** Smallest first; nobody is made an Owner by what a log says. */
const ORDER: readonly BuiltInRole[] = ['Viewer', 'Runner', 'Worker', 'Developer'];
const MOST_SAMPLES = 200;

interface Gathering {
  requests: number;
  readonly operations: Map<string, { readonly operation: Operation; readonly sample: string }>;
  readonly needs: Set<Permission>;
  readonly pools: Set<string>;
  readonly unknown: Set<string>;
}

/** Gathers requests; ask it at the end. Memory grows with identities and operations, not with requests. */
export function createSuggester(): {
  readonly see: (one: Seen) => void;
  readonly suggest: () => readonly Suggestion[];
} {
  const known = new Map<string, Gathering>();
  return {
    see({ identity, method, path, operation: name }) {
      const mine = known.get(identity) ?? emptyGathering();
      known.set(identity, mine);
      mine.requests++;
      const operation = operationOf(method, path, name);
      if (operation === null) {
        if (mine.unknown.size < MOST_SAMPLES) mine.unknown.add(`${method} ${path}`);
        return;
      }
      const pool =
        operation.params['work_pool_name'] ?? (POOL.test(operation.route) ? operation.params['name'] : undefined);
      if (pool !== undefined && mine.pools.size < 3) mine.pools.add(pool);
      for (const need of operation.needs) mine.needs.add(need);
      const sample = `${operation.cls.startsWith('ws-') ? 'WEBSOCKET' : method} ${encodePath(path)}`;
      const key = `${operation.name} ${operation.route}`;
      if (!mine.operations.has(key)) mine.operations.set(key, { operation, sample });
    },
    suggest: () => [...known].map(([identity, of]) => suggestionOf(identity, of)),
  };
}

const POOL = /^\/work_pools\/\{name\}/;

function emptyGathering(): Gathering {
  return { requests: 0, operations: new Map(), needs: new Set(), pools: new Set(), unknown: new Set() };
}

function operationOf(method: string, path: string, name: string | null): Operation | null {
  const socket = findOperation(WEBSOCKET, path);
  return socket !== null && socket.name === name ? socket : findOperation(method, path);
}

function suggestionOf(identity: string, of: Gathering): Suggestion {
  const needs = ALL_PERMISSIONS.filter((one) => of.needs.has(one));
  const seen = [...of.operations.values()];
  return {
    identity,
    requests: of.requests,
    samples: seen.map((one) => one.sample),
    needs,
    role: closest(needs, identity),
    pools: poolsOf(of, seen),
    unknown: [...of.unknown],
  };
}

function closest(needs: readonly Permission[], identity: string): BuiltInRole | null {
  const fits = ORDER.filter((role) => {
    const { permissions } = BUILT_IN_ROLES[role];
    if (!needs.every((one) => permissions.includes(one))) return false;
    const beside = permissions.filter((one) => !needs.includes(one));
    return beside.filter((one) => !one.startsWith('see_') || one === 'see_secret_blocks').length <= MOST_BESIDE;
  });
  const own = identity.startsWith('worker/') && fits.includes('Worker') ? 'Worker' : null;
  return own ?? fits[0] ?? null;
}

/** The one pool that it was about, if it polls, and nothing that it did goes beyond it by its path. */
function poolsOf(of: Gathering, seen: ReadonlyArray<{ readonly operation: Operation }>): readonly string[] | null {
  const [pool, more] = of.pools;
  if (pool === undefined || more !== undefined || !of.needs.has('write_workers')) return null;
  const scope: Scope = { pools: [pool], tag: null, torn: false };
  const within = seen.every(({ operation }) => {
    // By its query, which a log does not have, it is within or Prefect's to say.
    const target = '?flow_run_id=00000000-0000-4000-8000-000000000000&task_run_id=00000000-0000-4000-8000-000000000000';
    return boundsOf(operation, target, scope).kind !== 'refuse';
  });
  return within ? [pool] : null;
}
