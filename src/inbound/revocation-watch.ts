// Keeps what is open in step with the records. It asks the store for its revision many times a second (one cheap look),
// reads the revocations that came since and the locks that stand, and cuts whom they concern. When the store can't be read
// it says so once and is unhealthy: the gate then refuses everything, because it can no longer know who is revoked. When
// the store is back, every open connection is looked up again before the first request passes. A lock's end is the wall
// clock's; when that is set back, what had ended may stand again, and everybody is looked at anew.

import { type LockTable, lockOn, lockTable, targetWords } from '../authority/lock-table.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import type { ConnectionWork } from '../proxy/open-connections.ts';
import type { LockRecord, Revocation, Store } from '../store/store.ts';
import { addWork, type LiveIndex, NO_WORK } from './live-index.ts';

/** How often the store is asked, ms: the longest a revocation or lock by another process goes unseen. */
export const WATCH_INTERVAL = 50;
/** Revocations and locks whose cut is remembered, for whoever asks what one did. */
const REMEMBERED = 10_000;
/** While the store can't be read, ms. */
const RETRY_INTERVAL = 250;
const UNREADABLE = 'the store cannot be read: refusing everyone';
const NO_LOCKS = lockTable([]);

export interface RevocationWatch {
  /** False while the store can't be read; nobody may pass then. */
  readonly healthy: boolean;
  /** Why it is not healthy; null when it is. */
  readonly problem: string | null;
  /** The revision up to which revocations and locks have been applied. */
  readonly revision: number;
  /** The locks of that revision; one that has ended since may be among them. */
  readonly locks: LockTable;
  /** Grows whenever a revocation or lock may have come since, so that whoever was looked up before must be looked up again. */
  readonly epoch: number;
  /**
   * Looks now; resolves when everything committed before the call has been applied, with what was cut on account of
   * `causes` (see `revokedCause`, `lockedCause`), whether by this look or by one that came just before.
   */
  apply(causes: readonly string[]): Promise<{ readonly revision: number; readonly cut: ConnectionWork }>;
  stop(): Promise<void>;
}

/** What a cut is on account of: the revocation of a serial … */
export function revokedCause(serial: string): string {
  return `revoked ${serial}`;
}

/** … or this lock, and none before it on the same target. */
export function lockedCause({ scope, subject, lockedAt }: LockRecord): string {
  return `locked ${scope} ${subject} ${lockedAt}`;
}

/** Starts watching. CG_STORE_* when the store can't be read even once. */
export async function watchRevocations(
  store: Store,
  live: LiveIndex,
  log: Log,
  onCut: (work: ConnectionWork, why: 'revoked' | 'locked') => void,
): Promise<RevocationWatch> {
  let revision = await store.revision();
  let lookedAt = Date.now();
  let locks = lockTable(await store.locks(lookedAt));
  let problem: string | null = null;
  let epoch = 0;
  let openings = store.openings;
  let stopped = false;
  let timer: NodeJS.Timeout | null = null;
  let running: Promise<void> | null = null;
  const done = new Map<string, ConnectionWork>();

  const note = (cause: string, work: ConnectionWork): void => {
    done.set(cause, addWork(done.get(cause) ?? NO_WORK, work));
    for (const oldest of done.keys()) {
      if (done.size <= REMEMBERED) break;
      done.delete(oldest);
    }
  };

  const cutRevoked = (gone: Pick<Revocation, 'issuer' | 'serial' | 'identity'> & { readonly reason: string }): void => {
    const { issuer, serial, identity, reason } = gone;
    const work = live.cut(issuer, serial, 'the client certificate was revoked');
    note(revokedCause(serial), work);
    if (work.connections === 0) return;
    log.warn({ identity, serial, reason, cut: work }, 'revoked: connections cut');
    onCut(work, 'revoked');
  };

  // From here on `standing` are the locks. Whom `before` kept out already was cut then, and has not come back.
  const takeLocks = (standing: LockTable, before: LockTable, now: number): void => {
    locks = standing;
    if (standing.size === 0) return;
    const cut = new Map<LockRecord, ConnectionWork>();
    for (const one of live.certificates()) {
      const lock = lockOn(before, one, now) === null ? lockOn(standing, one, now) : null;
      if (lock === null) continue;
      const work = live.cut(one.issuer, one.serial, 'the client is locked');
      cut.set(lock, addWork(cut.get(lock) ?? NO_WORK, work));
    }
    for (const [lock, work] of cut) {
      note(lockedCause(lock), work);
      const until = lock.until === null ? null : new Date(lock.until).toISOString();
      log.warn({ locked: targetWords(lock), until, reason: lock.reason, cut: work }, 'locked: connections cut');
      onCut(work, 'locked');
    }
  };

  // Everything is read first. What is done about it, and the new epoch, come in one go after that: nobody can be entered
  // between the two and be missed by both.
  const look = async (): Promise<void> => {
    const [now, wall] = [await store.revision(), Date.now()];
    if (problem === null && store.openings !== openings) {
      // Another of its readers met the failure, and the file was there again before this look.
      problem = 'it was lost and opened anew';
      log.error({ store: store.location, reason: problem }, UNREADABLE);
    }
    if (problem !== null) {
      const opened = store.openings;
      epoch++;
      // What was missed while the store was away may lie before any revision we know: ask about everyone.
      for (const one of live.certificates()) {
        const standing = await store.standing(one.issuer, one.serial);
        if (standing === null || standing.revokedAt !== null) {
          cutRevoked({ ...one, reason: 'found after the store came back' });
        }
      }
      takeLocks(lockTable(await store.locks(wall)), NO_LOCKS, wall);
      [problem, openings] = [null, opened];
      log.info({ store: store.location, revision: now }, 'the store can be read again');
    } else if (now !== revision || wall < lookedAt) {
      const gone = now === revision ? [] : await store.revocationsSince(revision);
      const standing = lockTable(await store.locks(wall));
      for (const one of gone) cutRevoked(one);
      takeLocks(standing, wall < lookedAt ? NO_LOCKS : locks, wall);
      epoch++;
    }
    [revision, lookedAt] = [now, wall];
  };

  const run = (): Promise<void> => {
    running ??= look()
      .catch((error: unknown) => {
        if (problem === null) {
          log.error({ store: store.location, reason: reasonOf(error) }, UNREADABLE);
        }
        problem = reasonOf(error);
        throw error;
      })
      .finally(() => {
        running = null;
      });
    return running;
  };

  const schedule = (): void => {
    if (stopped) return;
    timer = setTimeout(
      () => {
        run().then(schedule, schedule);
      },
      problem === null ? WATCH_INTERVAL : RETRY_INTERVAL,
    );
  };
  schedule();

  return {
    get healthy() {
      return problem === null && !stopped;
    },
    get problem() {
      return problem;
    },
    get revision() {
      return revision;
    },
    get locks() {
      return locks;
    },
    get epoch() {
      return epoch;
    },
    async apply(causes) {
      // A look that began before the call may have missed its commit.
      if (running !== null) await running;
      await run();
      return { revision, cut: causes.reduce((sum, cause) => addWork(sum, done.get(cause) ?? NO_WORK), NO_WORK) };
    },
    async stop() {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
      await running?.catch(() => {});
    },
  };
}
