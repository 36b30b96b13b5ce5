// Writes what certgate signs: certificates (RFC 5280 §4.1) and requests (RFC 2986 §4) share their outer shape, and this
// file signs both. The hash goes with the key: P-384 signs with SHA-384, P-256 and RSA with SHA-256, Ed25519 with its own.
// Who signs is behind `Signer`: a key in this process (then OpenSSL signs, what takes long off the main thread), or one that never
// enters it (src/authority). The octets around the signature are der.ts's. No library stands between, because the one
// there was took 165 ms and 9 MB at the start of a gate (measured, Node 26), and 2 ms a certificate.
import { createPublicKey, createSign, createVerify, type KeyObject, sign, verify } from 'node:crypto';
import { promisify } from 'node:util';
import { CertgateError } from '../errors.ts';
import { encodeBits, encodeOid, encodeTlv, TAG } from './der.ts';
import { keyName } from './public-keys.ts';

const signOffThread: (hash: string | null, content: Uint8Array, key: KeyObject) => Promise<Uint8Array> =
  promisify(sign);
const verifyOffThread: (
  hash: string | null,
  content: Uint8Array,
  key: KeyObject,
  signature: Uint8Array,
) => Promise<boolean> = promisify(verify);

/** Octets that are hashed in some 10 µs. */
const MOST_ON_THREAD = 16 * 1024;

/** How a key signs: the hash as node:crypto calls it, null for none, and the AlgorithmIdentifier, DER. */
export interface SigningAlgorithm {
  readonly hash: string | null;
  readonly identifier: Uint8Array;
}

const algorithmOf = (hash: string | null, oid: string, ...parameters: readonly Uint8Array[]): SigningAlgorithm => ({
  hash,
  identifier: encodeTlv(TAG.sequence, encodeOid(oid), ...parameters),
});

/** ECDSA and Ed25519 have no parameters (RFC 5758 §3.2, RFC 8410 §3), RSA has a NULL (RFC 4055 §5). */
const algorithms: ReadonlyMap<string, SigningAlgorithm> = new Map([
  ['P-256', algorithmOf('sha256', '1.2.840.10045.4.3.2')],
  ['P-384', algorithmOf('sha384', '1.2.840.10045.4.3.3')],
  ['Ed25519', algorithmOf(null, '1.3.101.112')],
  ['rsa', algorithmOf('sha256', '1.2.840.113549.1.1.11', encodeTlv(TAG.null))],
]);

/** What is to be signed, in parts that follow one another, as often as it is gone through. */
export interface Content extends AsyncIterable<Uint8Array> {
  /** Octets of all parts. */
  readonly length: number;
}

/** A private key that signs, wherever it is. */
export interface Signer {
  readonly publicKey: KeyObject;
  /**
   * The signature over `content`, with the hash that `signingAlgorithmOf(publicKey)` names: for ECDSA the DER of
   * ECDSA-Sig-Value (RFC 3279 §2.2.3), for RSA PKCS #1 v1.5, for Ed25519 its 64 octets.
   */
  sign(content: Uint8Array): Promise<Uint8Array>;
  /** The same over long content, without ever having it in one piece; left out by a signer that wants it whole. */
  signParts?(content: Content): Promise<Uint8Array>;
}

/** A signer with the key in this process. CG_KEY_UNREADABLE for a kind certgate never signs with. */
export function signerOf(privateKey: KeyObject): Signer {
  const publicKey = createPublicKey(privateKey);
  const { hash } = signingAlgorithmOf(publicKey);
  // RSA takes milliseconds, and so does the hash of a long list; for the rest the way to a thread and back takes longer than
  // the signature itself (some 30 µs).
  const isShort = (content: Uint8Array): boolean =>
    publicKey.asymmetricKeyType !== 'rsa' && content.length <= MOST_ON_THREAD;
  return {
    publicKey,
    sign: async (content) =>
      isShort(content) ? sign(hash, content, privateKey) : signOffThread(hash, content, privateKey),
    // Ed25519 goes through its content twice, and OpenSSL wants that whole (RFC 8032 §5.1.6).
    ...(hash === null ? {} : { signParts: (content) => signHashed(hash, content, privateKey) }),
  };
}

async function signHashed(hash: string, content: Content, privateKey: KeyObject): Promise<Uint8Array> {
  const signing = createSign(hash);
  for await (const part of content) signing.update(part);
  return signing.sign(privateKey);
}

/** The signature of `signer` over `content`, in parts where that is long and the signer takes it so. What the signer throws. */
export async function signatureOver(content: Content, signer: Signer): Promise<Uint8Array> {
  if (content.length > MOST_ON_THREAD && signer.signParts !== undefined) return signer.signParts(content);
  return signer.sign(await joined(content));
}

/** Whether `signature` is that of `key`, by the algorithm of `signingAlgorithmOf`, over `content`. */
export async function isSignatureOver(content: Content, key: KeyObject, signature: Uint8Array): Promise<boolean> {
  const { hash } = signingAlgorithmOf(key);
  if (content.length <= MOST_ON_THREAD || hash === null) {
    return verifyOffThread(hash, await joined(content), key, signature).catch(() => false);
  }
  const verifying = createVerify(hash);
  for await (const part of content) verifying.update(part);
  return verifying.verify(key, signature);
}

/** What is in one piece. */
export function contentIn(octets: Uint8Array): Content {
  return {
    length: octets.length,
    async *[Symbol.asyncIterator]() {
      yield octets;
    },
  };
}

async function joined(content: Content): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of content) parts.push(part);
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
}

/** An issuer's key is asked about twice a leaf. */
const known = new WeakMap<KeyObject, SigningAlgorithm>();

/** How a key signs, by either half of it. CG_KEY_UNREADABLE for a kind certgate never signs with. */
export function signingAlgorithmOf(key: KeyObject): SigningAlgorithm {
  const before = known.get(key);
  if (before !== undefined) return before;
  const kind = keyName(key);
  const algorithm = algorithms.get(key.asymmetricKeyType === 'rsa' ? 'rsa' : kind);
  if (algorithm !== undefined) {
    known.set(key, algorithm);
    return algorithm;
  }
  throw new CertgateError('CG_KEY_UNREADABLE', {
    problem: `certgate does not sign with a key of kind ${kind}`,
    remedy:
      'use P-256, P-384, Ed25519 or RSA, e.g. `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out KEY`',
  });
}

/** `content` with its signature: SEQUENCE { content, algorithm, signature }, DER. What the signer throws. */
export async function withSignature(content: Uint8Array, signer: Signer): Promise<Uint8Array> {
  const { identifier } = signingAlgorithmOf(signer.publicKey);
  return encodeTlv(TAG.sequence, content, identifier, encodeBits(await signer.sign(content)));
}
