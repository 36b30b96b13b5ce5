// Encryption and MAC under a password, as encrypted keys and PKCS#12 files need them: PBES2 (RFC 8018 §6.2) with PBKDF2-HMAC-SHA-256 and
// AES-256-CBC, and the older PKCS#12 key derivation (RFC 7292 appendix B) with SHA-1 and Triple-DES for programs that
// read nothing else. The ciphers and hashes are OpenSSL's, through node:crypto; salts and IVs are new each time. Nothing
// here reads a file that others made, and neither a password nor a key is ever in a message.
import { createCipheriv, createHmac, hash, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { encodeOid, encodeTlv, encodeUnsigned, TAG } from './der.ts';

/** Octets encrypted under a password, and the AlgorithmIdentifier that says how, DER. */
export interface Encrypted {
  readonly algorithm: Uint8Array;
  readonly octets: Uint8Array;
}

const stretch = promisify(pbkdf2);

type HashName = 'sha1' | 'sha256';

/** Salts of RFC 8018 §4.1 (at least 64 bits); OpenSSL and Java write as many. */
const SALT_OCTETS = 16;
/** What SHA-1 and SHA-256 work on at a time (RFC 7292 B.2, v). */
const BLOCK_OCTETS = 64;

/** A SEQUENCE of an algorithm's identifier and its parameters. */
function algorithmIdentifier(oid: string, ...parameters: readonly Uint8Array[]): Uint8Array {
  return encodeTlv(TAG.sequence, encodeOid(oid), ...parameters);
}

/** INTEGER of a whole number from 0 to 2^53. */
export function encodeInteger(value: number): Uint8Array {
  const hex = value.toString(16);
  return encodeUnsigned(Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex'));
}

/** PBES2: AES-256-CBC with a key from PBKDF2-HMAC-SHA-256 of the password's octets (UTF-8), off the main thread. */
export async function encryptPbes2(
  plain: Uint8Array,
  password: string | Uint8Array,
  iterations: number,
): Promise<Encrypted> {
  const salt = randomBytes(SALT_OCTETS);
  const iv = randomBytes(16);
  const secret = await stretch(password, salt, iterations, 32, 'sha256');
  const cipher = createCipheriv('aes-256-cbc', secret, iv);
  secret.fill(0);
  const derivation = algorithmIdentifier(
    '1.2.840.113549.1.5.12',
    encodeTlv(
      TAG.sequence,
      encodeTlv(TAG.octetString, salt),
      encodeInteger(iterations),
      algorithmIdentifier('1.2.840.113549.2.9', encodeTlv(TAG.null)),
    ),
  );
  const scheme = algorithmIdentifier('2.16.840.1.101.3.4.1.42', encodeTlv(TAG.octetString, iv));
  return {
    algorithm: algorithmIdentifier('1.2.840.113549.1.5.13', encodeTlv(TAG.sequence, derivation, scheme)),
    octets: Buffer.concat([cipher.update(plain), cipher.final()]),
  };
}

/** pbeWithSHAAnd3-KeyTripleDES-CBC (RFC 7292 appendix C): never for anything that a current program will read. */
export function encryptTripleDes(plain: Uint8Array, password: string, iterations: number): Encrypted {
  const salt = randomBytes(SALT_OCTETS);
  const key = deriveKey('sha1', 'key', { password, salt, iterations }, 24);
  const cipher = createCipheriv('des-ede3-cbc', key, deriveKey('sha1', 'iv', { password, salt, iterations }, 8));
  const parameters = encodeTlv(TAG.sequence, encodeTlv(TAG.octetString, salt), encodeInteger(iterations));
  return {
    algorithm: algorithmIdentifier('1.2.840.113549.1.12.1.3', parameters),
    octets: Buffer.concat([cipher.update(plain), cipher.final()]),
  };
}

const hashes: Readonly<Record<HashName, { oid: string; octets: number }>> = {
  sha1: { oid: '1.3.14.3.2.26', octets: 20 },
  sha256: { oid: '2.16.840.1.101.3.4.2.1', octets: 32 },
};

/** MacData (RFC 7292 §4): HMAC of `content` under a key that appendix B derives from the password. */
export function macData(content: Uint8Array, password: string, name: HashName, iterations: number): Uint8Array {
  const { oid, octets } = hashes[name];
  const salt = randomBytes(SALT_OCTETS);
  const key = deriveKey(name, 'mac', { password, salt, iterations }, octets);
  const digest = createHmac(name, key).update(content).digest();
  return encodeTlv(
    TAG.sequence,
    encodeTlv(TAG.sequence, algorithmIdentifier(oid, encodeTlv(TAG.null)), encodeTlv(TAG.octetString, digest)),
    encodeTlv(TAG.octetString, salt),
    encodeInteger(iterations),
  );
}

interface Secret {
  readonly password: string;
  readonly salt: Uint8Array;
  readonly iterations: number;
}

/** RFC 7292 B.3: what the octets are for. */
const purposes = { key: 1, iv: 2, mac: 3 } as const;

/** RFC 7292 B.2: `octets` of key material for a purpose. Exported for its test vectors. */
export function deriveKey(
  name: HashName,
  purpose: keyof typeof purposes,
  { password, salt, iterations }: Secret,
  octets: number,
): Uint8Array {
  const diversifier = Buffer.alloc(BLOCK_OCTETS, purposes[purpose]);
  const input = Buffer.concat([wholeBlocks(salt), wholeBlocks(bmpOf(`${password}\0`))]);
  const derived: Uint8Array[] = [];
  for (let have = 0; have < octets; have += hashes[name].octets) {
    let round: Buffer = hash(name, Buffer.concat([diversifier, input]), 'buffer');
    for (let i = 1; i < iterations; i++) round = hash(name, round, 'buffer');
    derived.push(round);
    const addend = wholeBlocks(round);
    for (let at = 0; at < input.length; at += BLOCK_OCTETS) addPlusOne(input.subarray(at, at + BLOCK_OCTETS), addend);
  }
  return Buffer.concat(derived).subarray(0, octets);
}

/** BMPString octets of a text: UTF-16, the higher octet first. Characters past U+FFFF are pairs, as everybody writes them. */
export function bmpOf(text: string): Buffer {
  return Buffer.from(text, 'utf16le').swap16();
}

/** `octets` again and again, cut at the end of a block. */
function wholeBlocks(octets: Uint8Array): Buffer {
  const whole = Buffer.alloc(Math.ceil(octets.length / BLOCK_OCTETS) * BLOCK_OCTETS);
  for (let at = 0; at < whole.length; at += octets.length) whole.set(octets.subarray(0, whole.length - at), at);
  return whole;
}

/** block = block + addend + 1, as one big number, in place. */
function addPlusOne(block: Uint8Array, addend: Uint8Array): void {
  let carry = 1;
  for (let i = BLOCK_OCTETS - 1; i >= 0; i--) {
    carry += (block[i] ?? 0) + (addend[i] ?? 0);
    block[i] = carry & 0xff;
    carry >>= 8;
  }
}
