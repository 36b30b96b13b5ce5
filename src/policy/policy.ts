// A policy: roles made of permissions, and who has them. What an identity may do is the union of what its roles permit
// less whatever any of them denies: deny wins, in whatever order things are written. Nobody has anything by default, and an
// operation that the route table does not know is for whoever has all of Owner and is denied nothing. Everything is worked
// out once for an identity; after that a decision is one look-up, however many roles and bindings there are.

import type { Operation } from './operation.ts';
import { ALL_PERMISSIONS, BUILT_IN_ROLES, type BuiltInRole, type Permission } from './permissions.ts';
import { certified, isPoolGroup, joined, met, poolsIn, type Scope, scopeKey } from './scope.ts';

/** A word of the policy, and where it stands: `policy.yaml:3:5`. */
export interface Placed<T extends string = string> {
  readonly text: T;
  readonly place: string;
}

export interface RoleSource {
  readonly name: Placed;
  /** Names of roles, all known; no circle. */
  readonly extends: readonly Placed[];
  readonly permissions: readonly Placed<Permission>[];
  readonly deny: readonly Placed<Permission>[];
  /** Whoever it is bound to is refused nothing; what would be is counted and logged. Roles that extend it don't have that. */
  readonly observe?: boolean;
}

export interface BindingSource {
  readonly place: string;
  /** Names of roles, all known. */
  readonly roles: readonly Placed[];
  /** Names of identities that are bound as they stand. */
  readonly identities: readonly string[];
  /** Whether its pattern matches an identity; null when it has none. */
  readonly matches: ((identity: string) => boolean) | null;
  /** Names of groups whose members are bound. */
  readonly groups?: readonly string[];
  /** Whether it binds whoever's certificate says this; null when it asks for nothing of the kind. */
  readonly certificate?: ((says: Attributes['values']) => boolean) | null;
  /** How far what it gives goes; absent or null for everywhere. What it denies is denied everywhere. */
  readonly scope?: Scope | null;
}

/** What a client's certificate says beside its name. One object for a certificate: what is worked out for it is kept by it. */
export interface Attributes {
  readonly groups: readonly string[];
  /** `O`, `DNS`, `issuer`, …, each as often as it has a value. */
  readonly values: ReadonlyArray<readonly [attribute: string, value: string]>;
}

/** A certificate that says no more than a name. */
export const NO_ATTRIBUTES: Attributes = { groups: [], values: [] };

/** What happens to a client without see_secret_blocks that asks for secrets: 403, or it gets the block without them. */
export type SecretsMode = 'refuse' | 'hide';

/** Whom Prefect is told that created a run or a deployment: nobody but what it knows by itself, or the client's identity. */
export type CreatedBy = 'prefect' | 'identity';

export interface PolicySource {
  readonly mode: 'enforce' | 'observe';
  readonly secrets: SecretsMode;
  readonly createdBy?: CreatedBy;
  readonly roles: readonly RoleSource[];
  readonly bindings: readonly BindingSource[];
}

/** Where a permission, or its denial, comes from. */
export interface Origin {
  /** The role that is bound. */
  readonly role: string;
  /** Where the binding stands. */
  readonly binding: string;
  /** The role that says it: `role` or one that it extends. */
  readonly holder: string;
  /** Where that stands; null in a built-in role. */
  readonly place: string | null;
}

export type Ruling =
  | {
      readonly permit: true;
      readonly role: string;
      readonly rule: string;
      /** How far; null for everywhere. */
      readonly scope: Scope | null;
    }
  | {
      readonly permit: false;
      /** No role at all; permissions that no role gives; permissions that one takes; an operation nobody knows. */
      readonly why: 'unbound' | 'missing' | 'denied' | 'unknown';
      readonly missing: readonly Permission[];
    };

/** What one identity may do. */
export interface Grants {
  readonly roles: readonly { readonly role: string; readonly binding: string }[];
  readonly allowed: ReadonlyMap<Permission, Origin>;
  readonly denied: ReadonlyMap<Permission, Origin>;
  /** Whether a role of it only observes. */
  readonly observes: boolean;
  /** Whether it has the permission, however far, and nothing takes it. */
  has(permission: Permission): boolean;
  /** `null` is an operation that the route table does not know. */
  rule(operation: Pick<Operation, 'needs'> | null): Ruling;
}

export interface Policy {
  readonly mode: 'enforce' | 'observe';
  readonly secrets: SecretsMode;
  readonly createdBy: CreatedBy;
  /** `attributes` are those of its certificate: roles are bound to them, and they name the pools beyond which nothing is given. */
  grants(identity: string, attributes?: Attributes): Grants;
}

interface Said {
  readonly holder: string;
  readonly place: string | null;
}

/** A role with all that it extends. */
interface Role {
  readonly allows: ReadonlyMap<Permission, Said>;
  readonly denies: ReadonlyMap<Permission, Said>;
  readonly owner: boolean;
  readonly observe: boolean;
}

/** Identities whose grants are kept; more are worked out again. */
const MOST_KEPT = 20_000;

/** Whether `name` is one of the roles that are always there. */
function isBuiltIn(name: string): name is BuiltInRole {
  return Object.hasOwn(BUILT_IN_ROLES, name);
}

/** Compiles a policy whose names were checked. TypeError for a role that is not there or that extends itself. */
export function compilePolicy(source: PolicySource): Policy {
  const roles = compileRoles(source.roles);
  const exact = new Map<string, BindingSource[]>();
  const patterns = source.bindings.filter((one) => one.matches !== null);
  for (const binding of source.bindings) {
    for (const identity of binding.identities) {
      const known = exact.get(identity);
      if (known === undefined) exact.set(identity, [binding]);
      else known.push(binding);
    }
  }
  const named = new Set(source.bindings.flatMap((one) => one.groups ?? []));
  const byCertificate = source.bindings.filter((one) => (one.certificate ?? null) !== null);
  const kept = new Map<string, Grants>();
  /** By the bindings and pools that they come of: a fleet has many names, and few of these. */
  const shared = new Map<string, Grants>();
  const places = new Map(source.bindings.map((one, at) => [one, at]));
  const ofCertificate = new WeakMap<Attributes, { readonly identity: string; readonly grants: Grants }>();
  const grantsFor = (identity: string, { groups, values }: Attributes): Grants => {
    const belongs = groups.filter((one) => named.has(one));
    const more = byCertificate.filter((one) => one.certificate?.(values) === true);
    const pools = poolsIn(groups);
    // A name has no line end, a group neither, and no group begins with # or @.
    const key = [
      identity,
      ...belongs,
      ...more.map((one) => `#${byCertificate.indexOf(one)}`),
      ...pools.map((pool) => `@${pool}`),
    ].join('\n');
    const known = kept.get(key);
    if (known !== undefined) return known;
    const bindings = [...(exact.get(identity) ?? []), ...patterns.filter((one) => one.matches?.(identity) === true)];
    if (belongs.length > 0) {
      more.push(...source.bindings.filter((one) => one.groups?.some((group) => belongs.includes(group)) === true));
    }
    const all = [...new Set([...bindings, ...more])];
    const which = JSON.stringify([all.map((one) => places.get(one)), pools]);
    const grants = shared.get(which) ?? grantsOf(all, roles, pools);
    if (kept.size >= MOST_KEPT) for (const memory of [kept, shared]) memory.clear();
    shared.set(which, grants);
    kept.set(key, grants);
    return grants;
  };
  // Most policies ask for nothing but names.
  const byNameAlone = named.size === 0 && byCertificate.length === 0;
  return {
    mode: source.mode,
    secrets: source.secrets,
    createdBy: source.createdBy ?? 'prefect',
    grants(identity, attributes = NO_ATTRIBUTES) {
      const plain = attributes === NO_ATTRIBUTES || (byNameAlone && !attributes.groups.some(isPoolGroup));
      if (plain) return kept.get(identity) ?? grantsFor(identity, NO_ATTRIBUTES);
      const last = ofCertificate.get(attributes);
      if (last?.identity === identity) return last.grants;
      const grants = grantsFor(identity, attributes);
      ofCertificate.set(attributes, { identity, grants });
      return grants;
    },
  };
}

/** Whether what `needs` names is permitted as far as `scope` reaches; of two scopes only the same is taken for that. */
export function reachesToo(grants: Grants, needs: Pick<Operation, 'needs'>, scope: Scope | null): boolean {
  const ruling = grants.rule(needs);
  return ruling.permit && (ruling.scope === null || scopeKey(ruling.scope) === scopeKey(scope));
}

function compileRoles(sources: readonly RoleSource[]): ReadonlyMap<string, Role> {
  const byName = new Map(sources.map((one) => [one.name.text, one]));
  const done = new Map<string, Role>();
  const compile = (name: string, way: readonly string[]): Role => {
    const known = done.get(name);
    if (known !== undefined) return known;
    const role = isBuiltIn(name) ? builtIn(name) : extended(name, way);
    done.set(name, role);
    return role;
  };
  const extended = (name: string, way: readonly string[]): Role => {
    const source = byName.get(name);
    if (source === undefined || way.includes(name)) throw new TypeError(`the role ${name} was not checked`);
    const allows = new Map<Permission, Said>();
    const denies = new Map<Permission, Said>();
    for (const { text, place } of source.permissions) put(allows, text, { holder: name, place });
    for (const { text, place } of source.deny) put(denies, text, { holder: name, place });
    let owner = false;
    for (const { text } of source.extends) {
      const above = compile(text, [...way, name]);
      for (const [permission, said] of above.allows) put(allows, permission, said);
      for (const [permission, said] of above.denies) put(denies, permission, said);
      owner ||= above.owner;
    }
    return { allows, denies, owner, observe: source.observe === true };
  };
  for (const name of [...Object.keys(BUILT_IN_ROLES), ...byName.keys()]) compile(name, []);
  return done;
}

function builtIn(name: BuiltInRole): Role {
  const said = { holder: name, place: null };
  const allows = new Map(BUILT_IN_ROLES[name].permissions.map((one) => [one, said]));
  return { allows, denies: new Map(), owner: name === 'Owner', observe: false };
}

function put<K, V>(map: Map<K, V>, key: K, value: V): void {
  if (!map.has(key)) map.set(key, value);
}

function grantsOf(
  bindings: readonly BindingSource[],
  known: ReadonlyMap<string, Role>,
  pools: readonly string[],
): Grants {
  const allowed = new Map<Permission, Origin>();
  const denied = new Map<Permission, Origin>();
  const roles: { role: string; binding: string }[] = [];
  const scopes = new Map<Permission, Scope | null>();
  let owner = false;
  let observes = false;
  for (const { place: binding, roles: names, scope = null } of bindings) {
    for (const { text: role } of names) {
      const found = known.get(role);
      if (found === undefined) throw new TypeError(`the role ${role} was not checked`);
      roles.push({ role, binding });
      for (const [permission, said] of found.allows) {
        const before = scopes.get(permission);
        // Where it is everywhere that one is told.
        if (before === undefined || (before !== null && scope === null)) {
          allowed.set(permission, { role, binding, ...said });
        }
        scopes.set(permission, before === undefined ? scope : joined(before, scope));
      }
      for (const [permission, said] of found.denies) put(denied, permission, { role, binding, ...said });
      owner ||= found.owner;
      observes ||= found.observe;
    }
  }
  const has = (permission: Permission): boolean => allowed.has(permission) && !denied.has(permission);
  const everything =
    owner && pools.length === 0 && ALL_PERMISSIONS.every((one) => has(one) && scopes.get(one) === null);
  const first = roles[0];
  const work = (needs: readonly Permission[] | null): Ruling => {
    if (first === undefined) return { permit: false, why: 'unbound', missing: needs ?? [] };
    if (needs === null) {
      if (!everything) return { permit: false, why: 'unknown', missing: [] };
      return { permit: true, role: 'Owner', rule: first.binding, scope: null };
    }
    const missing = needs.filter((one) => !has(one));
    if (missing.length > 0) {
      return { permit: false, why: missing.some((one) => denied.has(one)) ? 'denied' : 'missing', missing };
    }
    const origin = needs[0] === undefined ? undefined : allowed.get(needs[0]);
    let scope: Scope | null = null;
    for (const one of needs) scope = met(scope, scopes.get(one) ?? null);
    scope = certified(scope, pools);
    return { permit: true, role: origin?.role ?? first.role, rule: origin?.binding ?? first.binding, scope };
  };
  // Operations that need the same share one array (operation.ts).
  const rulings = new Map<readonly Permission[] | null, Ruling>();
  return {
    roles,
    allowed,
    denied,
    observes,
    has,
    rule(operation) {
      const needs = operation === null ? null : operation.needs;
      const worked = rulings.get(needs);
      if (worked !== undefined) return worked;
      const ruling = work(needs);
      rulings.set(needs, ruling);
      return ruling;
    },
  };
}
