import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { readCertificate } from '../../src/pki/certificates.ts';
import {
  generateKey,
  type KeyKind,
  keyId,
  keyName,
  privateKeyFromPem,
  privateKeyToPem,
  publicKeyFits,
} from '../../src/pki/keys.ts';
import { derToPem } from '../../src/pki/pem.ts';
import { codeOfSync, leafOf, testAuthority } from './fixture.ts';
import { folderWith, openssl } from './openssl.ts';

const kinds: readonly KeyKind[] = ['P-256', 'P-384', 'Ed25519', 'RSA-2048'];

async function opensslKey(...args: readonly string[]): Promise<string> {
  const made = await openssl(folderWith({}), ...args);
  expect(made.ok, made.text).toBe(true);
  return made.text.slice(made.text.indexOf('-----BEGIN'));
}

describe('a key pair', () => {
  test.each(kinds)('of kind %s is written as PKCS#8 and read back as the same key', async (kind) => {
    const { privateKey, publicKey } = await generateKey(kind);
    const pem = privateKeyToPem(privateKey);
    expect(pem).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
    expect(privateKeyFromPem(pem).equals(privateKey)).toBe(true);
    expect(keyName(publicKey)).toBe(kind);
  });

  test('is P-256 unless told otherwise', async () => {
    expect(keyName((await generateKey()).publicKey)).toBe('P-256');
  });

  test('of RSA has the exponent 65537', async () => {
    expect((await generateKey('RSA-2048')).publicKey.asymmetricKeyDetails?.publicExponent).toBe(65537n);
  });

  test('is identified by the SHA-1 of its bit string, the same for both halves', async () => {
    const { privateKey, publicKey } = await generateKey();
    const point = publicKey.export({ type: 'spki', format: 'der' }).subarray(-65);
    expect(keyId(publicKey)).toBe(createHash('sha1').update(point).digest('hex'));
    expect(keyId(privateKey)).toBe(keyId(publicKey));
  });
});

describe('a private key in PEM', () => {
  test('is read in the older forms that OpenSSL writes, curve parameters before it too', async () => {
    const ec = await opensslKey('ecparam', '-name', 'prime256v1', '-genkey');
    expect(ec).toContain('BEGIN EC PARAMETERS');
    expect(keyName(privateKeyFromPem(ec))).toBe('P-256');
    expect(keyName(privateKeyFromPem(await opensslKey('genrsa', '-traditional', '2048')))).toBe('RSA-2048');
  });

  test.each([
    ['PKCS#8', ['genpkey', '-algorithm', 'ED25519', '-aes256', '-pass', 'pass:secret']],
    ['the older form', ['genrsa', '-traditional', '-aes256', '-passout', 'pass:secret', '2048']],
  ])('encrypted in %s is refused, and the hint is the command that decrypts it', async (_, args) => {
    const pem = await opensslKey(...args);
    expect(() => privateKeyFromPem(pem)).toThrow(
      expect.objectContaining({
        code: 'CG_KEY_UNREADABLE',
        hint: expect.stringContaining('openssl pkey -in') as string,
      }),
    );
  });

  test('damaged, missing or twice is refused, and the message holds no part of it', async () => {
    const pem = privateKeyToPem((await generateKey()).privateKey);
    const body = pem.split('\n')[1] ?? '';
    for (const text of [
      '',
      'x',
      pem + pem,
      pem.replace(body, body.slice(8)),
      pem.replace('M', '?'),
      pem.slice(0, 80),
    ]) {
      try {
        privateKeyFromPem(text);
        expect.unreachable();
      } catch (error) {
        expect(error).toMatchObject({ code: 'CG_KEY_UNREADABLE' });
        expect(String(error)).not.toContain(body.slice(8, 24));
      }
    }
  });

  test('is told from a public key and from a certificate', async () => {
    const { publicKey } = await generateKey();
    const publicPem = publicKey.export({ type: 'spki', format: 'pem' });
    expect(codeOfSync(() => privateKeyFromPem(publicPem))).toBe('CG_KEY_UNREADABLE');
    expect(codeOfSync(() => privateKeyFromPem(derToPem(new Uint8Array(9), 'CERTIFICATE')))).toBe('CG_KEY_UNREADABLE');
  });
});

describe('a certificate and a key', () => {
  test('fit when the certificate is for the key, in PEM or as read', async () => {
    const { leafKey, issuerKey } = await testAuthority();
    const der = await leafOf('worker/etl-1');
    expect(publicKeyFits(derToPem(der, 'CERTIFICATE'), leafKey.privateKey)).toBe(true);
    expect(publicKeyFits(readCertificate(der), leafKey.privateKey)).toBe(true);
    expect(publicKeyFits(readCertificate(der), issuerKey.privateKey)).toBe(false);
  });
});
