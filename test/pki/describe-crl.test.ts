import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { describeCrl } from '../../src/pki/describe-crl.ts';
import { pemToDer } from '../../src/pki/pem.ts';
import { listByOpenssl } from './crl-fixture.ts';
import { codeOfSync, testAuthority } from './fixture.ts';

describe('the description of a CRL', () => {
  test('says whose it is, for when, its number, and what it revokes and why', async () => {
    const { issuer } = await testAuthority();
    expect(describeCrl(await listByOpenssl([['4F01', 'keyCompromise'], ['FF02']]))).toEqual({
      kind: 'crl',
      issuer: 'CN=test issuer',
      thisUpdate: '2026-11-24T12:00:00.000Z',
      nextUpdate: '2026-11-25T12:00:00.000Z',
      number: '0a1b',
      authorityKeyId: issuer.keyId,
      signatureAlgorithm: 'ecdsa-with-SHA256',
      revoked: 2,
      entries: [
        { serial: '4f01', revokedAt: '2026-11-24T11:00:00.000Z', reason: 'keyCompromise' },
        { serial: 'ff02', revokedAt: '2026-11-24T11:00:00.000Z', reason: null },
      ],
    });
  });

  test('of an empty one says that it revokes nothing', async () => {
    expect(describeCrl(await listByOpenssl([]))).toMatchObject({ revoked: 0, entries: [] });
  });

  test('lists the first 1,000 and counts them all', async () => {
    const serials = Array.from({ length: 1001 }, (_, i) => (0x4f_0000 + i).toString(16).toUpperCase());
    const description = describeCrl(await listByOpenssl(serials.map((serial) => [serial] as const)));
    expect([description.revoked, description.entries.length]).toEqual([1001, 1000]);
  });

  test('is refused for arbitrary octets and for a list with some octets changed, or given', async () => {
    const der = pemToDer(await listByOpenssl([['4F01', 'superseded']]), 'X509 CRL');
    const change = fc.tuple(fc.nat(der.length - 1), fc.nat(255));
    const damaged = fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) => {
      const copy = Uint8Array.from(der);
      for (const [at, octet] of changes) copy[at] = octet;
      return copy;
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 100 }), damaged), (bytes) => {
        expect([null, 'CG_CRL_UNREADABLE']).toContain(codeOfSync(() => describeCrl(bytes)));
      }),
      { numRuns: 1000 },
    );
  });
});
