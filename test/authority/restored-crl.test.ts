// Which lists a restore asks for, and which numbers it leaves out, decided from what the backup says of its issuers.

import type { X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { newIssuer, newRoot } from '../../src/authority/generations.ts';
import { type GivenCrl, judgeCrls } from '../../src/authority/restored-crl.ts';
import type { Issuer } from '../../src/pki/certificates.ts';
import { failureOf, HOUR } from '../store/fixture.ts';
import { given } from './backup-fixture.ts';
import { TRUST_DOMAIN } from './fixture.ts';

const NOW = Date.now();
const YEAR = 366 * 24 * HOUR;
let older: Issuer;
let newer: Issuer;
let authorities: readonly X509Certificate[];

beforeAll(async () => {
  const about = { trustDomain: TRUST_DOMAIN, state: 'active', now: NOW } as const;
  const root = await newRoot({ ...about, generation: 1 });
  older = (await newIssuer({ ...about, generation: 1 }, root.issuer)).issuer;
  newer = (await newIssuer({ ...about, generation: 2 }, root.issuer)).issuer;
  authorities = [root.issuer, older, newer].map(({ certificate }) => certificate);
});

/** Of a backup of an hour ago, in which both issuers have issued. */
function judged(
  lists: readonly GivenCrl[],
  crlNumbers: Readonly<Record<string, number>> = {},
  now = NOW,
  anyway = false,
) {
  const issuers = [older.keyId, newer.keyId];
  const backup = { authorities, crlNumbers, issuers, retired: new Set<string>(), madeAt: NOW - HOUR };
  return judgeCrls(lists, backup, anyway, now);
}

describe('of two issuers', () => {
  it('that have published nothing, the list of one will do, and what may be forgotten of the other is said', async () => {
    const { warnings, crlNumbers } = judged([await given(newer, 5, [])]);
    expect(warnings).toEqual([
      expect.stringContaining('is forgotten, for certificates of "CN=certgate issuer prefect'),
    ]);
    expect(crlNumbers.get(newer.keyId)).toBe(5);
  });

  it('one that has published is asked for its list, whatever the other one says', async () => {
    const lists = [await given(newer, 5, [])];
    const error = await failureOf('CG_CRL_NEEDED', () => judged(lists, { [older.keyId]: 7 }));
    expect(error.message).toContain(`(key ${older.keyId}, list 7 or newer)`);
    expect(error.message).not.toContain(newer.keyId);
    expect(judged(lists, { [older.keyId]: 7 }, NOW, true).warnings).toHaveLength(1);
  });

  it('whose certificates have all ended none is asked for a list', async () => {
    const lists = [await given(newer, 5, [], { nextUpdate: new Date(NOW + 2 * YEAR) })];
    expect(judged(lists, { [older.keyId]: 7 }, NOW + YEAR).warnings).toEqual([]);
  });
});

it('the next number is above what the backup knows and all that can have been published since', () => {
  const { crlNumbers } = judged([], { [older.keyId]: 1_000_000 }, NOW, true);
  expect(crlNumbers.get(older.keyId)).toBeGreaterThan(1_000_000 + 3_600);
  expect(crlNumbers.get(newer.keyId)).toBeGreaterThan(3_600);
});
