// Keeping somebody out for now, without taking anything back: a lock on an identity, a serial or all clients, until its
// time or until it is ended. It needs the records only, never the CA's key. A lock in place of another has one audit
// entry and says so; ending what is not locked changes nothing and has none. The gates that act on it see it themselves.

import { CertgateError } from '../errors.ts';
import { kindOf, parseIdentityName } from '../identity/name.ts';
import type { LockRecord, LockScope, Store } from '../store/store.ts';
import { type LockTarget, targetWords } from './lock-table.ts';
import { canonicalSerial } from './revocation.ts';

/** How long a lock with an end may last, ms. */
export const SHORTEST_LOCK = 1_000;
export const LONGEST_LOCK = 365 * 86_400_000;

export interface LockRequest {
  readonly target: LockTarget;
  readonly reason: string;
  /** ms from now, SHORTEST_LOCK to LONGEST_LOCK; null for until `unlockClients`. */
  readonly forMs: number | null;
  /** Who asks, as in AuditEntry. */
  readonly actor: string;
}

export interface Locked {
  readonly lock: LockRecord;
  /** The lock that stood on the same target, and stands no more. */
  readonly replaced: LockRecord | null;
  /** Whether a certificate is on record that it concerns; `all` concerns everyone. */
  readonly onRecord: boolean;
}

export interface Unlocked {
  /** False when there was no lock to end. */
  readonly unlocked: boolean;
  /** The locks that stand now, whoever they are on. */
  readonly standing: readonly LockRecord[];
}

/** What to lock, from the words of a person; a serial in the form of the records. CG_IDENTITY_NAME, CG_SERIAL. */
export function lockTarget(scope: LockScope, subject: string): LockTarget {
  if (scope === 'all') return { scope, subject: '' };
  return { scope, subject: scope === 'identity' ? parseIdentityName(subject) : canonicalSerial(subject) };
}

/**
 * Locks at `now`, ms since the epoch, in place of a lock on the same target.
 * @throws CG_LOCK_GATE, CG_LOCK_TIME, CG_STORE_*
 */
export async function lockClients(store: Store, request: LockRequest, now: number): Promise<Locked> {
  const { target, reason, forMs, actor } = request;
  if (forMs !== null && !(forMs >= SHORTEST_LOCK && forMs <= LONGEST_LOCK)) {
    throw new CertgateError('CG_LOCK_TIME', { time: `${forMs} ms` });
  }
  const identity = await requireClient(store, target, now);
  const replaced = (await store.locks(now)).find((lock) => sameTarget(lock, target)) ?? null;
  const lock: LockRecord = {
    ...target,
    reason,
    actor,
    lockedAt: now,
    until: forMs === null ? null : now + forMs,
  };
  await store.lock(lock, {
    time: now,
    actor,
    action: 'client.lock',
    object: objectOf(target, identity),
    detail: { ...detailOf(target), reason, until: lock.until, replaces: replaced !== null },
  });
  return { lock, replaced, onRecord: target.scope === 'all' || identity !== null };
}

/** Ends the lock on `target` at `now`, ms since the epoch, if there is one; others stay. CG_STORE_* */
export async function unlockClients(store: Store, target: LockTarget, actor: string, now: number): Promise<Unlocked> {
  const identity = await holderOf(store, target, now);
  const unlocked = await store.unlock(target.scope, target.subject, now, {
    time: now,
    actor,
    action: 'client.unlock',
    object: objectOf(target, identity),
    detail: detailOf(target),
  });
  return { unlocked, standing: await store.locks(now) };
}

function sameTarget(a: LockTarget, b: LockTarget): boolean {
  return a.scope === b.scope && a.subject === b.subject;
}

// Whose certificates on record `target` concerns; null for none or all. CG_LOCK_GATE when they are the gate's own.
async function requireClient(store: Store, target: LockTarget, now: number): Promise<string | null> {
  const holder = await holderOf(store, target, now);
  const identity = target.scope === 'identity' ? target.subject : holder;
  if (identity === null || kindOf(identity) !== 'gate') return holder;
  throw new CertgateError('CG_LOCK_GATE', { what: targetWords(target) });
}

// The identity on record that `target` names, or whose certificate it names.
async function holderOf(store: Store, { scope, subject }: LockTarget, now: number): Promise<string | null> {
  if (scope === 'all') return null;
  const [record] = await store.listCertificates({ [scope]: subject, now, limit: 1 });
  return record?.identity ?? null;
}

// What the audit finds it by: an identity wherever one is concerned.
function objectOf({ scope, subject }: LockTarget, holder: string | null): string {
  return scope === 'all' ? 'all' : scope === 'identity' ? subject : (holder ?? subject);
}

function detailOf({ scope, subject }: LockTarget): { scope: LockScope; serial?: string } {
  return { scope, ...(scope === 'serial' ? { serial: subject } : {}) };
}
