// Keys made here as the faulty makers made them: real primes, a real private key, a request that OpenSSL signs.
import { checkPrimeSync, createPrivateKey, createPublicKey, generateKeyPairSync, generatePrimeSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { isCertgateError } from '../../src/errors.ts';
import { createLeaf, newSerial } from '../../src/pki/certificates.ts';
import { privateKeyToPem } from '../../src/pki/keys.ts';
import { acceptKey, spkiHashOf } from '../../src/pki/public-keys.ts';
import { readRequest } from '../../src/pki/requests.ts';
import { weaknessOf, weaknessOfModulus } from '../../src/pki/weak-keys.ts';
import { at, TRUST_DOMAIN, testAuthority } from './fixture.ts';
import { folderWith, openssl } from './openssl.ts';

const E = 65537n;
const prime = (bits: number): bigint => generatePrimeSync(bits, { bigint: true });

function nextPrime(from: bigint): bigint {
  let candidate = from | 1n;
  while (!checkPrimeSync(candidate)) candidate += 2n;
  return candidate;
}

function inverse(of: bigint, modulus: bigint): bigint {
  let [a, b, x, y] = [of % modulus, modulus, 1n, 0n];
  while (b !== 0n) [a, b, x, y] = [b, a % b, y, x - (a / b) * y];
  return ((x % modulus) + modulus) % modulus;
}

const base64url = (n: bigint): string => {
  const hex = n.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').toString('base64url');
};

/** The private key of these two primes. */
function rsaOf(p: bigint, q: bigint) {
  const d = inverse(E, (p - 1n) * (q - 1n));
  const [n, e, dp, dq, qi] = [p * q, E, d % (p - 1n), d % (q - 1n), inverse(q, p)].map(base64url) as [
    string,
    string,
    string,
    string,
    string,
  ];
  const [dText, pText, qText] = [base64url(d), base64url(p), base64url(q)];
  return createPrivateKey({ key: { kty: 'RSA', n, e, d: dText, p: pText, q: qText, dp, dq, qi }, format: 'jwk' });
}

/** A prime as the faulty chips made them: k·M + (65537^a mod M), M the product of the first `many` primes. */
function rocaPrime(bits: number, many: number): bigint {
  const small: bigint[] = [];
  for (let n = 2n; small.length < many; n++) if (small.every((other) => n % other !== 0n)) small.push(n);
  const m = small.reduce((product, each) => product * each, 1n);
  for (;;) {
    let residue = 1n;
    let square = E % m;
    for (let a = generatePrimeSync(60, { bigint: true }); a > 0n; a >>= 1n) {
      if ((a & 1n) === 1n) residue = (residue * square) % m;
      square = (square * square) % m;
    }
    // both top bits set, so that the product of two has twice the bits
    const k = (3n << BigInt(bits - 2)) / m + generatePrimeSync(40, { bigint: true });
    const candidate = k * m + residue;
    if (candidate.toString(2).length === bits && checkPrimeSync(candidate)) return candidate;
  }
}

async function requestBy(privateKeyPem: string): Promise<string> {
  const folder = folderWith({ 'k.pem': privateKeyPem });
  const made = await openssl(folder, 'req', '-new', '-key', 'k.pem', '-subj', '/CN=etl-1');
  expect(made.ok, made.text).toBe(true);
  return made.text;
}

function refusalOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (isCertgateError(error, 'CG_CSR_KEY')) return error.message;
    throw error;
  }
  return 'accepted';
}

describe('a request is refused for a key', () => {
  test('that a chip with the fault ROCA made (CVE-2017-15361), of 2048 bits', async () => {
    const key = rsaOf(rocaPrime(1024, 126), rocaPrime(1024, 126));
    const csr = await requestBy(privateKeyToPem(key));
    expect(refusalOf(() => readRequest(csr))).toBe(
      'key not accepted: RSA-2048 of the form that faulty Infineon chips made (ROCA, CVE-2017-15361)',
    );
  });

  test.each([
    ['next to each other', (p: bigint) => nextPrime(p + 2n)],
    ['2^516 apart, which takes Fermat some forty steps', (p: bigint) => nextPrime(p + (1n << 516n))],
  ])('whose primes are %s (CVE-2022-26320)', async (_, second) => {
    const p = prime(1024);
    const csr = await requestBy(privateKeyToPem(rsaOf(p, second(p))));
    expect(refusalOf(() => readRequest(csr))).toBe(
      'key not accepted: RSA-2048 with two primes too close together (CVE-2022-26320)',
    );
  });

  test.each([3n, 751n, 65521n])('with the factor %d', (factor) => {
    const modulus = prime(1024) * prime(1024) * factor;
    const key = createPublicKey({ key: { kty: 'RSA', n: base64url(modulus), e: 'AQAB' }, format: 'jwk' });
    expect(refusalOf(() => acceptKey(key))).toContain(`with the factor ${factor}`);
  });

  test.each([
    [
      'RFC 9500 §2.3',
      'P-256',
      '422548F88FB782FFB5ECA3744452C72A1E558FBD6F73BE5E48E93232CC45C5B1',
      '6C4CD10C4CB8D5B8A17139E94882C8992572993425F41419AB7E90A42A494272',
    ],
    [
      'RFC 6979 §A.2.5',
      'P-256',
      '60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6',
      '7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299',
    ],
    [
      'every description of the curve P-256',
      'P-256',
      '6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296',
      '4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5',
    ],
  ])('whose private half is printed in %s', (where, crv, x, y) => {
    const [xText, yText] = [x, y].map((hex) => Buffer.from(hex, 'hex').toString('base64url')) as [string, string];
    const key = createPublicKey({ key: { kty: 'EC', crv, x: xText, y: yText }, format: 'jwk' });
    expect(refusalOf(() => acceptKey(key))).toBe(`key not accepted: ${crv} whose private key is printed in ${where}`);
  });

  test('whose private half is printed in RFC 8032, an Ed25519 key', () => {
    const x = Buffer.from('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'hex');
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: x.toString('base64url') }, format: 'jwk' });
    expect(refusalOf(() => acceptKey(key))).toContain('RFC 8032 §7.1');
  });

  test('with an exponent so large that the private one may be small enough to be found', () => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const { n = '' } = publicKey.export({ format: 'jwk' });
    const keyWith = (e: bigint) => createPublicKey({ key: { kty: 'RSA', n, e: base64url(e) }, format: 'jwk' });
    expect(refusalOf(() => acceptKey(keyWith(2n ** 32n + 1n)))).toContain('more than 32 bits');
    expect(refusalOf(() => acceptKey(keyWith(2n ** 32n - 1n)))).toBe('accepted');
  });

  test('and so is the same key when no request brings it: no certificate is made for it', async () => {
    const p = prime(1024);
    const { issuer } = await testAuthority();
    const publicKey = createPublicKey(rsaOf(p, nextPrime(p + 2n)));
    const names = { subjectCommonName: 'worker/etl-1', spiffeUri: `spiffe://${TRUST_DOMAIN}/worker/etl-1` };
    const times = { notBefore: at(-1), notAfter: at(1), serial: newSerial() };
    await expect(createLeaf({ profile: 'client', ...names, publicKey, ...times, issuer })).rejects.toMatchObject({
      code: 'CG_CSR_KEY',
    });
  });
});

describe('the size of an RSA key', () => {
  /** Of this many bits, from primes of 1024 and one to fit: as good as two for all that is looked at. */
  function modulusOf(bits: number): bigint {
    const most = Array.from({ length: Math.floor(bits / 1024) - 1 }, () => prime(1024)).reduce((a, b) => a * b, 1n);
    for (let last = bits - most.toString(2).length; ; ) {
      const modulus = most * prime(last);
      const found = modulus.toString(2).length;
      if (found === bits) return modulus;
      last += bits - found;
    }
  }

  test.each([
    [2047, 'key not accepted: RSA-2047, smaller than 2048 bits'],
    [2048, 'accepted'],
    [8192, 'accepted'],
    [8193, 'key not accepted: RSA-8193, larger than 8192 bits'],
  ])('of %d bits is judged to the bit: %s', (bits, said) => {
    const key = createPublicKey({ key: { kty: 'RSA', n: base64url(modulusOf(bits)), e: 'AQAB' }, format: 'jwk' });
    expect(refusalOf(() => acceptKey(key))).toBe(said);
  });
});

describe('a key that OpenSSL made', () => {
  test.each([2048, 2049, 4096])('of RSA with %d bits is not taken for weak', (modulusLength) => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength });
    expect(weaknessOf(publicKey, spkiHashOf(publicKey))).toBeNull();
  });

  test('of P-256, P-384 or Ed25519 is not taken for weak', () => {
    for (const { publicKey } of [
      generateKeyPairSync('ec', { namedCurve: 'P-256' }),
      generateKeyPairSync('ec', { namedCurve: 'P-384' }),
      generateKeyPairSync('ed25519'),
    ]) {
      expect(weaknessOf(publicKey, spkiHashOf(publicKey))).toBeNull();
    }
  });

  test('is not taken for weak among 100 small ones, which would show a test that is too wide', () => {
    for (let i = 0; i < 100; i++) expect(weaknessOfModulus(prime(256) * prime(257))).toBeNull();
  });
});
