import { createDecipheriv, pbkdf2Sync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { childrenOf, contentOf, encodingOf, readOnly, TAG } from '../../src/pki/der.ts';
import { bmpOf, deriveKey, encodeInteger, encryptPbes2 } from '../../src/pki/password-based.ts';

const hex = (octets: Uint8Array): string => Buffer.from(octets).toString('hex');

describe('the key derivation of RFC 7292 appendix B', () => {
  // The vectors that OpenSSL carries for PKCS12KDF.
  test.each([
    ['key', 'smeg', '0a58cf64530d823f', 1, '8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3'],
    ['iv', 'smeg', '0a58cf64530d823f', 1, '79993dfe048d3b76'],
    ['mac', 'smeg', '3d83c0e4546ac140', 1, '8d967d88f6caa9d714800ab3d48051d63f73a312'],
    ['key', 'queeg', '1682c0fc5b3f7ec5', 1000, '483dd6e919d7de2e8e648ba8f862f3fbfbdc2bcb2c02957f'],
    ['iv', 'queeg', '1682c0fc5b3f7ec5', 1000, '9d461d1b00355c50'],
    ['mac', 'queeg', '263216fcc2fab31c', 1000, '5ec4c7a80df652294c3925b6489a7ab857c83476'],
  ] as const)('gives the %s for %s, salt %s, %i rounds', (purpose, password, salt, iterations, wanted) => {
    const secret = { password, salt: Buffer.from(salt, 'hex'), iterations };
    expect(hex(deriveKey('sha1', purpose, secret, wanted.length / 2))).toBe(wanted);
  });
});

test('a text is a BMPString of UTF-16, the higher octet first', () => {
  expect(hex(bmpOf('a☃😀'))).toBe('00612603d83dde00');
});

test.each([
  [0, '020100'],
  [127, '02017f'],
  [128, '02020080'],
  [600_000, '02030927c0'],
])('%i is the INTEGER %s', (value, wanted) => expect(hex(encodeInteger(value))).toBe(wanted));

test('PBES2 says how to open what it encrypted, and never uses a salt or an IV twice', async () => {
  const plain = Buffer.from('nine lives');
  const { algorithm, octets } = await encryptPbes2(plain, 'pä55', 1_000);
  const parts = (der: Uint8Array): Uint8Array[] =>
    childrenOf(der, readOnly(der, TAG.sequence, 'a part')).map((tlv) => encodingOf(der, tlv));
  const content = (der: Uint8Array | undefined): Uint8Array =>
    contentOf(der ?? new Uint8Array(), readOnly(der ?? new Uint8Array(), TAG.octetString, 'octets'));
  const [derivation = plain, scheme = plain] = parts(parts(algorithm)[1] ?? plain);
  const salt = content(parts(parts(derivation)[1] ?? plain)[0]);
  const key = pbkdf2Sync('pä55', salt, 1_000, 32, 'sha256');
  const decipher = createDecipheriv('aes-256-cbc', key, content(parts(scheme)[1]));
  expect(Buffer.concat([decipher.update(octets), decipher.final()])).toEqual(plain);
  expect(salt).toHaveLength(16);
  const again = await encryptPbes2(plain, 'pä55', 1_000);
  expect(hex(again.algorithm)).not.toBe(hex(algorithm));
  expect(hex(again.octets)).not.toBe(hex(octets));
});
