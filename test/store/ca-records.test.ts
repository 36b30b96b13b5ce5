import { describe, expect, test } from 'vitest';
import { CertgateError } from '../../src/errors.ts';
import type { CaRecord, LockRecord } from '../../src/store/store.ts';
import { codeOf } from '../pki/fixture.ts';
import { addAll, HOUR, ISSUER, NOW, newAudit, newRecord, newStore } from './fixture.ts';

const root = (values: Partial<CaRecord> = {}): CaRecord => ({
  keyId: 'cc01',
  role: 'root',
  generation: 1,
  parent: 'cc01',
  state: 'active',
  der: Uint8Array.of(0x30, 0),
  addedAt: NOW,
  changedAt: NOW,
  ...values,
});
const change = newAudit({ action: 'ca.rotate', object: 'prefect.example' });
const lock = (values: Partial<LockRecord> = {}): LockRecord => ({
  scope: 'identity',
  subject: 'worker/etl-1',
  reason: 'odd traffic',
  actor: 'cli:root@host',
  lockedAt: NOW,
  until: null,
  ...values,
});

describe("the CA's own certificates", () => {
  test('are listed roots first, each role by generation', async () => {
    const store = newStore();
    const issuers = [2, 1].map((generation) =>
      root({
        ...{ keyId: `dd0${generation}`, role: 'issuer', generation },
        ...{ parent: 'cc01', state: generation === 2 ? 'active' : 'retiring' },
      }),
    );
    await store.changeCa({ add: [...issuers, root()], at: NOW }, change);
    expect((await store.listCa()).map(({ role, generation, state }) => [role, generation, state])).toEqual([
      ['root', 1, 'active'],
      ['issuer', 1, 'retiring'],
      ['issuer', 2, 'active'],
    ]);
    expect((await store.listCa())[0]).toEqual(root());
  });

  test('change their states together, with one audit entry and a new revision', async () => {
    const store = newStore();
    await store.changeCa({ add: [root(), root({ keyId: 'cc02', generation: 2, state: 'prepared' })], at: NOW }, change);
    const before = await store.revision();
    const states = [
      { keyId: 'cc01', from: 'active', to: 'retiring' },
      { keyId: 'cc02', from: 'prepared', to: 'active' },
    ] as const;
    await store.changeCa({ states, at: NOW + 1 }, change);
    const now = await store.listCa();
    expect(now.map(({ state, changedAt }) => [state, changedAt])).toEqual([
      ['retiring', NOW + 1],
      ['active', NOW + 1],
    ]);
    expect(await store.revision()).toBe(before + 1);
    expect(await store.listAudit({})).toHaveLength(2);
  });

  test('do not change at all when one of them is no longer in the state it was thought to be in', async () => {
    const store = newStore();
    await store.changeCa({ add: [root()], at: NOW }, change);
    const states = [
      { keyId: 'cc01', from: 'active', to: 'retiring' },
      { keyId: 'cc01', from: 'active', to: 'retired' },
    ] as const;
    expect(await codeOf(() => store.changeCa({ states, at: NOW }, change))).toBe('CG_CA_CHANGED');
    expect(await store.listCa()).toEqual([root()]);
    expect(await store.listAudit({})).toHaveLength(1);
  });

  test('come into a state after all that did before, whatever the clock says', async () => {
    const store = newStore();
    const others = [NOW, NOW + 1].map((at, n) => ({
      add: [root({ keyId: `cc0${n + 1}`, generation: n + 1, state: 'retiring' as const })],
      at,
    }));
    for (const one of others) await store.changeCa(one, change);
    await store.changeCa({ states: [{ keyId: 'cc01', from: 'retiring', to: 'retired' }], at: NOW - HOUR }, change);
    expect((await store.listCa()).map(({ changedAt }) => changedAt)).toEqual([NOW + 2, NOW + 1]);
  });

  test('are never two roots that are prepared', async () => {
    const store = newStore();
    const [first, second] = [2, 3].map((generation) =>
      root({ keyId: `cc0${generation}`, generation, state: 'prepared' }),
    ) as [CaRecord, CaRecord];
    const issuers = [first, second].map(({ keyId, generation }) =>
      root({ keyId: `dd0${generation}`, role: 'issuer', generation, parent: keyId, state: 'prepared' }),
    );
    // Of issuers there may be several.
    await store.changeCa({ add: [root(), first, ...issuers], at: NOW }, change);
    expect(await codeOf(() => store.changeCa({ add: [second], at: NOW }, change))).toBe('CG_CA_CHANGED');
    await store.changeCa({ add: [root({ keyId: 'cc04', generation: 4, state: 'retiring' })], at: NOW }, change);
    await store.changeCa({ states: [{ keyId: 'cc02', from: 'prepared', to: 'retired' }], at: NOW }, change);
    await store.changeCa({ add: [second], at: NOW }, change);
  });

  test('are not retired while somebody has a certificate by them that can be used', async () => {
    const store = newStore();
    const issuer = root({ keyId: ISSUER, role: 'issuer', state: 'retiring' });
    await store.changeCa({ add: [root(), issuer], at: NOW }, change);
    const { serial, notAfter } = newRecord();
    await addAll(store, [newRecord({ serial, notAfter })]);
    const retire = (at: number) =>
      store.changeCa({ states: [{ keyId: ISSUER, from: 'retiring', to: 'retired' }], at }, change);
    expect(await codeOf(() => retire(notAfter - 1))).toBe('CG_CA_CHANGED');
    await store.changeCa({ states: [{ keyId: ISSUER, from: 'retiring', to: 'active' }], at: NOW }, change);
    await store.changeCa({ states: [{ keyId: ISSUER, from: 'active', to: 'retiring' }], at: NOW }, change);
    await retire(notAfter);
    expect(await codeOf(() => store.addCertificate(newRecord({ issuedAt: notAfter }), newAudit()))).toBe(
      'CG_CA_CHANGED',
    );
  });

  test.each([
    ['key', root({ generation: 2, state: 'prepared' })],
    ['generation', root({ keyId: 'cc02', state: 'prepared' })],
    ['active state', root({ keyId: 'cc02', generation: 2 })],
  ])('are never two with the same %s', async (_what, second) => {
    const store = newStore();
    await store.changeCa({ add: [root()], at: NOW }, change);
    expect(await codeOf(() => store.changeCa({ add: [second], at: NOW }, change))).toBe('CG_CA_CHANGED');
  });
});

describe('a lock', () => {
  test('stands until it is ended, once', async () => {
    const store = newStore();
    await store.lock(lock(), newAudit({ action: 'lock' }));
    expect(await store.locks(NOW + HOUR)).toEqual([lock()]);
    expect(await store.unlock('identity', 'worker/etl-1', NOW, newAudit({ action: 'unlock' }))).toBe(true);
    expect(await store.unlock('identity', 'worker/etl-1', NOW, newAudit({ action: 'unlock' }))).toBe(false);
    expect(await store.locks(NOW)).toEqual([]);
    expect((await store.listAudit({})).map(({ action }) => action)).toEqual(['lock', 'unlock']);
  });

  test('ends by itself', async () => {
    const store = newStore();
    await store.lock(lock({ until: NOW + HOUR }), newAudit());
    expect(await store.locks(NOW + HOUR - 1)).toHaveLength(1);
    expect(await store.locks(NOW + HOUR)).toEqual([]);
    expect(await store.unlock('identity', 'worker/etl-1', NOW + HOUR, newAudit())).toBe(false);
  });

  test('is ended before it ends by itself', async () => {
    const store = newStore();
    await store.lock(lock({ until: NOW + HOUR }), newAudit());
    expect(await store.unlock('identity', 'worker/etl-1', NOW + HOUR - 1, newAudit())).toBe(true);
    expect(await store.locks(NOW)).toEqual([]);
  });

  test('takes the place of one on the same subject, and of no other', async () => {
    const store = newStore();
    const all = lock({ scope: 'all', subject: '' });
    const again = lock({ reason: 'still', until: NOW + 2 * HOUR });
    for (const one of [lock(), lock({ scope: 'serial', subject: '4f' }), all, again]) await store.lock(one, newAudit());
    expect(await store.locks(NOW)).toEqual([lock({ scope: 'serial', subject: '4f' }), all, again]);
  });
});

describe('whoever adds a certificate', () => {
  test('is shown, in its transaction, the locks on its identity and on all that stand when it is issued', async () => {
    const store = newStore();
    const [mine, all] = [lock(), lock({ scope: 'all', subject: '', until: NOW + 1 })];
    const others = [lock({ subject: 'worker/etl-2' }), lock({ scope: 'serial', subject: '4f' })];
    for (const one of [mine, all, ...others]) await store.lock(one, newAudit());
    const seen: unknown[] = [];
    for (const issuedAt of [NOW, NOW + 1]) {
      await store.addCertificate(newRecord({ issuedAt }), newAudit(), (locks) => seen.push(new Set(locks)));
    }
    expect(seen).toEqual([new Set([mine, all]), new Set([mine])]);
  });

  test('leaves no certificate, no audit entry and no revision when they say no', async () => {
    const store = newStore();
    const [record, before] = [newRecord(), await store.revision()];
    const refuse = (): never => {
      throw new CertgateError('CG_LOCK_GATE', { what: 'test' });
    };
    expect(await codeOf(() => store.addCertificate(record, newAudit(), refuse))).toBe('CG_LOCK_GATE');
    expect(await store.standing(record.issuer, record.serial)).toBeNull();
    expect(await store.listAudit({})).toEqual([]);
    expect(await store.revision()).toBe(before);
    await store.addCertificate(record, newAudit());
  });
});

test('CRL numbers grow for each issuer by itself, and past any number that is named', async () => {
  const store = newStore();
  expect(await store.crlNumber('aa')).toBe(0);
  expect(await store.nextCrlNumber('aa')).toBe(1);
  expect(await store.nextCrlNumber('aa')).toBe(2);
  expect(await store.nextCrlNumber('bb', 40)).toBe(41);
  expect(await store.nextCrlNumber('bb', 3)).toBe(42);
  expect(await store.crlNumber('aa')).toBe(2);
});

test('who lacks a trust bundle is known of every client certificate that can still be used', async () => {
  const store = newStore();
  const [kept, revoked, expired] = [newRecord(), newRecord(), newRecord({ issuedAt: NOW - 48 * HOUR })] as const;
  const [second, other] = [newRecord(), newRecord({ identity: 'user/alice' })] as const;
  const gate = newRecord({ identity: 'gate/inbound', profile: 'server' });
  await addAll(store, [kept, revoked, expired, second, other, gate]);
  await store.revoke([revoked.serial], 'superseded', NOW, () => newAudit());
  const [old, fresh] = ['ab'.repeat(32), 'cd'.repeat(32)] as const;
  const note = async ({ serial, identity }: { serial: string; identity: string }, bundle: string) =>
    store.noteBundle({ serial, identity, bundle, takenAt: NOW });
  expect(await store.identitiesWithout(fresh, NOW)).toEqual(['user/alice', 'worker/etl-1']);
  await note(kept, old);
  await note(kept, fresh);
  await note(other, fresh);
  expect(await store.identitiesWithout(fresh, NOW)).toEqual(['worker/etl-1']);
  await note(second, fresh);
  expect(await store.identitiesWithout(fresh, NOW)).toEqual([]);
});

test('the identities that live by an issuer are named once each', async () => {
  const store = newStore();
  const gone = newRecord({ identity: 'worker/gone', notAfter: NOW + 85 * HOUR });
  await addAll(store, [
    ...[newRecord(), newRecord(), newRecord({ identity: 'user/alice' }), gone],
    ...[newRecord({ identity: 'worker/other', issuer: 'bb22' })],
    newRecord({ identity: 'worker/ends', issuedAt: NOW - 24 * HOUR, notAfter: NOW }),
    newRecord({ identity: 'gate/inbound', profile: 'server', notAfter: NOW + 90 * HOUR }),
  ]);
  await store.revoke([gone.serial], 'superseded', NOW, () => newAudit());
  expect(await store.liveIdentities(ISSUER, NOW)).toEqual(['user/alice', 'worker/etl-1']);
  await addAll(store, [
    newRecord({ issuer: 'bb22', notAfter: NOW + 80 * HOUR }),
    newRecord({ notAfter: NOW + 70 * HOUR }),
  ]);
  expect(await store.lastEnd(ISSUER, NOW)).toBe(NOW + 70 * HOUR);
  expect(await store.lastEnd(ISSUER, NOW + 70 * HOUR)).toBeNull();
});
