import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openAuthority } from '../../src/authority/authority.ts';
import { issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { type LockRequest, lockClients, lockTarget, unlockClients } from '../../src/authority/locking.ts';
import type { LockScope, Store } from '../../src/store/store.ts';
import { failureOf, HOUR, NOW, newStore } from '../store/fixture.ts';
import { openCa, request, TRUST_DOMAIN } from './fixture.ts';

const asked = (scope: LockScope, subject = '', values: Partial<LockRequest> = {}): LockRequest => ({
  target: lockTarget(scope, subject),
  reason: 'odd traffic',
  forMs: null,
  actor: 'cli:test@host',
  ...values,
});

describe('locking', () => {
  it('records what is locked, by whom, why and until when', async () => {
    const store = newStore();
    const { lock, replaced, onRecord } = await lockClients(store, asked('identity', 'worker/a', { forMs: HOUR }), NOW);
    const kept = { scope: 'identity', subject: 'worker/a', reason: 'odd traffic', actor: 'cli:test@host' };
    expect(lock).toEqual({ ...kept, lockedAt: NOW, until: NOW + HOUR });
    expect([replaced, onRecord]).toEqual([null, false]);
    expect(await store.locks(NOW)).toEqual([lock]);
    expect(await store.listAudit({})).toMatchObject([
      {
        time: NOW,
        actor: 'cli:test@host',
        action: 'client.lock',
        object: 'worker/a',
        detail: { scope: 'identity', reason: 'odd traffic', until: NOW + HOUR, replaces: false },
      },
    ]);
  });

  it('takes the place of a lock on the same, answers that one, and leaves others', async () => {
    const store = newStore();
    const first = await lockClients(store, asked('all'), NOW);
    const other = await lockClients(store, asked('identity', 'worker/a'), NOW);
    const second = await lockClients(store, asked('all', '', { forMs: HOUR }), NOW + 1);
    expect(second.replaced).toEqual(first.lock);
    expect(await store.locks(NOW + 1)).toEqual([other.lock, second.lock]);
    expect((await store.listAudit({})).at(-1)?.detail).toMatchObject({ replaces: true });
  });

  it('of a serial takes it as people write it, and is found in the audit by whose it is', async () => {
    const { authority, store } = await openCa();
    const { record } = await authority.issue(request());
    const written = (record.serial.match(/../g) ?? []).join(':').toUpperCase();
    const { lock, onRecord } = await lockClients(store, asked('serial', written), Date.now());
    expect([lock.subject, onRecord]).toEqual([record.serial, true]);
    await unlockClients(store, lock, 'test', Date.now());
    expect((await store.listAudit({})).slice(-2)).toMatchObject([
      { action: 'client.lock', object: 'worker/etl-1', detail: { scope: 'serial', serial: record.serial } },
      { action: 'client.unlock', object: 'worker/etl-1', detail: { scope: 'serial', serial: record.serial } },
    ]);
  });

  it("refuses the gate's own names and certificates, names that are none, and odd times", async () => {
    const { authority, store } = await openCa();
    const gate = await authority.issue(request({ identity: 'gate/inbound', profile: 'server', dns: ['gate.test'] }));
    const before = await store.revision();
    const own = await failureOf('CG_LOCK_GATE', () => lockClients(store, asked('identity', 'gate/inbound'), NOW));
    expect(own.message).toContain('gate/inbound');
    await failureOf('CG_LOCK_GATE', () => lockClients(store, asked('serial', gate.record.serial), NOW));
    await failureOf('CG_IDENTITY_NAME', () => lockTarget('identity', 'Worker/A'));
    await failureOf('CG_SERIAL', () => lockTarget('serial', 'xyz'));
    for (const forMs of [0, 999, -1, Number.NaN, 366 * 24 * HOUR]) {
      await failureOf('CG_LOCK_TIME', () => lockClients(store, asked('all', '', { forMs }), NOW));
    }
    expect(await store.revision()).toBe(before);
  });
});

describe('unlocking', () => {
  it('ends that lock alone, and says which still stand', async () => {
    const store = newStore();
    const all = await lockClients(store, asked('all'), NOW);
    const { lock } = await lockClients(store, asked('identity', 'worker/a'), NOW);
    expect(await unlockClients(store, lock, 'test', NOW + 1)).toEqual({ unlocked: true, standing: [all.lock] });
    expect(await unlockClients(store, all.lock, 'test', NOW + 1)).toEqual({ unlocked: true, standing: [] });
  });

  it('of what is not locked, or no longer, changes nothing and leaves no trace', async () => {
    const store = newStore();
    const { lock } = await lockClients(store, asked('identity', 'worker/a', { forMs: HOUR }), NOW);
    const before = await store.revision();
    for (const target of [lock, lockTarget('all', ''), lockTarget('identity', 'worker/b')]) {
      expect(await unlockClients(store, target, 'test', NOW + HOUR)).toEqual({ unlocked: false, standing: [] });
    }
    expect(await store.revision()).toBe(before);
    expect(await store.listAudit({})).toHaveLength(1);
  });
});

describe('while it is locked', () => {
  it.each<[LockScope, string]>([
    ['identity', 'worker/etl-1'],
    ['all', ''],
  ])('by %s, an identity is issued nothing and nothing is recorded; after that it is', async (scope, subject) => {
    const { authority, store } = await openCa();
    const { lock } = await lockClients(store, asked(scope, subject), Date.now());
    const before = await store.revision();
    const error = await failureOf('CG_LOCKED', () => authority.issue(request()));
    expect([error.exitCode, error.status]).toEqual([3, 403]);
    expect(error.message).toContain('"worker/etl-1"');
    expect(error.message).toContain('"odd traffic"');
    expect(error.hint).toContain(`certgate unlock ${scope}`);
    expect(await store.revision()).toBe(before);
    expect(await store.listCertificates({ identity: 'worker/etl-1', now: Date.now() })).toEqual([]);
    await unlockClients(store, lock, 'test', Date.now());
    await authority.issue(request());
  });

  it('an identity is issued again when the lock has ended by itself', async () => {
    let now = NOW;
    const { authority, store } = await openCa(() => now);
    await lockClients(store, asked('identity', 'worker/etl-1', { forMs: HOUR }), NOW);
    now = NOW + HOUR - 1;
    await failureOf('CG_LOCKED', () => authority.issue(request()));
    now = NOW + HOUR;
    await authority.issue(request());
  });

  it('others are issued what they ask for, and the gate its own certificate even while all are locked', async () => {
    const { authority, store } = await openCa();
    await lockClients(store, asked('identity', 'worker/etl-1'), Date.now());
    await authority.issue(request({ identity: 'worker/etl-2' }));
    await lockClients(store, asked('all'), Date.now());
    await failureOf('CG_LOCKED', () => authority.issue(request({ identity: 'worker/etl-2' })));
    await authority.issue(request({ identity: 'gate/inbound', profile: 'server', dns: ['gate.test'] }));
  });

  it('not even a certificate is recorded that was signed before and would be committed after the lock', async () => {
    const { authority, store } = await openCa();
    const slow: Store = {
      ...store,
      addCertificate: async (...args) => {
        await lockClients(store, asked('identity', 'worker/etl-1'), Date.now());
        await store.addCertificate(...args);
      },
    };
    const { ca } = authority;
    const other = openAuthority({ store: slow, ca, reread: async () => null, trustDomain: TRUST_DOMAIN });
    await failureOf('CG_LOCKED', () => other.issue(request()));
    expect(await store.listCertificates({ identity: 'worker/etl-1', now: Date.now() })).toEqual([]);
  });

  it('its present folder stays as it is when a new certificate is asked for in its place', async () => {
    const { authority, store, dir } = await openCa();
    const { identity, profile, ttlMs, actor } = request();
    const folder = { identity, profile, ttlMs, actor, out: join(dir, 'etl'), force: true };
    await issueToDirectory(authority, folder);
    const held = readFileSync(join(dir, 'etl', 'tls.crt'), 'utf8');
    await lockClients(store, asked('identity', identity), Date.now());
    await failureOf('CG_LOCKED', () => issueToDirectory(authority, folder));
    expect(readFileSync(join(dir, 'etl', 'tls.crt'), 'utf8')).toBe(held);
  });
});
