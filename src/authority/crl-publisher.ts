// Keeps the list of each issuer in step with the records, for as long as a gate runs: a revocation by whatever process is
// on a signed list within a second, and a list is renewed at half of its life. While the store or the signer fails, the
// last list stays, as long as it is valid: a verifier without a list refuses everybody. What was missed meanwhile is read
// again from the beginning.
import { setTimeout as pause } from 'node:timers/promises';
import { reasonOf } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import type { Issuer } from '../pki/certificates.ts';
import { type CrlEntries, dropExpired, dropSerials, openCrlEntries } from '../pki/crl.ts';
import type { Store } from '../store/store.ts';
import { BACKDATED } from './authority.ts';
import { CRL_LIFETIME, revocationsAfter, type SignedCrl, signCrl, takeUp, turn } from './crl.ts';
import { statusUrls } from './status-urls.ts';

/** How often the records are looked at, ms. */
const LOOK_INTERVAL = 200;
/** Revocations that a start waits to have read, some 50 ms: a million take seconds, and who asks meanwhile is told to come again. */
const FIRST_MOST = 20_000;
/** The same where it is the store or the signer that takes long, ms. */
const FIRST_WAIT = 1000;
/** After a failure, ms. */
const RETRY_INTERVAL = 1000;
/** A large list must not take the whole process: of the time, at most one part in so many goes to signing lists. */
const SHARE = 4;

export interface CrlPublisherOptions {
  readonly store: Store;
  /** All whose lists are published, now; the first is the one that issues. */
  readonly issuers: () => readonly Issuer[];
  /** Under which leaves find it; null for nowhere. */
  readonly statusUrl: string | null;
  readonly log: Log;
  /** What takes long goes on when this resolves, so that it does not hold up who starts; at once when left out. */
  readonly started?: Promise<void>;
  /** ms since the epoch; Date.now when left out. */
  readonly clock?: () => number;
}

export interface CrlPublisher {
  /** The newest list of the issuer; null when there is none that is still valid. */
  crl(keyId: string): SignedCrl | null;
  /** Looks now; resolves when everything committed before the call is on a list. What the store or the signer throws. */
  look(): Promise<void>;
  stop(): Promise<void>;
}

interface Published {
  readonly entries: CrlEntries;
  /** Of the store that the entries were read from. */
  readonly epoch: number;
  /** The revision up to which revocations are among the entries. */
  revision: number;
  isBehind: boolean;
  crl: SignedCrl | null;
  /** The latest moment that anything had expired by, and so left the entries or never came to them. */
  latest: number;
}

/** Starts publishing; the first lists are signed when this resolves, unless they take long. CG_STORE_*, and what the signer throws. */
export async function publishCrls(options: CrlPublisherOptions): Promise<CrlPublisher> {
  const { store, issuers, statusUrl, log, started = Promise.resolve(), clock = Date.now } = options;
  const published = new Map<string, Published>();
  let revision = 0;
  let openings = store.openings;
  /** Grows when the store was away or went back: what was read from it before may be another's. */
  let epoch = 0;
  let problem: string | null = null;
  let isStopped = false;
  let timer: NodeJS.Timeout | null = null;
  let running: Promise<void> | null = null;
  let read = 0;
  const [isLong, stopped] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];

  const look = async (): Promise<void> => {
    const seen = await store.revision().catch((error: unknown) => {
      epoch++;
      throw error;
    });
    if (seen < revision || store.openings !== openings) epoch++;
    [revision, openings] = [seen, store.openings];
    const failures: unknown[] = [];
    for (const issuer of issuers()) {
      // One whose signer fails does not hold up the others.
      await follow(issuer, seen).catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  };

  const follow = async (issuer: Issuer, seen: number): Promise<void> => {
    const { keyId } = issuer;
    const before = published.get(keyId);
    const now = clock();
    // By a clock that was ahead, what has not expired yet was left out: once it is set back all are read again.
    const state: Published =
      before?.epoch === epoch && now >= before.latest
        ? before
        : { entries: openCrlEntries(), epoch, revision: 0, isBehind: true, crl: before?.crl ?? null, latest: 0 };
    state.latest = Math.max(state.latest, now - BACKDATED);
    if (state.revision < seen) {
      const known = state.revision;
      for await (const news of revocationsAfter(store, known)) {
        if (isStopped) return;
        read += news.length;
        if (read > FIRST_MOST) {
          isLong.resolve();
          await Promise.race([started, stopped.promise]);
          if (isStopped) return;
        }
        const last = news.at(-1)?.revision ?? 0;
        // What the entries name already must not come twice: what was regraded since they, or the first pages, were read.
        const again = news.filter((one) => one.issuer === keyId && !one.isNew && (known > 0 || one.revision > seen));
        if (again.length > 0) {
          const serials = again.map(({ serial }) => serial);
          if ((await dropSerials(state.entries, serials, turn)) > 0) state.isBehind = true;
        }
        if (takeUp(state.entries, news, keyId, now) > 0) state.isBehind = true;
        // The last may have been committed after `seen` was read: it must not come twice.
        state.revision = last;
      }
      state.revision = Math.max(seen, state.revision);
    }
    published.set(keyId, state);
    if (state.isBehind || !isInItsTime(state.crl, now)) await renew(state, issuer);
  };

  const renew = async (state: Published, issuer: Issuer): Promise<void> => {
    const { keyId } = issuer;
    const distributionPoint = statusUrl === null ? null : statusUrls(statusUrl, keyId).crl;
    const crl = await signCrl({ store, issuer, entries: state.entries, distributionPoint, now: clock() });
    state.crl = crl;
    state.isBehind = false;
    state.latest = Math.max(state.latest, crl.thisUpdate);
    await dropExpired(state.entries, crl.listed, crl.thisUpdate, turn);
    log.info({ issuer: keyId, number: crl.number, revoked: crl.listed }, 'revocation list signed');
  };

  const run = (): Promise<void> => {
    running ??= look()
      .then(() => {
        if (problem !== null) log.info({ store: store.location }, 'revocation lists are up to date again');
        problem = null;
      })
      .catch((error: unknown) => {
        const reason = reasonOf(error);
        if (problem !== reason) log.error({ reason }, 'revocation lists cannot be brought up to date: the last stay');
        problem = reason;
        throw error;
      })
      .finally(() => {
        running = null;
      });
    return running;
  };

  const schedule = (wait: number): void => {
    if (isStopped) return;
    timer = setTimeout(() => {
      const began = performance.now();
      const again = (): void => {
        const took = performance.now() - began;
        schedule(problem === null ? Math.max(LOOK_INTERVAL, took * (SHARE - 1)) : RETRY_INTERVAL);
      };
      run().then(again, again);
    }, wait);
  };

  const first = run();
  first.catch(() => {});
  await Promise.race([first, isLong.promise, pause(FIRST_WAIT, undefined, { ref: false })]);
  schedule(LOOK_INTERVAL);

  return {
    crl(keyId) {
      const crl = published.get(keyId)?.crl ?? null;
      return crl !== null && crl.nextUpdate > clock() ? crl : null;
    },
    async look() {
      // One that began before the call may have missed its commit.
      if (running !== null) await running.catch(() => {});
      await run();
    },
    async stop() {
      isStopped = true;
      stopped.resolve();
      if (timer !== null) clearTimeout(timer);
      await running?.catch(() => {});
    },
  };
}

/** In the first half of its life; and not made by a clock that was ahead, which nobody would believe. */
function isInItsTime(crl: SignedCrl | null, now: number): boolean {
  return crl !== null && now >= crl.thisUpdate && now < crl.nextUpdate - CRL_LIFETIME / 2;
}
