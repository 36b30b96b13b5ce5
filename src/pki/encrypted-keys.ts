// Private keys under a passphrase: EncryptedPrivateKeyInfo (RFC 5958 §3) with PBES2 (RFC 8018 §6.2), AES-CBC and a key
// from PBKDF2, or, only read, from scrypt (RFC 7914). Node's own writer counts to 2,048, so the octets are ours and the
// arithmetic OpenSSL's. Written is PBKDF2-HMAC-SHA-256 with OWASP's count and not scrypt: OpenSSL opens no scrypt of more
// than 32 MiB, a quarter of what OWASP asks for. A file never decides for how long or in how much memory it is opened. No
// message tells a wrong passphrase from a damaged file, or says anything of what is inside.
import { createDecipheriv, createPrivateKey, type KeyObject, pbkdf2, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import { CertgateError } from '../errors.ts';
import {
  childrenOf,
  contentOf,
  DerFault,
  encodeTlv,
  ofTag,
  readOid,
  readOnly,
  readUnsigned,
  TAG,
  type Tlv,
} from './der.ts';
import { isEncryptedPem, privateKeyFromPem, requireOneKey } from './keys.ts';
import { encryptPbes2 } from './password-based.ts';
import { derToPem, pemToDer } from './pem.ts';

/** OWASP Password Storage Cheat Sheet, 2023: PBKDF2-HMAC-SHA-256; with SHA-512 210,000; scrypt N=2^17, r=8, p=1. */
const ITERATIONS = 600_000;
const ENOUGH: Readonly<Record<string, number>> = {
  sha1: 1_300_000,
  sha256: 600_000,
  sha384: 600_000,
  sha512: 210_000,
};
const ENOUGH_SCRYPT = 2 ** 17 * 8;
/** What is taken from a file: some seconds of one core, and 256 MiB. */
const MOST_ITERATIONS = 10_000_000;
const MOST_SCRYPT = 2 ** 18 * 8;
const MOST_PARALLEL = 4;
/** A salt or a count that is longer is nobody's. */
const MOST_SALT = 1024;

const PBES2 = '1.2.840.113549.1.5.13';
const PBKDF2 = '1.2.840.113549.1.5.12';
const SCRYPT = '1.3.6.1.4.1.11591.4.11';
const HMAC_SHA256 = '1.2.840.113549.2.9';
const AES_256_CBC = '2.16.840.1.101.3.4.1.42';

const hashes: ReadonlyMap<string, string> = new Map([
  ['1.2.840.113549.2.7', 'sha1'],
  [HMAC_SHA256, 'sha256'],
  ['1.2.840.113549.2.10', 'sha384'],
  ['1.2.840.113549.2.11', 'sha512'],
]);
/** Cipher and length of its key in octets. */
const ciphers: ReadonlyMap<string, readonly [name: string, octets: number]> = new Map([
  ['2.16.840.1.101.3.4.1.2', ['aes-128-cbc', 16]],
  ['2.16.840.1.101.3.4.1.22', ['aes-192-cbc', 24]],
  [AES_256_CBC, ['aes-256-cbc', 32]],
]);

const ENCRYPTED = 'ENCRYPTED PRIVATE KEY';
const stretch = promisify(pbkdf2);
const stretchInMemory = promisify<Uint8Array, Uint8Array, number, object, Uint8Array>(scrypt);

type Derivation =
  | { readonly by: 'pbkdf2'; readonly salt: Uint8Array; readonly hash: string; readonly iterations: number }
  | { readonly by: 'scrypt'; readonly salt: Uint8Array; readonly N: number; readonly r: number; readonly p: number };

interface Protection {
  readonly derivation: Derivation;
  readonly cipher: string;
  readonly keyOctets: number;
  readonly iv: Uint8Array;
  readonly encrypted: Uint8Array;
}

/** A key that was opened. */
export interface OpenedKey {
  readonly key: KeyObject;
  /** Whether the file was encrypted. */
  readonly encrypted: boolean;
  /** What is weaker than OWASP asks for in the way it is encrypted, for a warning; null when nothing is. */
  readonly weakness: string | null;
}

/** `key` as PKCS#8 PEM, encrypted under the passphrase (its octets, UTF-8). About a quarter of a second, off the main thread. */
export async function encryptedKeyToPem(key: KeyObject, passphrase: Uint8Array): Promise<string> {
  const plain = key.export({ type: 'pkcs8', format: 'der' });
  const { algorithm, octets } = await encryptPbes2(plain, passphrase, ITERATIONS);
  plain.fill(0);
  return derToPem(encodeTlv(TAG.sequence, algorithm, encodeTlv(TAG.octetString, octets)), ENCRYPTED);
}

/**
 * The private key in a PEM text, encrypted (PBES2) or not. `passphrase` is asked only when it is, and answers octets, or
 * null when there is none.
 * @throws CG_KEY_UNREADABLE as privateKeyFromPem; CG_PASSPHRASE when it is encrypted and no passphrase, or another, is there
 */
export async function openPrivateKey(pem: string, passphrase: () => Promise<Uint8Array | null>): Promise<OpenedKey> {
  if (!isEncryptedPem(pem)) return { key: privateKeyFromPem(pem), encrypted: false, weakness: null };
  requireOneKey(pem);
  const protection = readProtection(pem);
  const octets = await passphrase();
  if (octets === null) {
    throw new CertgateError('CG_PASSPHRASE', {
      problem: 'the private key is encrypted, and there is no passphrase',
      remedy:
        'put it into a file of your own (mode 0600), named by ca.passphraseFile or connect.passphraseFile, or into CERTGATE_PASSPHRASE',
    });
  }
  return { key: await decrypt(protection, octets), encrypted: true, weakness: weaknessOf(protection.derivation) };
}

async function decrypt(
  { derivation, cipher, keyOctets, iv, encrypted }: Protection,
  passphrase: Uint8Array,
): Promise<KeyObject> {
  const secret = await derive(derivation, passphrase, keyOctets);
  const decipher = createDecipheriv(cipher, secret, iv);
  let plain: Buffer | undefined;
  try {
    plain = Buffer.concat([decipher.update(encrypted), decipher.final()]);
    // Padding comes out right for one wrong passphrase of 256, and then this finds no key.
    return createPrivateKey({ key: plain, format: 'der', type: 'pkcs8' });
  } catch {
    throw new CertgateError('CG_PASSPHRASE', {
      problem: 'the passphrase does not open the private key',
      remedy: 'check the passphrase; if it is right, the file is damaged: restore it from a backup',
    });
  } finally {
    plain?.fill(0);
    secret.fill(0);
  }
}

function derive(derivation: Derivation, passphrase: Uint8Array, octets: number): Promise<Uint8Array> {
  const { salt } = derivation;
  if (derivation.by === 'pbkdf2') return stretch(passphrase, salt, derivation.iterations, octets, derivation.hash);
  const { N, r, p } = derivation;
  return stretchInMemory(passphrase, salt, octets, { N, r, p, maxmem: 128 * r * (N + p + 2) });
}

function weaknessOf(derivation: Derivation): string | null {
  if (derivation.by === 'scrypt') {
    const { N, r } = derivation;
    return N * r >= ENOUGH_SCRYPT ? null : `scrypt with N=${N}, r=${r}, OWASP asks for N=131072, r=8`;
  }
  const { hash, iterations } = derivation;
  const enough = ENOUGH[hash] ?? ITERATIONS;
  return iterations >= enough ? null : `PBKDF2 with ${hash} counts to ${iterations}, OWASP asks for ${enough}`;
}

function readProtection(pem: string): Protection {
  if (/^Proc-Type: *4, *ENCRYPTED/m.test(pem)) {
    throw unreadable("it is encrypted in OpenSSL's older form, which hashes the passphrase only once");
  }
  try {
    return protectionOf(pemToDer(pem, ENCRYPTED));
  } catch (error) {
    if (!(error instanceof DerFault)) throw error;
    throw unreadable(error.message);
  }
}

function protectionOf(der: Uint8Array): Protection {
  const [algorithm, content] = childrenOf(der, readOnly(der, TAG.sequence, 'encrypted key'));
  const [scheme, parameters] = childrenOf(der, ofTag(algorithm, TAG.sequence, 'encryption algorithm'));
  requireOid(readOid(der, scheme, 'encryption algorithm'), PBES2, 'is encrypted by a scheme other than PBES2');
  const [derivation, encryption] = childrenOf(der, ofTag(parameters, TAG.sequence, 'PBES2 parameters'));
  const [cipherOid, iv] = childrenOf(der, ofTag(encryption, TAG.sequence, 'encryption scheme'));
  const oid = readOid(der, cipherOid, 'cipher');
  const [cipher, keyOctets] = ciphers.get(oid) ?? [];
  if (cipher === undefined || keyOctets === undefined) throw new DerFault(`a cipher other than AES-CBC (${oid})`);
  const ivOctets = contentOf(der, ofTag(iv, TAG.octetString, 'IV'));
  const encrypted = contentOf(der, ofTag(content, TAG.octetString, 'encrypted key'));
  if (ivOctets.length !== 16 || encrypted.length === 0 || encrypted.length % 16 !== 0) {
    throw new DerFault('not whole blocks of AES');
  }
  const how = derivationOf(der, ofTag(derivation, TAG.sequence, 'key derivation'), keyOctets);
  return { derivation: how, cipher, keyOctets, iv: ivOctets, encrypted };
}

function derivationOf(der: Uint8Array, at: Tlv, keyOctets: number): Derivation {
  const [name, parameters] = childrenOf(der, at);
  const oid = readOid(der, name, 'key derivation');
  const [salt, ...rest] = childrenOf(der, ofTag(parameters, TAG.sequence, 'parameters of the key derivation'));
  const saltOctets = contentOf(der, ofTag(salt, TAG.octetString, 'salt'));
  if (saltOctets.length > MOST_SALT) throw new DerFault(`a salt of ${saltOctets.length} octets`);
  const numbers = rest.filter((tlv) => tlv.tag === TAG.integer).map((tlv) => number(der, tlv));
  if (oid === PBKDF2) {
    const [iterations = 0, length = keyOctets] = numbers;
    const prf = rest.find((tlv) => tlv.tag === TAG.sequence);
    const [prfOid] = prf === undefined ? [] : childrenOf(der, prf);
    // RFC 8018 appendix A.2: HMAC-SHA-1 when none is named
    const hash = prf === undefined ? 'sha1' : hashes.get(readOid(der, prfOid, 'hash'));
    if (hash === undefined) throw new DerFault('PBKDF2 with a hash that certgate does not know');
    requireBetween(iterations, 1, MOST_ITERATIONS, 'PBKDF2 count');
    requireBetween(length, keyOctets, keyOctets, 'key length');
    return { by: 'pbkdf2', salt: saltOctets, hash, iterations };
  }
  requireOid(oid, SCRYPT, 'has its key from neither PBKDF2 nor scrypt');
  const [N = 0, r = 0, p = 0, length = keyOctets] = numbers;
  requireBetween(r, 1, 64, 'scrypt r');
  requireBetween(p, 1, MOST_PARALLEL, 'scrypt p');
  requireBetween(N, 2, MOST_SCRYPT / r, 'scrypt N');
  if ((N & (N - 1)) !== 0) throw new DerFault(`scrypt N is ${N}, no power of two`);
  requireBetween(length, keyOctets, keyOctets, 'key length');
  return { by: 'scrypt', salt: saltOctets, N, r, p };
}

const number = (der: Uint8Array, tlv: Tlv): number => Number.parseInt(readUnsigned(der, tlv, 5, 'number'), 16);

function requireBetween(value: number, least: number, most: number, what: string): void {
  if (!(value >= least && value <= most)) throw new DerFault(`${what} is ${value}, taken are ${least} to ${most}`);
}

function requireOid(found: string, wanted: string, problem: string): void {
  if (found !== wanted) throw new DerFault(`it ${problem} (${found})`);
}

function unreadable(problem: string): CertgateError {
  return new CertgateError('CG_KEY_UNREADABLE', {
    problem,
    remedy: 'write it anew: `(umask 077; openssl pkcs8 -topk8 -v2 aes-256-cbc -iter 600000 -in OLD.key -out NEW.key)`',
  });
}
