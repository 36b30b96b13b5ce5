// Which public keys certgate puts its name to: P-256, P-384, Ed25519, RSA of 2048 to 8192 bits, in the one encoding
// each has (RFC 5480 §2.1.1 named curve and uncompressed point, RFC 8410, RFC 3279 §2.3.1), so that one key has one
// key identifier. Curves spelled out in parameters (CVE-2020-0601), RSA-PSS keys, small, even or huge RSA exponents and
// Ed25519 points of small order, for which anybody can make a signature, are refused; so is what weak-keys.ts finds.
import { createPublicKey, hash, type KeyObject } from 'node:crypto';
import { CertgateError, reasonOf } from '../errors.ts';
import { childrenOf, readOctets, readOnly, TAG } from './der.ts';
import { weaknessOf } from './weak-keys.ts';

const curveNames = new Map([
  ['prime256v1', 'P-256'],
  ['secp384r1', 'P-384'],
  ['secp521r1', 'P-521'],
]);

/** All there is before the key's own octets, by kind. */
const encodings = [
  { kind: 'P-256', prefix: Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex'), octets: 91 },
  { kind: 'P-384', prefix: Buffer.from('3076301006072a8648ce3d020106052b8104002203620004', 'hex'), octets: 120 },
  { kind: 'Ed25519', prefix: Buffer.from('302a300506032b6570032100', 'hex'), octets: 44 },
] as const;

/** The y-coordinates of Edwards25519's points of order 1, 2, 4 and 8, canonical or not, little-endian, sign bit clear. */
const smallOrder = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]);

/** What a key is called in messages and descriptions: `P-256`, `Ed25519`, `RSA-2048`, else Node's name for its type. */
export function keyName(key: KeyObject): string {
  const details = key.asymmetricKeyDetails;
  switch (key.asymmetricKeyType) {
    case 'ec':
      return curveNames.get(details?.namedCurve ?? '') ?? `EC ${details?.namedCurve ?? 'with parameters of its own'}`;
    case 'ed25519':
      return 'Ed25519';
    case 'rsa':
      return `RSA-${details?.modulusLength ?? 0}`;
    default:
      return key.asymmetricKeyType ?? key.type;
  }
}

interface KnownKey {
  readonly spki: Buffer;
  /** Null until it was asked for. */
  hash: string | null;
  /** Whether `problemOf` has found nothing. */
  accepted: boolean;
}

/** A key never changes, and its export takes 60 µs (measured, Node 26): a certificate needs it four times. */
const knownKeys = new WeakMap<KeyObject, KnownKey>();

function knownKeyOf(key: KeyObject): KnownKey {
  const known = knownKeys.get(key);
  if (known !== undefined) return known;
  return remember(key, (key.type === 'private' ? createPublicKey(key) : key).export({ type: 'spki', format: 'der' }));
}

function remember(key: KeyObject, spki: Buffer): KnownKey {
  const known = { spki, hash: null, accepted: false };
  knownKeys.set(key, known);
  return known;
}

/** The SubjectPublicKeyInfo of a public key, or of the public half of a private one, DER; not to be written to. */
export function spkiOf(key: KeyObject): Buffer {
  return knownKeyOf(key).spki;
}

/** SHA-256 of that, hex: by what keys are told apart on record. */
export function spkiHashOf(key: KeyObject): string {
  const known = knownKeyOf(key);
  known.hash ??= hash('sha256', known.spki);
  return known.hash;
}

/** The key in a SubjectPublicKeyInfo. DerFault. */
export function keyBitsOf(spki: Uint8Array): Uint8Array {
  const [, key] = childrenOf(spki, readOnly(spki, TAG.sequence, 'public key'));
  return readOctets(spki, key, 'public key');
}

/** `publicKey` itself when certgate certifies its kind. CG_CSR_KEY with what is wrong with it. */
export function acceptKey(publicKey: KeyObject): KeyObject {
  const known = knownKeyOf(publicKey);
  if (known.accepted) return publicKey;
  const problem = problemOf(publicKey, known.spki);
  if (problem !== null) throw new CertgateError('CG_CSR_KEY', { key: problem });
  known.accepted = true;
  return publicKey;
}

/** The public key in a SubjectPublicKeyInfo from outside, whole and in its one encoding. CG_CSR_KEY. */
export function readPublicKey(spki: Uint8Array): KeyObject {
  let key: KeyObject;
  let own: Buffer;
  try {
    key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    if (kindIn(spki) !== null) remember(key, Buffer.from(spki)); // an export would give the same again
    own = spkiOf(key); // the point at infinity can be read, and has none
  } catch (cause) {
    throw new CertgateError('CG_CSR_KEY', { key: `unreadable (${reasonOf(cause)})` }, { cause });
  }
  if (own.equals(spki)) return acceptKey(key);
  throw new CertgateError('CG_CSR_KEY', { key: `${keyName(key)} in an encoding that is not its own` });
}

/** Of what kind a key is that OpenSSL has read from this: what begins so, and is so long, can be written in no other way. */
function kindIn(spki: Uint8Array): (typeof encodings)[number]['kind'] | null {
  for (const { kind, prefix, octets } of encodings) {
    if (spki.length === octets && prefix.compare(spki, 0, prefix.length) === 0) return kind;
  }
  return null;
}

function problemOf(key: KeyObject, spki: Uint8Array): string | null {
  const problem = kindProblemOf(key, spki);
  if (problem !== null) return problem;
  const weakness = weaknessOf(key, spkiHashOf(key));
  return weakness === null ? null : `${keyName(key)} ${weakness}`;
}

function kindProblemOf(key: KeyObject, spki: Uint8Array): string | null {
  const kind = kindIn(spki);
  if (kind === 'Ed25519') {
    const y = Buffer.from(keyBitsOf(spki));
    y[31] = (y[31] ?? 0) & 0x7f;
    return smallOrder.has(y.toString('hex')) ? 'Ed25519 point of small order' : null;
  }
  if (kind !== null) return null;
  const name = keyName(key);
  if (key.asymmetricKeyType === 'rsa') return rsaProblemOf(key, name);
  const isOther = encodings.some((one) => one.kind === name);
  return isOther ? `${name} in an encoding other than named curve and uncompressed point` : name;
}

function rsaProblemOf(key: KeyObject, name: string): string | null {
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (modulusLength < 2048) return `${name}, smaller than 2048 bits`;
  if (modulusLength > 8192) return `${name}, larger than 8192 bits`;
  if (publicExponent % 2n === 0n) return `${name} with the even exponent ${publicExponent}`;
  if (publicExponent < 65537n) return `${name} with the exponent ${publicExponent}, smaller than 65537`;
  // A private exponent small enough to be found (Wiener) needs a public one about as large as the modulus
  if (publicExponent >= 2n ** 32n) return `${name} with an exponent of more than 32 bits`;
  return null;
}
