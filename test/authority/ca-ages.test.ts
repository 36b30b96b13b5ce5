import { describe, expect, it } from 'vitest';
import { agesOf } from '../../src/authority/ca-ages.ts';
import { createRoot } from '../../src/pki/certificates.ts';
import { generateKey } from '../../src/pki/keys.ts';
import type { CaRecord } from '../../src/store/store.ts';
import { NOW } from '../store/fixture.ts';

const DAY = 86_400_000;
/** Of 300 days, from NOW on. */
const der = await createRoot({
  ...{ commonName: 'any', key: await generateKey() },
  ...{ notBefore: new Date(NOW), notAfter: new Date(NOW + 300 * DAY) },
});
const record = (values: Partial<CaRecord>): CaRecord => ({
  ...{ keyId: 'aa', role: 'root', generation: 1, parent: 'aa', state: 'active', der, addedAt: NOW, changedAt: NOW },
  ...values,
});
const standing = (values: Partial<CaRecord>, days: number, ms = 0) =>
  agesOf([record(values)], NOW + days * DAY + ms).map((age) => age.standing)[0];

describe('a certificate of the CA', () => {
  it.each<[string, number, number, string]>([
    ['before its time', 0, -1, 'ahead'],
    ['when that begins', 0, 0, 'good'],
    ['with a tenth of it left', 270, 0, 'good'],
    ['with less than a tenth left', 270, 1, 'near'],
    ['with a fiftieth left', 294, 0, 'near'],
    ['with less than a fiftieth left', 294, 1, 'close'],
    ['a moment before its end', 300, -1, 'close'],
    ['at its end', 300, 0, 'ended'],
  ])('%s', (_what, days, ms, said) => {
    expect(standing({}, days, ms)).toBe(said);
  });

  it('that issues is due a day after two thirds of its life, and no other is', () => {
    expect(standing({ role: 'issuer' }, 201)).toBe('good');
    expect(standing({ role: 'issuer' }, 201, 1)).toBe('due');
    expect(standing({ role: 'issuer', state: 'prepared' }, 202)).toBe('good');
    expect(standing({}, 202)).toBe('good');
  });

  it('that retires has nothing to last for', () => {
    for (const days of [-1, 299, 301]) expect(standing({ state: 'retiring' }, days)).toBe('good');
  });

  it('is told by name, with its times; and none that is retired', () => {
    const records = [record({ generation: 2 }), record({ keyId: 'bb', state: 'retired' })];
    expect(agesOf(records, NOW)).toEqual([
      { record: records[0], name: 'root 2', notBefore: NOW, notAfter: NOW + 300 * DAY, standing: 'good' },
    ]);
  });

  it('between root and issuer is told while an issuer that is trusted is below it', () => {
    const between = record({ keyId: 'bb', role: 'intermediate' });
    const told = (...records: readonly CaRecord[]) =>
      agesOf([record({}), between, ...records], NOW + 301 * DAY).flatMap((age) =>
        age.record.role === 'intermediate' ? [age.standing] : [],
      );
    const issuer = (values: Partial<CaRecord>) => record({ keyId: 'cc', role: 'issuer', parent: 'bb', ...values });
    expect(told(issuer({}))).toEqual(['ended']);
    expect(told(issuer({ state: 'retiring' }))).toEqual(['ended']);
    expect(told(issuer({ state: 'retired' }), issuer({ keyId: 'dd', parent: 'aa' }))).toEqual([]);
    const two = record({ keyId: 'ee', role: 'intermediate', parent: 'bb' });
    expect(told(two, issuer({ parent: 'ee' }))).toEqual(['ended', 'ended']);
  });
});
