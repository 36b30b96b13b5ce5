import { execFile } from 'node:child_process';
import { createCipheriv, generateKeyPairSync, type KeyObject, scryptSync } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { encodeOid, encodeTlv, encodeUnsigned, TAG } from '../../src/pki/der.ts';
import { encryptedKeyToPem, openPrivateKey } from '../../src/pki/encrypted-keys.ts';
import { privateKeyToPem } from '../../src/pki/keys.ts';
import { derToPem, pemToDer } from '../../src/pki/pem.ts';
import { folderWith, openssl } from './openssl.ts';

const PASSPHRASE = 'correct horse bätterý staple';
const octets = Buffer.from(PASSPHRASE);
const open = (pem: string, passphrase: Uint8Array | null = octets) => openPrivateKey(pem, async () => passphrase);
const python = join(import.meta.dirname, '../../.cache/prefect/bin/python');

const keys: Readonly<Record<string, () => KeyObject>> = {
  'P-256': () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  'P-384': () => generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey,
  Ed25519: () => generateKeyPairSync('ed25519').privateKey,
  'RSA-2048': () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
};

const integer = (value: number): Uint8Array => {
  const hex = value.toString(16);
  return encodeUnsigned(Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex'));
};
const sequence = (...parts: readonly Uint8Array[]): Uint8Array => encodeTlv(TAG.sequence, ...parts);
const octetString = (size: number): Uint8Array => encodeTlv(TAG.octetString, new Uint8Array(size));

/** An encrypted key with this way from passphrase to key; what is left out is zeros. */
function pemWith(
  kdf: Uint8Array,
  { iv = 16, content = new Uint8Array(48), cipher = '2.16.840.1.101.3.4.1.42' } = {},
): string {
  const scheme = sequence(encodeOid(cipher), octetString(iv));
  const algorithm = sequence(encodeOid('1.2.840.113549.1.5.13'), sequence(kdf, scheme));
  return derToPem(sequence(algorithm, encodeTlv(TAG.octetString, content)), 'ENCRYPTED PRIVATE KEY');
}

async function failure(work: Promise<unknown>): Promise<{ code: string; message: string; hint: string }> {
  const error: unknown = await work.then(
    () => expect.unreachable('it was opened'),
    (thrown: unknown) => thrown,
  );
  return error as { code: string; message: string; hint: string };
}

describe('a private key under a passphrase', () => {
  test.each(Object.entries(keys))('comes back as it was: %s', async (_, make) => {
    const key = make();
    const pem = await encryptedKeyToPem(key, octets);
    expect(pem).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
    const opened = await open(pem);
    expect(opened.key.equals(key)).toBe(true);
    expect(opened).toMatchObject({ encrypted: true, weakness: null });
  });

  test("is written with PBKDF2-HMAC-SHA-256 at OWASP's count and AES-256-CBC, with a new salt each time", async () => {
    const key = generateKeyPairSync('ed25519').privateKey;
    const [one, other] = [await encryptedKeyToPem(key, octets), await encryptedKeyToPem(key, octets)];
    expect(one).not.toBe(other);
    const { text } = await openssl(folderWith({ k: one }), 'asn1parse', '-in', 'k');
    for (const word of ['PBES2', 'PBKDF2', ':0927C0', 'hmacWithSHA256', 'aes-256-cbc']) expect(text).toContain(word);
  });

  test('is opened by OpenSSL', async () => {
    const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const folder = folderWith({ k: await encryptedKeyToPem(key, octets), p: `${PASSPHRASE}\n` });
    const opened = await openssl(folder, 'pkey', '-in', 'k', '-passin', 'file:p');
    expect(opened.text).toBe(privateKeyToPem(key));
  });

  test.skipIf(!existsSync(python))(
    `is opened by Python's cryptography, and the other way round${existsSync(python) ? '' : ' (skipped: no .cache/prefect, run scripts/setup)'}`,
    async () => {
      const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
      const folder = folderWith({ k: await encryptedKeyToPem(key, octets), p: octets });
      const script = `
from cryptography.hazmat.primitives.serialization import *
p = open('p', 'rb').read()
k = load_pem_private_key(open('k', 'rb').read(), p)
open('theirs', 'wb').write(k.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(p)))`;
      await promisify(execFile)(python, ['-c', script], { cwd: folder });
      const theirs = await open(readFileSync(join(folder, 'theirs'), 'utf8'));
      expect(theirs.key.equals(key)).toBe(true);
    },
  );

  test.each([
    ['PBKDF2 as it comes', [], /PBKDF2 with sha256 counts to 2048, OWASP asks for 600000/],
    ["PBKDF2 with OWASP's count", ['-v2', 'aes-256-cbc', '-iter', '600000'], null],
    ['PBKDF2 with a single round', ['-iter', '1'], /counts to 1,/],
    ['PBKDF2 with SHA-1, which is not written out', ['-v2prf', 'hmacWithSHA1'], /with sha1/],
    ['PBKDF2 with SHA-512', ['-v2prf', 'hmacWithSHA512', '-iter', '210000'], null],
    ['AES-128', ['-v2', 'aes-128-cbc', '-iter', '600000'], null],
    ['AES-192', ['-v2', 'aes-192-cbc', '-iter', '600000'], null],
    ['scrypt as it comes', ['-scrypt'], /scrypt with N=16384, r=8/],
  ] as const)('is opened when OpenSSL made it: %s', async (_, args, weakness) => {
    const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const folder = folderWith({ k: privateKeyToPem(key), p: octets });
    const made = await openssl(folder, 'pkcs8', '-topk8', '-in', 'k', '-out', 'e', '-passout', 'file:p', ...args);
    expect(made).toMatchObject({ ok: true });
    const opened = await open(readFileSync(join(folder, 'e'), 'utf8'));
    expect(opened.key.equals(key)).toBe(true);
    if (weakness === null) expect(opened.weakness).toBeNull();
    else expect(opened.weakness).toMatch(weakness);
  });

  test("is opened with OWASP's scrypt, for which OpenSSL has not the memory", async () => {
    const key = generateKeyPairSync('ed25519').privateKey;
    const salt = Buffer.alloc(16, 7);
    const how = { N: 131_072, r: 8, p: 1, maxmem: 2 ** 28 };
    const cipher = createCipheriv('aes-256-cbc', scryptSync(octets, salt, 32, how), Buffer.alloc(16));
    const content = Buffer.concat([cipher.update(key.export({ type: 'pkcs8', format: 'der' })), cipher.final()]);
    const numbers = [how.N, how.r, how.p].map(integer);
    const kdf = sequence(encodeOid('1.3.6.1.4.1.11591.4.11'), sequence(encodeTlv(TAG.octetString, salt), ...numbers));
    const pem = pemWith(kdf, { content });
    const folder = folderWith({ e: pem, p: octets });
    expect(await openssl(folder, 'pkey', '-in', 'e', '-passin', 'file:p')).toMatchObject({ ok: false });
    const opened = await open(pem);
    expect(opened.key.equals(key)).toBe(true);
    expect(opened.weakness).toBeNull();
  });
});

describe('what does not open is one error without a hint of the content', () => {
  test('another passphrase, a damaged file and a short one, whatever the padding says', async () => {
    const key = generateKeyPairSync('ed25519').privateKey;
    const pem = await weaklyEncrypted(key, '1');
    const messages = new Set<string>();
    // Of 600 wrong passphrases two or three leave padding that looks right.
    for (let i = 0; i < 600; i++) {
      const { code, message } = await failure(open(pem, Buffer.from(`wrong ${i}`)));
      expect(code).toBe('CG_PASSPHRASE');
      messages.add(message);
    }
    const der = Buffer.from(pemToDer(pem, 'ENCRYPTED PRIVATE KEY'));
    der[der.length - 1] = (der.at(-1) ?? 0) ^ 1;
    const damaged = await failure(open(derToPem(der, 'ENCRYPTED PRIVATE KEY')));
    messages.add(damaged.message);
    expect([...messages]).toEqual(['the passphrase does not open the private key']);
  });

  test('no passphrase: the hint says where one can come from', async () => {
    const pem = await weaklyEncrypted(generateKeyPairSync('ed25519').privateKey, '1');
    const { code, hint } = await failure(open(pem, null));
    expect(code).toBe('CG_PASSPHRASE');
    expect(hint).toContain('CERTGATE_PASSPHRASE');
  });

  test("OpenSSL's older form is refused with the command that writes it anew", async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pem = privateKey.export({ type: 'pkcs1', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' });
    const { code, hint } = await failure(open(pem));
    expect(code).toBe('CG_KEY_UNREADABLE');
    expect(hint).toContain('openssl pkcs8 -topk8');
  });

  test('two keys in one text, one of them plain', async () => {
    const key = generateKeyPairSync('ed25519').privateKey;
    const { code } = await failure(open(privateKeyToPem(key) + (await weaklyEncrypted(key, '1'))));
    expect(code).toBe('CG_KEY_UNREADABLE');
  });
});

describe('a hostile file can neither hang nor fill the memory', () => {
  const pbkdf2 = (count: number, ...more: readonly Uint8Array[]): Uint8Array =>
    sequence(encodeOid('1.2.840.113549.1.5.12'), sequence(octetString(16), integer(count), ...more));
  const scrypt = (...numbers: readonly number[]): Uint8Array =>
    sequence(encodeOid('1.3.6.1.4.1.11591.4.11'), sequence(octetString(16), ...numbers.map(integer)));

  test.each([
    ['a count of 2^32', pemWith(pbkdf2(2 ** 32)), 'PBKDF2 count is 4294967296'],
    ['a count of 10,000,001', pemWith(pbkdf2(10_000_001)), 'PBKDF2 count is 10000001'],
    ['a count of 0', pemWith(pbkdf2(0)), 'PBKDF2 count is 0'],
    ['a count of 6 octets', pemWith(pbkdf2(2 ** 41)), 'longer than 5 octets'],
    ['a key of 4 GiB', pemWith(pbkdf2(1, integer(2 ** 32))), 'key length is 4294967296'],
    ['a key of another length than the cipher has', pemWith(pbkdf2(1, integer(16))), 'key length is 16'],
    ['an unknown hash', pemWith(pbkdf2(1, sequence(encodeOid('1.2.840.113549.2.99')))), 'a hash that certgate does'],
    ['scrypt in 4 GiB', pemWith(scrypt(2 ** 22, 8, 1)), 'scrypt N is 4194304'],
    ['scrypt with a large r', pemWith(scrypt(2, 2 ** 20, 1)), 'scrypt r is 1048576'],
    ['scrypt with a large p', pemWith(scrypt(1024, 8, 2 ** 20)), 'scrypt p is 1048576'],
    ['scrypt with an N that is no power of two', pemWith(scrypt(1000, 8, 1)), 'no power of two'],
    ['scrypt without numbers', pemWith(scrypt()), 'scrypt r is 0'],
    ['another cipher', pemWith(pbkdf2(1), { cipher: '1.2.840.113549.3.7' }), 'a cipher other than AES-CBC'],
    ['a short IV', pemWith(pbkdf2(1), { iv: 8 }), 'not whole blocks'],
    ['half a block', pemWith(pbkdf2(1), { content: new Uint8Array(47) }), 'not whole blocks'],
    ['nothing', pemWith(pbkdf2(1), { content: new Uint8Array() }), 'not whole blocks'],
    [
      'another scheme',
      derToPem(sequence(sequence(encodeOid('1.2.3')), octetString(16)), 'ENCRYPTED PRIVATE KEY'),
      '1.2.3',
    ],
    ['no DER at all', derToPem(new Uint8Array(40), 'ENCRYPTED PRIVATE KEY'), '38 octets after'],
  ])('%s is refused before the passphrase is asked for', async (_, pem, problem) => {
    const asked = openPrivateKey(pem, () => expect.unreachable('it asked'));
    const { code, message } = await failure(asked);
    expect(code).toBe('CG_KEY_UNREADABLE');
    expect(message).toContain(problem);
  });
});

async function weaklyEncrypted(key: KeyObject, count: string): Promise<string> {
  const folder = folderWith({ k: privateKeyToPem(key), p: octets });
  await openssl(folder, 'pkcs8', '-topk8', '-in', 'k', '-out', 'e', '-passout', 'file:p', '-iter', count);
  return readFileSync(join(folder, 'e'), 'utf8');
}
