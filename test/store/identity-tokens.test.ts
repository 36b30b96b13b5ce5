import { expect, test } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import { codeOf } from '../pki/fixture.ts';
import { HOUR, NOW, newAudit, newRecord, newStore } from './fixture.ts';

const [TOKEN, OTHER] = ['ab'.repeat(32), 'cd'.repeat(32)] as const;
const key = (n: number): string => `${n}`.repeat(64);

interface Use {
  readonly token?: string;
  readonly uses?: number;
  readonly at?: number;
  readonly endsAt?: number;
}

/** Uses it for a certificate; answers what is then on record of that use. */
async function use(store: Store, n: number, { token = TOKEN, uses = 1, at = NOW, endsAt = NOW + HOUR }: Use = {}) {
  const about = { issuer: 'idp', iss: 'https://idp.example', sub: 'x', jti: '1', rule: 'rules[0]' };
  const record = newRecord({ issuedAt: at });
  const cause = { kind: 'identity-token', token, keyHash: key(n), uses, endsAt, about } as const;
  await store.addCertificate(record, newAudit(), undefined, cause);
  return { token, keyHash: key(n), identity: record.identity, serial: record.serial, usedAt: at };
}
const spent = (deed: Promise<unknown>) => codeOf(() => deed);

test('an identity token is used as often as its issuer has it, by a key once, and what is too much leaves no certificate', async () => {
  const store = newStore();
  const first = await use(store, 1, { uses: 2, at: NOW + 1 });
  expect(await spent(use(store, 1, { uses: 2, at: NOW + 1 }))).toBe('CG_TOKEN_SPENT');
  const second = await use(store, 2, { uses: 2 });
  expect(await spent(use(store, 3, { uses: 2, at: NOW + 1 }))).toBe('CG_TOKEN_SPENT');
  expect(await store.identityTokenUses(TOKEN)).toEqual([second, first]); // the oldest first
  expect(await store.listCertificates({ now: NOW })).toHaveLength(2);
});

test('of two that bring an identity token at once one has its use', async () => {
  const store = newStore();
  const both = await Promise.allSettled([use(store, 1), use(store, 2)]);
  expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
});

test('the uses of one identity token are nothing to another, and stand until they end', async () => {
  const store = newStore();
  const mine = await use(store, 1, { endsAt: NOW + HOUR });
  const other = await use(store, 2, { token: OTHER, at: NOW + HOUR - 1, endsAt: NOW + 2 * HOUR });
  expect(await store.identityTokenUses(TOKEN)).toEqual([mine]);
  expect(await store.identityTokenUses(OTHER)).toEqual([other]);
  expect(await spent(use(store, 3, { at: NOW + HOUR - 1 }))).toBe('CG_TOKEN_SPENT');
  // The next use of any removes what has ended by then.
  await use(store, 1, { token: 'ef'.repeat(32), at: NOW + HOUR, endsAt: NOW + 2 * HOUR });
  expect(await store.identityTokenUses(TOKEN)).toEqual([]);
  expect(await store.identityTokenUses(OTHER)).toEqual([other]);
});

test('an identity token that was used is flagged once, whoever else is flagged by it', async () => {
  const store = newStore();
  await use(store, 1, { uses: 2 });
  await use(store, 2, { uses: 2 });
  await use(store, 1, { token: OTHER });
  const flag = (identity: string, token: string) =>
    store.flag({ identity, reason: 'odd', flaggedAt: NOW }, { kind: 'identity-token', token }, newAudit());
  expect(await flag('worker/a', TOKEN)).toBe(true);
  expect(await flag('worker/a', TOKEN)).toBe(false);
  expect(await flag('worker/a', OTHER)).toBe(true);
  expect(await flag('worker/a', 'ef'.repeat(32))).toBe(false); // nobody has used that
  expect(await flag('worker/b', TOKEN)).toBe(true);
  expect(await store.flags()).toHaveLength(2);
});
