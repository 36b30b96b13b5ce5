import { describe, expect, test } from 'vitest';
import type { LockRecord, Store } from '../../src/store/store.ts';
import type { TokenRecord } from '../../src/store/tokens.ts';
import { codeOf } from '../pki/fixture.ts';
import { HOUR, NOW, newAudit, newRecord, newStore, newToken } from './fixture.ts';

const ID = '0011223344556677';
const KEY = 'ab'.repeat(32);
const OTHER_KEY = 'cd'.repeat(32);
const use = (store: Store, keyHash = KEY, issuedAt = NOW, identity = 'worker/etl-1') => {
  const record = newRecord({ issuedAt, identity });
  return store.addCertificate(record, newAudit(), undefined, { kind: 'token', token: ID, keyHash }).then(() => record);
};

describe('a token on record', () => {
  test('is as it was added, with an audit entry', async () => {
    const store = newStore();
    await store.addToken(newToken(), newAudit({ action: 'token.create' }));
    expect(await store.token(ID)).toEqual(newToken());
    expect(await store.tokens()).toEqual([newToken()]);
    expect(await store.token('ffffffffffffffff')).toBeNull();
    expect((await store.listAudit({})).map(({ action }) => action)).toEqual(['token.create']);
  });

  test('is used in the transaction that records the certificate, and its use is found by the key', async () => {
    const store = newStore();
    await store.addToken(newToken(), newAudit());
    const { serial } = await use(store);
    const used = { token: ID, keyHash: KEY, identity: 'worker/etl-1', serial, usedAt: NOW };
    expect((await store.token(ID))?.usesLeft).toBe(0);
    expect(await store.tokenUses(ID)).toEqual([used]);
    const token = newToken({ usesLeft: 0 });
    expect(await store.tokenFor(ID, { keyHash: KEY, asked: 'worker/x' })).toEqual({ token, use: used });
    expect(await store.tokenFor(ID, { keyHash: KEY, asked: null })).toEqual({ token, use: used });
    expect(await store.tokenFor(ID, { keyHash: OTHER_KEY, asked: 'worker/etl-1' })).toEqual({ token, use: null });
    expect(await store.tokenFor('f'.repeat(16), { keyHash: KEY, asked: null })).toBeNull();
  });

  test('for several names has its uses found by key or by name, the key first', async () => {
    const store = newStore();
    await store.addToken(newToken({ subject: 'worker/etl-*', uses: 3, usesLeft: 3 }), newAudit());
    const first = await use(store, KEY, NOW, 'worker/etl-1');
    const second = await use(store, OTHER_KEY, NOW + 1, 'worker/etl-2');
    const used = [
      { token: ID, keyHash: KEY, identity: 'worker/etl-1', serial: first.serial, usedAt: NOW },
      { token: ID, keyHash: OTHER_KEY, identity: 'worker/etl-2', serial: second.serial, usedAt: NOW + 1 },
    ];
    const third = 'ee'.repeat(32);
    expect(await store.tokenUses(ID)).toEqual(used);
    const found = async (keyHash: string, asked: string | null) =>
      (await store.tokenFor(ID, { keyHash, asked }))?.use ?? null;
    expect(await found(third, 'worker/etl-2')).toEqual(used[1]);
    expect(await found(KEY, 'worker/etl-2')).toEqual(used[0]);
    expect(await found(third, 'worker/etl-3')).toBeNull();
    expect(await found(third, null)).toBeNull();
  });

  test.each<[string, Partial<TokenRecord>, (store: Store) => Promise<unknown>]>([
    ['used up', {}, (store) => use(store, OTHER_KEY)],
    ['expired', { expiresAt: NOW + 1 }, async () => {}],
    ['revoked', {}, (store) => store.revokeToken(ID, NOW, newAudit())],
  ])('that is %s records no certificate', async (_what, values, before) => {
    const store = newStore();
    await store.addToken(newToken(values), newAudit());
    await before(store);
    const [entries, certificates] = [await store.listAudit({}), await store.listCertificates({ now: NOW })];
    expect(await codeOf(() => use(store, KEY, NOW + 1))).toBe('CG_TOKEN_SPENT');
    expect(await store.listAudit({})).toEqual(entries);
    expect(await store.listCertificates({ now: NOW })).toEqual(certificates);
  });

  test('is not used twice by one key, and such a try costs it nothing', async () => {
    const store = newStore();
    await store.addToken(newToken({ uses: 3, usesLeft: 3 }), newAudit());
    await use(store);
    expect(await codeOf(() => use(store))).toBe('CG_TOKEN_SPENT');
    expect((await store.token(ID))?.usesLeft).toBe(2);
  });

  test('of one use gets one certificate, however many ask at once', async () => {
    const store = newStore();
    await store.addToken(newToken(), newAudit());
    const asked = Array.from({ length: 5 }, (_, n) => use(store, `${n}`.repeat(64), NOW + n));
    const answers = await Promise.allSettled(asked);
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', ...Array.from({ length: 4 }, () => 'rejected')]);
    expect(await store.listCertificates({ now: NOW })).toHaveLength(1);
    expect(await store.tokenUses(ID)).toHaveLength(1);
    expect((await store.token(ID))?.usesLeft).toBe(0);
  });

  test('is used until the moment that it ends at, and not in it', async () => {
    const store = newStore();
    await store.addToken(newToken({ uses: 2, usesLeft: 2 }), newAudit());
    await use(store, KEY, NOW + HOUR - 1);
    expect(await codeOf(() => use(store, OTHER_KEY, NOW + HOUR))).toBe('CG_TOKEN_SPENT');
  });

  test('that is used, revoked or looked up is that one, and no other', async () => {
    const store = newStore();
    const other = newToken({ id: 'f'.repeat(16), secretHash: 'aa'.repeat(32), createdAt: NOW + 1 });
    for (const token of [newToken(), other]) await store.addToken(token, newAudit());
    expect((await store.tokens()).map(({ id }) => id)).toEqual([other.id, ID]); // the newest first
    await use(store);
    expect(await store.token(other.id)).toEqual(other);
    expect(await store.tokenUses(other.id)).toEqual([]);
    await store.revokeToken(ID, NOW, newAudit());
    expect(await store.token(other.id)).toEqual(other);
    expect(await store.revokeToken('0'.repeat(16), NOW, newAudit())).toBe(false);
  });

  test('for one name is used whoever has that name', async () => {
    const store = newStore();
    await store.addCertificate(newRecord(), newAudit());
    await store.addToken(newToken(), newAudit());
    await use(store);
    expect((await store.tokenUses(ID)).map(({ identity }) => identity)).toEqual(['worker/etl-1']);
  });

  test('is revoked once and flagged once', async () => {
    const store = newStore();
    await store.addToken(newToken(), newAudit());
    expect(await store.revokeToken(ID, NOW + 1, newAudit())).toBe(true);
    expect(await store.revokeToken(ID, NOW + 2, newAudit())).toBe(false);
    const flag = (reason: string, flaggedAt: number) =>
      store.flag({ identity: 'worker/a', reason, flaggedAt }, { kind: 'token', token: ID }, newAudit());
    expect(await flag('first', NOW + 3)).toBe(true);
    expect(await flag('second', NOW + 4)).toBe(false);
    expect(await store.token(ID)).toMatchObject({ revokedAt: NOW + 1, flaggedAt: NOW + 3, flag: 'first' });
    expect(await store.listAudit({})).toHaveLength(3);
  });
});

describe('a token that leaves the name to who uses it', () => {
  const HELD = 'worker/etl-2';
  const fleet = async (): Promise<Store> => {
    const store = newStore();
    await store.addToken(newToken({ subject: 'worker/etl-*', uses: 3, usesLeft: 3 }), newAudit());
    return store;
  };

  test('gives nobody the name of a certificate that can be used, and such a try costs it nothing', async () => {
    const store = await fleet();
    await store.addCertificate(newRecord({ identity: HELD }), newAudit());
    expect(await codeOf(() => use(store, KEY, NOW, HELD))).toBe('CG_TOKEN_SPENT');
    expect((await store.token(ID))?.usesLeft).toBe(3);
    await use(store, KEY, NOW, 'worker/etl-3');
  });

  test.each<[string, (store: Store) => Promise<unknown>]>([
    [
      'has ended',
      (store) => store.addCertificate(newRecord({ identity: HELD, issuedAt: NOW - HOUR, notAfter: NOW }), newAudit()),
    ],
    [
      'was revoked',
      async (store) => {
        const record = newRecord({ identity: HELD });
        await store.addCertificate(record, newAudit());
        await store.revoke([record.serial], 'superseded', NOW, () => newAudit());
      },
    ],
  ])('gives the name of one that %s', async (_what, before) => {
    const store = await fleet();
    await before(store);
    await use(store, KEY, NOW, HELD);
    expect((await store.tokenUses(ID)).map(({ identity }) => identity)).toEqual([HELD]);
  });

  test('gives a name once, also when what it gave was revoked', async () => {
    const store = await fleet();
    const { serial } = await use(store, KEY, NOW, HELD);
    await store.revoke([serial], 'keyCompromise', NOW, () => newAudit());
    expect(await codeOf(() => use(store, OTHER_KEY, NOW, HELD))).toBe('CG_TOKEN_SPENT');
  });

  test('gives one of two that ask for a name at once', async () => {
    const store = await fleet();
    const both = await Promise.allSettled([KEY, OTHER_KEY].map((key) => use(store, key, NOW, HELD)));
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect((await store.token(ID))?.usesLeft).toBe(2);
  });
});

describe('a succession on record', () => {
  const lockedUntil = (until: number | null) => (store: Store, serial: string) => {
    const lock = { reason: '', actor: 'test', lockedAt: NOW, until };
    return store.lock({ scope: 'serial', subject: serial, ...lock }, newAudit());
  };
  test.each<[string, (store: Store, serial: string) => Promise<unknown>]>([
    ['revoked', (store, serial) => store.revoke([serial], 'unspecified', NOW, () => newAudit())],
    ['locked', lockedUntil(null)],
    ['locked for a while', lockedUntil(NOW + 1)],
  ])('is none of a certificate that is %s by the time it is committed', async (_what, before) => {
    const store = newStore();
    const old = newRecord();
    await store.addCertificate(old, newAudit());
    await before(store, old.serial);
    const cause = { kind: 'renewal', replaces: old.serial, keyHash: KEY } as const;
    const renewal = () => store.addCertificate(newRecord(), newAudit(), undefined, cause);
    expect(await codeOf(renewal)).toBe('CG_RENEW_REFUSED');
    expect(await store.successors(old.serial)).toEqual([]);
    expect(await store.listCertificates({ now: NOW })).toHaveLength(1);
  });

  test('is none of a certificate that is not on record', async () => {
    const cause = { kind: 'renewal', replaces: 'ab', keyHash: KEY } as const;
    expect(await codeOf(() => newStore().addCertificate(newRecord(), newAudit(), undefined, cause))).toBe(
      'CG_RENEW_REFUSED',
    );
  });

  test.each<[string, Partial<LockRecord>, boolean]>([
    ['has ended', { until: NOW + 1 }, false],
    ['was taken off', {}, true],
    ['is on another serial', { subject: 'ab' }, false],
    ['is on an identity of that name', { scope: 'identity' }, false],
  ])('is one of a certificate with a lock that %s', async (_what, values, unlocked) => {
    const store = newStore();
    const old = newRecord();
    await store.addCertificate(old, newAudit());
    const own = { scope: 'serial', subject: old.serial, until: null } as const;
    await store.lock({ ...own, reason: '', actor: 'test', lockedAt: NOW, ...values }, newAudit());
    if (unlocked) await store.unlock('serial', old.serial, NOW, newAudit());
    const cause = { kind: 'renewal', replaces: old.serial, keyHash: KEY } as const;
    await store.addCertificate(newRecord({ issuedAt: NOW + 1 }), newAudit(), undefined, cause);
    expect(await store.successors(old.serial)).toHaveLength(1);
  });

  test('tells what took the place of a certificate, and is seen once', async () => {
    const store = newStore();
    const [old, fresh] = [newRecord(), newRecord({ issuedAt: NOW + HOUR })];
    await store.addCertificate(old, newAudit());
    const cause = { kind: 'renewal', replaces: old.serial, keyHash: KEY } as const;
    await store.addCertificate(fresh, newAudit(), undefined, cause);
    const made = { serial: fresh.serial, replaces: old.serial, keyHash: KEY, seenAt: null };
    expect(await store.successors(old.serial)).toEqual([made]);
    expect(await store.unseenSuccession(fresh.serial)).toEqual(made);
    expect(await store.unseenSuccession(old.serial)).toBeNull();
    expect(await store.markSeen(fresh.serial, NOW + 1)).toBe(true);
    expect(await store.markSeen(fresh.serial, NOW + 2)).toBe(false);
    expect(await store.successors(old.serial)).toEqual([{ ...made, seenAt: NOW + 1 }]);
    expect(await store.unseenSuccession(fresh.serial)).toBeNull();
  });
});
