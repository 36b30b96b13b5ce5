// What a restored store takes over: it is never behind what was seen of the CA that it is a copy of.

import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { type Adoption, adoptRevocations } from '../../src/store/sqlite-copy.ts';
import type { CaRecord, Store } from '../../src/store/store.ts';
import { addAll, closing, HOUR, ISSUER, NOW, newAudit, newFolder, newRecord, newStore, newToken } from './fixture.ts';

const issuer: CaRecord = {
  ...{ keyId: ISSUER, role: 'issuer', generation: 1, parent: 'cc01', state: 'active', der: Uint8Array.of(0x30, 0) },
  ...{ addedAt: NOW, changedAt: NOW },
};

/** A store that `fill` was done to, after the adoption; and what that counted. */
async function adopted(fill: (store: Store) => Promise<unknown>, values: Partial<Adoption> = {}) {
  const path = join(newFolder(), 'certgate.db');
  const before = newStore(path);
  await fill(before);
  const revision = await before.revision();
  await before.close();
  const empty = { listed: [], crlNumbers: new Map<string, number>(), bundleAbove: 0, actor: 'test', at: NOW };
  const counts = adoptRevocations(path, { ...empty, audit: () => newAudit({ action: 'ca.restore' }), ...values });
  const store = closing(openSqliteStore(path));
  return { store, counts, moved: (await store.revision()) - revision };
}
const nothing = async (): Promise<void> => {};

test('a certificate that is not on record is recorded as revoked, also where that was after its issuer had ended', async () => {
  const serial = 'ab'.repeat(16);
  const late = { serial, issuer: ISSUER, revokedAt: NOW + HOUR, reason: 'superseded', issuerNotAfter: NOW } as const;
  const { store, counts } = await adopted(nothing, { listed: [late] });
  expect(counts).toEqual({ revoked: 0, unknown: 1, tokens: 0 });
  expect(await store.standing(ISSUER, serial)).toMatchObject({ revokedAt: NOW + HOUR });
});

test('the bundle that follows is newer than the last one, by a clock that was set back as well', async () => {
  const change = (store: Store) => store.changeCa({ add: [issuer], at: NOW + HOUR }, newAudit());
  const { store } = await adopted(change);
  expect((await store.listCa()).map(({ changedAt }) => changedAt)).toEqual([NOW + HOUR + 1]);
});

test('no number of a list goes back', async () => {
  const fill = (store: Store) => store.nextCrlNumber(ISSUER, 41);
  const { store } = await adopted(fill, {
    crlNumbers: new Map([
      [ISSUER, 7],
      ['bb22', 7],
    ]),
  });
  expect([await store.crlNumber(ISSUER), await store.crlNumber('bb22')]).toEqual([42, 7]);
});

test('tokens end that could be used, and no others; whoever watches the store sees that something has changed', async () => {
  const fill = async (store: Store): Promise<void> => {
    const about = { kind: 'token', token: 'aa'.repeat(8), keyHash: 'ab'.repeat(32) } as const;
    for (const one of [{ id: 'aa'.repeat(8) }, { id: 'bb'.repeat(8) }, { id: 'cc'.repeat(8), expiresAt: NOW + 1 }]) {
      await store.addToken(newToken(one), newAudit());
    }
    await store.addCertificate(newRecord(), newAudit(), undefined, about);
  };
  const { store, counts, moved } = await adopted(fill, { at: NOW + 1 });
  expect(counts.tokens).toBe(1);
  expect((await store.tokens()).map(({ id, revokedAt }) => [id.slice(0, 2), revokedAt])).toEqual([
    ['aa', null],
    ['bb', NOW + 1],
    ['cc', null],
  ]);
  expect(moved).toBe(1);
});

test('what is revoked shares revisions, of which each is seen', async () => {
  const records = [newRecord(), newRecord()];
  const listed = records.map(({ serial }) => {
    return { serial, issuer: ISSUER, revokedAt: NOW, reason: 'superseded', issuerNotAfter: NOW + HOUR } as const;
  });
  const { store, moved } = await adopted((before) => addAll(before, records), { listed });
  expect(moved).toBe(1);
  expect(await store.revocationsSince((await store.revision()) - 1)).toHaveLength(2);
});
