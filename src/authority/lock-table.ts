// Which lock stands on whom: the one rule that the CA goes by when it is asked for a certificate and a gate when somebody
// connects. A lock is on an identity, a serial or all clients; several may stand on one client, and it is refused until
// all of them have ended. The gate's own names (gate/…) are never locked: a gate whose server certificate could not be
// renewed would end all service, also after `unlock`. Pure: the clock is given to it.

import { kindOf } from '../identity/name.ts';
import type { LockRecord } from '../store/store.ts';

/** What a lock may be on; `subject` is an identity or a serial, empty for `all`. */
export type LockTarget = Pick<LockRecord, 'scope' | 'subject'>;

/** Locks, by what they are on. */
export interface LockTable {
  readonly size: number;
  readonly all: LockRecord | null;
  readonly identities: ReadonlyMap<string, LockRecord>;
  readonly serials: ReadonlyMap<string, LockRecord>;
}

/** A client as a gate knows it. */
export interface Lockable {
  /** Whom it speaks for by the gate's rules. */
  readonly identity: string;
  /** Whom its certificate was issued to; null for one that is not on record. */
  readonly recorded: string | null;
  readonly serial: string;
}

/** `locks` to be looked up in, whatever their number. */
export function lockTable(locks: readonly LockRecord[]): LockTable {
  const of = (scope: LockRecord['scope']) =>
    new Map(locks.filter((lock) => lock.scope === scope).map((lock) => [lock.subject, lock]));
  return {
    size: locks.length,
    all: locks.find(({ scope }) => scope === 'all') ?? null,
    identities: of('identity'),
    serials: of('serial'),
  };
}

/** Whether `lock` stands at `now`, ms since the epoch. */
export function stands(lock: LockRecord, now: number): boolean {
  return lock.until === null || lock.until > now;
}

/** The lock that keeps `client` out at `now`, ms since the epoch: of several the one that lasts longest. Null when none does. */
export function lockOn(table: LockTable, client: Lockable, now: number): LockRecord | null {
  if (table.size === 0) return null;
  return longest(
    [
      table.serials.get(client.serial),
      table.identities.get(client.identity),
      client.recorded === null ? undefined : table.identities.get(client.recorded),
      table.all,
    ],
    now,
  );
}

/** The lock among `locks` that keeps `identity` from being issued a certificate at `now`, ms since the epoch. */
export function lockOnIssue(locks: readonly LockRecord[], identity: string, now: number): LockRecord | null {
  if (kindOf(identity) === 'gate') return null;
  return longest(
    locks.filter(({ scope, subject }) => scope === 'all' || (scope === 'identity' && subject === identity)),
    now,
  );
}

/** What a gate says of the locks that stand. */
export interface LockSummary {
  readonly standing: number;
  /** Whether there is one on all. */
  readonly everyone: boolean;
}

/** Of `table` at `now`, ms since the epoch. */
export function lockSummary({ all, identities, serials }: LockTable, now: number): LockSummary {
  const locks = [...identities.values(), ...serials.values(), ...(all === null ? [] : [all])];
  return { standing: locks.filter((lock) => stands(lock, now)).length, everyone: all !== null && stands(all, now) };
}

/** What `target` is, for people: `identity worker/etl-1`, `serial 4f…`, `everyone`. */
export function targetWords({ scope, subject }: LockTarget): string {
  return scope === 'all' ? 'everyone' : `${scope} ${subject}`;
}

/** The arguments of `certgate lock` and `certgate unlock` that name `target`. */
export function targetArguments({ scope, subject }: LockTarget): string {
  return scope === 'all' ? 'all' : `${scope} ${subject}`;
}

/** When `lock` ends: `until 2026-11-25T05:00:00.000Z`, `until it is unlocked`. */
export function untilWords({ until }: Pick<LockRecord, 'until'>): string {
  return until === null ? 'until it is unlocked' : `until ${new Date(until).toISOString()}`;
}

function longest(locks: ReadonlyArray<LockRecord | null | undefined>, now: number): LockRecord | null {
  let found: LockRecord | null = null;
  for (const lock of locks) {
    if (lock === null || lock === undefined || !stands(lock, now)) continue;
    if (found === null || endOf(lock) > endOf(found)) found = lock;
  }
  return found;
}

function endOf({ until }: LockRecord): number {
  return until ?? Number.POSITIVE_INFINITY;
}
