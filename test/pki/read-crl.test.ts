import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { derToPem } from '../../src/pki/certificates.ts';
import { encodeOid, encodeTime, encodeTlv, encodeUnsigned, TAG } from '../../src/pki/der.ts';
import { pemToDer } from '../../src/pki/pem.ts';
import { isSignedBy, readCrl } from '../../src/pki/read-crl.ts';
import { type ListParts, listBy, listByOpenssl } from './crl-fixture.ts';
import { at, codeOfSync, extension, testAuthority } from './fixture.ts';

const entry = (serial: string, ...extensions: readonly Uint8Array[]): Uint8Array =>
  encodeTlv(
    TAG.sequence,
    encodeUnsigned(Buffer.from(serial, 'hex')),
    encodeTime(at(-0.5)),
    ...(extensions.length === 0 ? [] : [encodeTlv(TAG.sequence, ...extensions)]),
  );
const list = async (parts: ListParts): Promise<Uint8Array> => listBy((await testAuthority()).issuer, parts);

describe('reading a revocation list', () => {
  test('that OpenSSL made gives its number and all of its entries, and knows the key that signed it', async () => {
    const { issuer, root } = await testAuthority();
    const crl = readCrl(await listByOpenssl([['4F01', 'keyCompromise'], ['FF02']]));
    expect([crl.number, crl.frame.authorityKeyId, crl.frame.thisUpdate.toISOString()]).toEqual([
      0x0a1bn,
      issuer.keyId,
      '2026-11-24T12:00:00.000Z',
    ]);
    expect(crl.entries).toEqual([
      { serial: '4f01', revokedAt: new Date('2026-11-24T11:00:00.000Z'), reason: 'keyCompromise' },
      { serial: 'ff02', revokedAt: new Date('2026-11-24T11:00:00.000Z'), reason: null },
    ]);
    expect(isSignedBy(crl, issuer.certificate.publicKey)).toBe(true);
    expect(isSignedBy(crl, root.certificate.publicKey)).toBe(false);
    expect(isSignedBy(crl, generateKeyPairSync('ed25519').publicKey)).toBe(false);
  });

  test('gives every entry of a long one', async () => {
    const serials = Array.from({ length: 5000 }, (_, i) => (0x4f_0000 + i).toString(16));
    const crl = readCrl(await list({ entries: serials.map((serial) => entry(serial)) }));
    expect(crl.entries.map(({ serial }) => serial)).toEqual(serials);
  });

  test('takes one that nothing stands on, or that has no number', async () => {
    expect(readCrl(await list({ entries: [] }))).toMatchObject({ entries: [], number: 1n });
    expect(readCrl(await list({ number: null })).number).toBeNull();
  });

  test('refuses a delta, an indirect list, and what else is critical and not known', async () => {
    const delta = extension('2.5.29.27', encodeUnsigned(Uint8Array.of(1)), true);
    const codes = [
      await list({ extensions: [delta] }),
      await list({ entries: [entry('4f01', extension('2.5.29.29', encodeTlv(TAG.sequence), true))] }),
      await list({ innerAlgorithm: encodeTlv(TAG.sequence, encodeOid('1.2.840.10045.4.3.3')) }),
    ].map((der) => codeOfSync(() => readCrl(der)));
    expect(codes).toEqual(['CG_CRL_UNREADABLE', 'CG_CRL_UNREADABLE', 'CG_CRL_UNREADABLE']);
    const point = extension('2.5.29.28', encodeTlv(TAG.sequence), true);
    expect(readCrl(await list({ extensions: [point] })).entries).toEqual([]);
  });

  test('never takes one with an octet changed for one that the issuer signed', async () => {
    const { issuer } = await testAuthority();
    const der = pemToDer(derToPem(await list({ entries: [entry('4f01')] }), 'X509 CRL'), 'X509 CRL');
    const key = issuer.certificate.publicKey;
    expect(isSignedBy(readCrl(der), key)).toBe(true);
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), (place, change) => {
        const copy = Uint8Array.from(der);
        copy[place] = (copy[place] ?? 0) ^ change;
        let signed = false;
        expect([null, 'CG_CRL_UNREADABLE']).toContain(codeOfSync(() => (signed = isSignedBy(readCrl(copy), key))));
        expect(signed).toBe(false);
      }),
      { numRuns: 500 },
    );
  });
});
