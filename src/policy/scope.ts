// How far a permission goes: everywhere, or only to what is in some work pools, to what carries a tag, or both. A scope
// stands at a binding. What several bindings give is joined (either will do); what an operation needs of several permissions
// is met (both must). Two scopes that can't be said as one, of two teams say, are torn: nothing is within them, so that a
// union which Prefect's filters can't express never becomes more than either. A certificate may name the pools that its holder
// is for: whatever the policy gives, it gives within those, so that a certificate narrows and never widens.

/** Null where this word is used stands for everywhere. */
export interface Scope {
  /** Names of work pools; null for all. */
  readonly pools: readonly string[] | null;
  /** A tag that what is seen and changed must carry; null for any or none. */
  readonly tag: string | null;
  /** Made of scopes that can't be joined. */
  readonly torn: boolean;
  /** Narrowed by what the certificate says, which no binding of the policy would widen: its pools, and the policy's. */
  readonly certified?: { readonly pools: readonly string[]; readonly given: readonly string[] | null };
}

/** A group that names a pool: `pool:etl`. */
const POOL_GROUP = 'pool:';

/** The group with which a certificate says that its holder is for `pool`. */
export function poolGroup(pool: string): string {
  return `${POOL_GROUP}${pool}`;
}

export function isPoolGroup(group: string): boolean {
  return group.startsWith(POOL_GROUP);
}

/** The pools that `groups` name; empty for a holder that is for all. */
export function poolsIn(groups: readonly string[]): readonly string[] {
  return groups.filter(isPoolGroup).map((one) => one.slice(POOL_GROUP.length));
}

/** `scope` for who is for `pools` alone; no pools for all. */
export function certified(scope: Scope | null, pools: readonly string[]): Scope | null {
  if (pools.length === 0) return scope;
  const both = met(scope, { pools, tag: null, torn: false });
  return both === null ? null : { ...both, certified: { pools, given: scope?.pools ?? null } };
}

/** Where either reaches. */
export function joined(a: Scope | null, b: Scope | null): Scope | null {
  if (a === null || b === null) return null;
  if (a.torn || b.torn || a.tag !== b.tag || (a.pools === null) !== (b.pools === null)) return torn(a);
  if (a.pools === null || b.pools === null) return a;
  return { ...a, pools: [...new Set([...a.pools, ...b.pools])] };
}

/** Where both reach. */
export function met(a: Scope | null, b: Scope | null): Scope | null {
  if (a === null) return b;
  if (b === null) return a;
  if (a.torn || b.torn || (a.tag !== null && b.tag !== null && a.tag !== b.tag)) return torn(a);
  const [one, other] = [a.pools, b.pools];
  const pools = one === null || other === null ? (one ?? other) : one.filter((pool) => other.includes(pool));
  return { pools, tag: a.tag ?? b.tag, torn: false };
}

function torn(scope: Scope): Scope {
  return { ...scope, torn: true };
}

/** The scope in words, to stand after "within". */
export function scopeWords({ pools, tag, torn: two, certified: said }: Scope): string {
  if (two) return 'two scopes that cannot be joined';
  const words: string[] = [];
  if (pools?.length === 0) words.push(`no pool, for ${apartWords(said)}`);
  else if (pools !== null) words.push(`${poolWords(pools)}${said === undefined ? '' : ' of its certificate'}`);
  if (tag !== null) words.push(`the tag ${tag}`);
  return words.join(' and ');
}

/** Why a scope has no pool left: a clause. */
export function apartWords(said: Scope['certified'] | undefined): string {
  return said === undefined || said.given === null || said.given.length === 0
    ? 'the permissions that it needs are given for different pools'
    : `its certificate is for ${poolWords(said.pools)}, and the policy gives it ${poolWords(said.given)}`;
}

/** `the pool etl`, `the pools etl, ml`. */
export function poolWords(pools: readonly string[]): string {
  return `the ${pools.length === 1 ? 'pool' : 'pools'} ${pools.join(', ')}`;
}

/** The same for the same scope, and for no other. */
export function scopeKey(scope: Scope | null): string {
  return scope === null ? '' : JSON.stringify([scope.pools, scope.tag, scope.torn]);
}

/** Whether a thing with this pool and these tags is within. */
export function holds(scope: Scope, pool: string | null, tags: readonly string[]): boolean {
  if (scope.torn) return false;
  if (scope.pools !== null && (pool === null || !scope.pools.includes(pool))) return false;
  return scope.tag === null || tags.includes(scope.tag);
}
