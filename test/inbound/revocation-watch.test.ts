// The watch over a real store, with connections that are sockets but lead nowhere: whom it cuts, what it says about that,
// and that neither a store that was away nor a clock that is set back lets anybody stay.

import { Socket } from 'node:net';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type LockRequest, lockClients, lockTarget, unlockClients } from '../../src/authority/locking.ts';
import { createLiveIndex, type LiveConnection, type LiveIndex } from '../../src/inbound/live-index.ts';
import {
  lockedCause,
  type RevocationWatch,
  revokedCause,
  watchRevocations,
} from '../../src/inbound/revocation-watch.ts';
import type { CertificateRecord, LockRecord, LockScope, Store } from '../../src/store/store.ts';
import { quietLog } from '../observe/quiet-log.ts';
import { addAll, HOUR, newAudit, newRecord, newStore } from '../store/fixture.ts';

interface Scene {
  readonly store: Store;
  readonly live: LiveIndex;
  readonly watch: RevocationWatch;
  readonly cuts: string[];
  /** A store that can't be read, until it is given back. */
  lose(): () => void;
}

async function scene(store: Store = newStore()): Promise<Scene> {
  const live = createLiveIndex();
  const cuts: string[] = [];
  let lost = false;
  const watched: Store = {
    ...store,
    get openings() {
      return store.openings;
    },
    revision: () => (lost ? Promise.reject(new Error('gone')) : store.revision()),
  };
  const watch = await watchRevocations(watched, live, quietLog, (work, why) => {
    cuts.push(`${why} ${work.connections}`);
  });
  onTestFinished(() => watch.stop());
  const lose = () => {
    lost = true;
    return () => {
      lost = false;
    };
  };
  return { store, live, watch, cuts, lose };
}

/** A certificate on record, and a connection that was admitted with it. */
async function connected({ store, live }: Scene, values: Partial<CertificateRecord> = {}, identity?: string) {
  const record = newRecord({ notAfter: Date.now() + 24 * HOUR, ...values });
  await addAll(store, [record]);
  const another = (): LiveConnection => {
    const entry: LiveConnection = {
      permitted: () => true,
      unreadSince: null,
      socket: new Socket(),
      proxied: null,
      identity: identity ?? record.identity,
      recorded: record.identity,
      issuer: record.issuer,
      serial: record.serial,
      notAfter: record.notAfter,
      address: '192.0.2.7',
      since: Date.now(),
    };
    live.enter(entry);
    entry.socket.once('close', () => live.leave(entry));
    return entry;
  };
  return { record, entry: another(), another };
}

const lock = async (store: Store, scope: LockScope, subject = '', values: Partial<LockRequest> = {}) => {
  const request = { target: lockTarget(scope, subject), reason: 'test', forMs: null, actor: 'test', ...values };
  return (await lockClients(store, request, Date.now())).lock;
};
const cut = ({ entry }: { entry: LiveConnection }): boolean => entry.socket.destroyed;

afterEach(() => {
  vi.useRealTimers();
});

describe('a lock that is committed', () => {
  it('cuts by itself what it concerns, and nothing else', async () => {
    const here = await scene();
    const [gone, stays] = [await connected(here), await connected(here, { identity: 'user/alice' })];
    await lock(here.store, 'identity', 'worker/etl-1');
    await vi.waitFor(() => expect(cut(gone)).toBe(true), { timeout: 10_000, interval: 5 });
    expect(cut(stays)).toBe(false);
    expect(here.cuts).toEqual(['locked 1']);
  });

  it.each<[string, LockScope, (record: CertificateRecord) => string]>([
    ['the identity by the rules of the gate', 'identity', () => 'service/etl'],
    ['the identity on record', 'identity', ({ identity }) => identity],
    ['the serial', 'serial', ({ serial }) => serial],
    ['all', 'all', () => ''],
  ])('on %s cuts every connection of the certificate', async (_what, scope, subjectOf) => {
    const here = await scene();
    const gone = await connected(here, {}, 'service/etl');
    const second = gone.another();
    const made = await lock(here.store, scope, subjectOf(gone.record));
    const { cut: work } = await here.watch.apply([lockedCause(made)]);
    expect(work).toEqual({ connections: 2, requests: 0, tunnels: 0 });
    expect([cut(gone), second.socket.destroyed]).toEqual([true, true]);
  });

  it('that comes after another on the same client finds nothing left to cut, though its sockets have yet to close', async () => {
    const here = await scene();
    const { entry } = await connected(here);
    entry.socket.removeAllListeners('close');
    const [first, other] = [await lock(here.store, 'identity', 'worker/etl-1'), await lock(here.store, 'serial', 'ff')];
    const cutBy = async (one: LockRecord) => (await here.watch.apply([lockedCause(one)])).cut.connections;
    expect(await cutBy(first)).toBe(1);
    const later = await lock(here.store, 'all');
    expect([await cutBy(later), await cutBy(other), await cutBy(first), here.live.size]).toEqual([0, 0, 1, 1]);
    expect(here.cuts).toEqual(['locked 1']);
  });

  it('again is told apart from the one before it', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
    const here = await scene();
    const { entry, another } = await connected(here);
    const first = await lock(here.store, 'identity', 'worker/etl-1');
    await here.watch.apply([]);
    here.live.leave(entry);
    await unlockClients(here.store, first, 'test', Date.now());
    await here.watch.apply([]);
    for (const _ of [1, 2]) another();
    vi.setSystemTime(Date.now() + 1);
    const second = await lock(here.store, 'identity', 'worker/etl-1');
    const cutBy = async (one: LockRecord) => (await here.watch.apply([lockedCause(one)])).cut.connections;
    expect([await cutBy(second), await cutBy(first)]).toEqual([2, 1]);
  });

  it('raises the epoch, so that whoever is being admitted is looked up again', async () => {
    const here = await scene();
    const before = here.watch.epoch;
    await lock(here.store, 'all');
    await here.watch.apply([]);
    expect(here.watch.epoch).toBeGreaterThan(before);
    expect(here.watch.locks.all).not.toBeNull();
  });

  it('stood before the watch began', async () => {
    const store = newStore();
    await lock(store, 'identity', 'worker/etl-1');
    expect((await scene(store)).watch.locks.identities.has('worker/etl-1')).toBe(true);
  });
});

describe('a revocation', () => {
  it('cuts that certificate’s connections, beside a lock on another', async () => {
    const here = await scene();
    const [revoked, locked, stays] = [
      await connected(here),
      await connected(here, { identity: 'worker/etl-2' }),
      await connected(here),
    ];
    await here.store.revoke([revoked.record.serial], 'superseded', Date.now(), () => newAudit());
    await lock(here.store, 'identity', 'worker/etl-2');
    const { cut: work } = await here.watch.apply([revokedCause(revoked.record.serial)]);
    expect(work.connections).toBe(1);
    expect([cut(revoked), cut(locked), cut(stays)]).toEqual([true, true, false]);
  });

  it('is applied up to the revision that it says, and after the end of the watch nobody may rely on it', async () => {
    const { store, watch } = await scene();
    await addAll(store, [newRecord()]);
    const { revision } = await watch.apply([]);
    expect([revision, watch.revision]).toEqual([await store.revision(), revision]);
    expect(watch.healthy).toBe(true);
    await watch.stop();
    expect(watch.healthy).toBe(false);
  });
});

describe('everybody is looked at anew', () => {
  it('when the store was away: for revocations and for locks', async () => {
    const here = await scene();
    const [revoked, locked, stays] = [
      await connected(here),
      await connected(here, { identity: 'worker/etl-2' }),
      await connected(here, { identity: 'worker/etl-3' }),
    ];
    // What came back may be older than a certificate that was let in.
    const unknown: LiveConnection = { ...stays.entry, serial: 'ff'.repeat(16), socket: new Socket() };
    here.live.enter(unknown);
    const restore = here.lose();
    await expect(here.watch.apply([])).rejects.toThrow('gone');
    expect(here.watch.healthy).toBe(false);
    await here.store.revoke([revoked.record.serial], 'superseded', Date.now(), () => newAudit());
    await lock(here.store, 'identity', 'worker/etl-2');
    const before = here.watch.epoch;
    restore();
    await here.watch.apply([]);
    expect(here.watch.healthy).toBe(true);
    expect(here.watch.epoch).toBeGreaterThan(before);
    expect([cut(revoked), cut(locked), cut(stays)]).toEqual([true, true, false]);
    expect(unknown.socket.destroyed).toBe(true);
  });

  it('when another reader met the loss, and what was found again has the same revision', async () => {
    const store = newStore();
    const past = await store.revision();
    const found = { ...store, openings: 1, revision: () => Promise.resolve(past) };
    const here = await scene(found);
    const [revoked, stays] = [await connected(here), await connected(here)];
    await store.revoke([revoked.record.serial], 'superseded', Date.now(), () => newAudit());
    await here.watch.apply([]);
    expect(cut(revoked)).toBe(false); // told by nothing
    found.openings++;
    await here.watch.apply([]);
    expect(here.watch.healthy).toBe(true);
    expect([cut(revoked), cut(stays)]).toEqual([true, false]);
  });

  it.each([
    ['', async () => {}],
    [', and other records have changed meanwhile', async (store: Store) => await addAll(store, [newRecord()])],
  ])('when the clock is set back to before the end of a lock%s', async (_what, change) => {
    const now = Date.now();
    const here = await scene();
    const { entry, another } = await connected(here);
    vi.useFakeTimers({ toFake: ['Date'], now });
    await lock(here.store, 'identity', 'worker/etl-1', { forMs: HOUR });
    await here.watch.apply([]);
    here.live.leave(entry);
    vi.setSystemTime(now + 2 * HOUR);
    const came = another();
    await change(here.store);
    await here.watch.apply([]);
    expect(came.socket.destroyed).toBe(false);
    vi.setSystemTime(now + HOUR / 2);
    await here.watch.apply([]);
    expect([came.socket.destroyed, here.watch.locks.size]).toEqual([true, 1]);
  });
});
