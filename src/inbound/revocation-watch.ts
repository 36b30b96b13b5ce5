// Keeps what is open in step with the records. It asks the store for its revision many times a second (one cheap look),
// reads the revocations that came since, and cuts their connections. When the store can't be read it says so once and
// is unhealthy: the gate then refuses everything, because it can no longer know who is revoked. When the store is back,
// every open connection is looked up again before the first request passes.

import { reasonOf } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import type { ConnectionWork } from '../proxy/client-connection.ts';
import type { Store } from '../store/store.ts';
import { addWork, type LiveIndex, NO_WORK } from './live-index.ts';

/** How often the store is asked, ms: the longest a revocation by another process goes unseen. */
export const WATCH_INTERVAL = 50;
/** Revoked serials whose cut is remembered, for whoever asks what a revocation did. */
const REMEMBERED = 10_000;
/** While the store can't be read, ms. */
const RETRY_INTERVAL = 250;

export interface RevocationWatch {
  /** False while the store can't be read; nobody may pass then. */
  readonly healthy: boolean;
  /** Why it is not healthy; null when it is. */
  readonly problem: string | null;
  /** The revision up to which revocations have been applied. */
  readonly revision: number;
  /** Grows whenever a revocation may have come since, so that whoever was looked up before must be looked up again. */
  readonly epoch: number;
  /**
   * Looks now; resolves when everything committed before the call has been applied, with what was cut on account of
   * `serials`, whether by this look or by one that came just before.
   */
  apply(serials: readonly string[]): Promise<{ readonly revision: number; readonly cut: ConnectionWork }>;
  stop(): Promise<void>;
}

/** Starts watching. CG_STORE_* when the store can't be read even once. */
export async function watchRevocations(
  store: Store,
  live: LiveIndex,
  log: Log,
  onCut: (work: ConnectionWork) => void,
): Promise<RevocationWatch> {
  let revision = await store.revision();
  let problem: string | null = null;
  let epoch = 0;
  let stopped = false;
  let timer: NodeJS.Timeout | null = null;
  let running: Promise<void> | null = null;
  const done = new Map<string, ConnectionWork>();

  const cutOne = (issuer: string, serial: string, identity: string, reason: string): void => {
    const work = live.cut(issuer, serial, 'the client certificate was revoked');
    done.set(serial, addWork(done.get(serial) ?? NO_WORK, work));
    for (const oldest of done.keys()) {
      if (done.size <= REMEMBERED) break;
      done.delete(oldest);
    }
    if (work.connections === 0) return;
    log.warn({ identity, serial, reason, cut: work }, 'revoked: connections cut');
    onCut(work);
  };

  const look = async (): Promise<void> => {
    const now = await store.revision();
    if (problem !== null) {
      epoch++;
      // What was missed while the store was away may lie before any revision we know: ask about everyone.
      const seen = new Map<string, boolean>();
      for (const one of [...live.all()]) {
        const key = `${one.issuer}:${one.serial}`;
        if (seen.has(key)) continue;
        const standing = await store.standing(one.issuer, one.serial);
        seen.set(key, true);
        if (standing === null || standing.revokedAt !== null) {
          cutOne(one.issuer, one.serial, one.identity, 'found after the store came back');
        }
      }
      problem = null;
      log.info({ store: store.location, revision: now }, 'the store can be read again');
    } else if (now !== revision) {
      for (const gone of await store.revocationsSince(revision)) {
        cutOne(gone.issuer, gone.serial, gone.identity, gone.reason);
      }
    }
    if (now !== revision) epoch++;
    revision = now;
  };

  const run = (): Promise<void> => {
    running ??= look()
      .catch((error: unknown) => {
        if (problem === null) {
          log.error({ store: store.location, reason: reasonOf(error) }, 'the store cannot be read: refusing everyone');
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
    get epoch() {
      return epoch;
    },
    async apply(serials) {
      // A look that began before the call may have missed its commit.
      if (running !== null) await running;
      await run();
      return { revision, cut: serials.reduce((sum, serial) => addWork(sum, done.get(serial) ?? NO_WORK), NO_WORK) };
    },
    async stop() {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
      await running?.catch(() => {});
    },
  };
}
