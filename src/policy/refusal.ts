// What a refused client is told: who it is, what it wanted, what it lacks, and the line of the policy that would permit
// it. Nothing of the request is quoted, so that a client can't put words into our mouth; above all not "Invalid CSRF
// token", on which Prefect's client would try again.

import type { Explanation } from './explain.ts';
import type { Operation } from './operation.ts';
import { BUILT_IN_ROLES, type BuiltInRole, type Permission } from './permissions.ts';
import type { Grants } from './policy.ts';
import { apartWords, poolWords, type Scope, scopeWords } from './scope.ts';

export type RefusalCode = 'CG_UNBOUND' | 'CG_PERMISSION' | 'CG_OPERATION_UNKNOWN' | 'CG_SCOPE';

type Refused = Pick<Explanation, 'identity' | 'operation' | 'ruling' | 'roles' | 'needs' | 'scope' | 'secrets'>;

/** The code of a refusal, from the catalogue of errors. */
export function refusalCode({ ruling, secrets }: Pick<Refused, 'ruling' | 'secrets'>): RefusalCode {
  if (ruling.permit) return secrets === 'refuse' ? 'CG_PERMISSION' : 'CG_SCOPE';
  if (ruling.why === 'unbound') return 'CG_UNBOUND';
  return ruling.why === 'unknown' ? 'CG_OPERATION_UNKNOWN' : 'CG_PERMISSION';
}

/** What is in its way in few words, for where no sentence has room: a WebSocket's close says 123 bytes at most. */
export function refusalBrief({ ruling, needs }: Pick<Refused, 'ruling' | 'needs'>): string {
  if (!ruling.permit && ruling.why === 'unbound') return 'it has no role';
  const taken = needs.filter((one) => one.taken !== null).map((one) => one.permission);
  if (taken.length > 0) return `it is denied ${taken.join(' and ')}`;
  const lacking = needs.filter((one) => one.given === null).map((one) => one.permission);
  return lacking.length === 0 ? 'it may not' : `it lacks ${lacking.join(' and ')}`;
}

/** The refusal in a sentence; printable ASCII. */
export function refusalWords({ identity, operation, ruling, roles, needs, scope, secrets }: Refused): string {
  const name = operation?.name ?? 'an operation that certgate does not know';
  if (ruling.permit && ruling.scope !== null && secrets !== 'refuse' && scope?.bounds.kind === 'refuse') {
    const { role, rule } = ruling;
    return beyondWords({ identity, role, rule, operation: name, scope: ruling.scope, why: scope.bounds.why });
  }
  const lacking = needs.filter((one) => one.given === null).map((one) => one.permission);
  if (!ruling.permit && ruling.why === 'unbound') {
    return `${identity} has no role, so it may not do ${name}; ${grant(identity, lacking)}`;
  }
  const held = heldWords(roles);
  if (!ruling.permit && ruling.why === 'unknown') {
    return `${identity} (${held}) may not do ${name}: only an Owner may, until a certgate is installed that knows it`;
  }
  const taken = needs.filter((one) => one.taken !== null);
  const what = secrets === 'refuse' ? `${name} with secrets` : name;
  if (taken.length > 0) {
    const words = taken.map(({ permission, taken: by }) => `${permission} (by ${by?.holder ?? ''})`).join(' and ');
    return `${identity} (${held}) may not do ${what}: it is denied ${words}; to permit it, take that deny out of the policy`;
  }
  return `${identity} (${held}) may not do ${what}: it lacks ${lacking.join(' and ')}; ${grant(identity, lacking)}`;
}

/** By the list of roles, which is one for all that an identity asks. */
const heldBy = new WeakMap<Refused['roles'], string>();

/** The first roles of an identity, for a sentence. */
function heldWords(roles: Refused['roles']): string {
  const known = heldBy.get(roles);
  if (known !== undefined) return known;
  const held = [...new Set(roles.map((one) => one.role))].slice(0, 5).join(', ');
  heldBy.set(roles, held);
  return held;
}

/** Why `operation` may not be with `field` in its body, which needs `permission` too: a sentence as above. */
export function fieldWords(
  { identity, roles, allowed, denied }: { readonly identity: string } & Pick<Grants, 'roles' | 'allowed' | 'denied'>,
  operation: Operation,
  field: string,
  permission: Permission,
): string {
  const needs = [{ permission, given: allowed.get(permission) ?? null, taken: denied.get(permission) ?? null }];
  const ruling = { permit: false, why: 'missing', missing: [permission] } as const;
  const name = `${operation.name} with ${field}`;
  return refusalWords({
    identity,
    operation: { ...operation, name },
    ruling,
    roles,
    needs,
    scope: null,
    secrets: 'none',
  });
}

/** What stands in the way of a request that goes beyond a scope; `why` completes "it …". */
export interface Beyond {
  readonly identity: string;
  readonly role: string;
  /** Where the binding stands. */
  readonly rule: string;
  readonly operation: string;
  readonly scope: Scope;
  readonly why: string;
}

/** The same in a sentence; printable ASCII but for the names of pools and tags, which are the policy's own. */
export function beyondWords({ identity, role, rule, operation, scope, why }: Beyond): string {
  const who = `${identity} (${role})`;
  if (scope.certified !== undefined && scope.pools?.length === 0) {
    const { pools, given } = scope.certified;
    const remedy = `bind it to ${poolWords(pools)} in the policy, or give it a certificate for ${poolWords(given ?? [])}`;
    return `${who} may do ${operation} nowhere: ${apartWords(scope.certified)} (bound at ${rule}); ${remedy}`;
  }
  const only = `${who} may do ${operation} only within ${scopeWords(scope)}`;
  if (scope.certified !== undefined)
    return `${only}, and it ${why}; no policy widens that: it takes another certificate`;
  const remedy = `to permit it everywhere, add to bindings in the policy: - {role: ${role}, identity: ${identity}}`;
  return `${only} (bound at ${rule}), and it ${why}; ${remedy}`;
}

const ROLES: readonly BuiltInRole[] = ['Viewer', 'Runner', 'Developer', 'Owner'];
const ROLES_OF_WORKERS: readonly BuiltInRole[] = ['Worker', 'Developer', 'Owner'];
const PERMISSIONS_OF = new Map(Object.entries(BUILT_IN_ROLES).map(([name, role]) => [name, new Set(role.permissions)]));

/** The line that would permit it, with the smallest role that is built in and fits. */
function grant(identity: string, lacking: readonly Permission[]): string {
  const order = identity.startsWith('worker/') ? ROLES_OF_WORKERS : ROLES;
  const role = order.find((one) => lacking.every((permission) => PERMISSIONS_OF.get(one)?.has(permission) === true));
  return `to permit it, add to bindings in the policy: - {role: ${role ?? 'Owner'}, identity: ${identity}}`;
}
