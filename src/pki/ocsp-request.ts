// Reads OCSP requests (RFC 6960 §4.1, nonces as RFC 9654 has them) from whoever sends them: strictly, within bounds, and
// without believing anything. A signature on a request is let pass unread, as §4.1.2 allows: everybody is answered the
// same. Whatever is not such a request is null, which the responder answers with malformedRequest; nothing is thrown.
import { createHash, type X509Certificate } from 'node:crypto';
import {
  childrenOf,
  contentOf,
  contextConstructed,
  DerFault,
  encodeOid,
  encodeTlv,
  encodeUnsigned,
  encodingOf,
  ofTag,
  readOnly,
  readUnsigned,
  TAG,
  type Tlv,
  toHex,
} from './der.ts';
import { frameOf } from './facts.ts';
import { keyBitsOf } from './public-keys.ts';
import { readAlgorithm, readExtensions, readSerial } from './structure.ts';

/** Which certificate is asked about. Hashes are lower-case hex. */
export interface CertId {
  /** The whole CertID as it came: an answer repeats it octet for octet. */
  readonly der: Uint8Array;
  /** What the issuer's name and key were hashed with; null for what this responder doesn't know, whose issuer is nobody. */
  readonly hash: 'sha1' | 'sha256' | null;
  readonly issuerNameHash: string;
  readonly issuerKeyHash: string;
  /** As the store keeps it. */
  readonly serial: string;
}

export interface OcspRequest {
  /** One to MOST_CERT_IDS. */
  readonly certIds: readonly CertId[];
  /** To be repeated in the answer, 1 to 128 octets; null when none was sent. */
  readonly nonce: Uint8Array | null;
}

const MOST_CERT_IDS = 32;
/** RFC 9654 §2.1. */
const MOST_NONCE_OCTETS = 128;
const NONCE = '1.3.6.1.5.5.7.48.1.2';
/** acceptableResponses: the basic one is what there is; preferred algorithms: a key has one; serviceLocator: no relay. */
const PASSED_OVER = ['1.3.6.1.5.5.7.48.1.4', '1.3.6.1.5.5.7.48.1.8', '1.3.6.1.5.5.7.48.1.7'];

const hashes: ReadonlyMap<string, { readonly name: 'sha1' | 'sha256'; readonly octets: number }> = new Map([
  ['1.3.14.3.2.26', { name: 'sha1', octets: 20 }],
  ['2.16.840.1.101.3.4.2.1', { name: 'sha256', octets: 32 }],
]);

/** The request in `der`; null when it is none, or one that this responder won't read. */
export function readOcspRequest(der: Uint8Array): OcspRequest | null {
  try {
    return read(der);
  } catch (error) {
    if (error instanceof DerFault) return null;
    throw error;
  }
}

function read(der: Uint8Array): OcspRequest {
  const [tbs, signature, ...others] = childrenOf(der, readOnly(der, TAG.sequence, 'request'));
  if (signature !== undefined) ofTag(signature, contextConstructed(0), 'signature');
  const parts = childrenOf(der, ofTag(tbs, TAG.sequence, 'signed part'));
  const version = parts[0]?.tag === contextConstructed(0) ? parts.shift() : undefined;
  if (version !== undefined && readUnsigned(der, childrenOf(der, version)[0], 1, 'version') !== '00') {
    throw new DerFault('version is not 1');
  }
  if (parts[0]?.tag === contextConstructed(1)) parts.shift(); // who asks
  const list = ofTag(parts.shift(), TAG.sequence, 'list of requests');
  const extensions = parts[0]?.tag === contextConstructed(2) ? parts.shift() : undefined;
  if (parts.length + others.length > 0) throw new DerFault('unexpected part in the request');
  const requests = childrenOf(der, list);
  if (requests.length === 0 || requests.length > MOST_CERT_IDS) throw new DerFault('no or too many requests');
  return {
    certIds: requests.map((request) => readOne(der, request)),
    nonce: extensions === undefined ? null : readNonce(der, extensions),
  };
}

function readOne(der: Uint8Array, request: Tlv): CertId {
  const [id, extensions, ...others] = childrenOf(der, ofTag(request, TAG.sequence, 'single request'));
  if (extensions !== undefined) refuseCritical(der, ofTag(extensions, contextConstructed(0), 'single extensions'));
  const [algorithm, name, key, serial, ...more] = childrenOf(der, ofTag(id, TAG.sequence, 'CertID'));
  if (others.length + more.length > 0) throw new DerFault('unexpected part in a single request');
  const hash = hashes.get(readAlgorithm(der, algorithm, 'hash algorithm'));
  // SHA-1 and SHA-256 have NULL or none (RFC 5754 §2): whatever else stood there would have one question asked in any number of ways.
  if (hash !== undefined) requireNoParameters(der, algorithm);
  const [nameHash, keyHash] = [name, key].map((part) => contentOf(der, ofTag(part, TAG.octetString, 'hash')));
  if (nameHash === undefined || keyHash === undefined) throw new DerFault('hash is missing');
  if (hash !== undefined && (nameHash.length !== hash.octets || keyHash.length !== hash.octets)) {
    throw new DerFault('hash is not as long as its algorithm has it');
  }
  return {
    der: encodingOf(der, ofTag(id, TAG.sequence, 'CertID')),
    hash: hash?.name ?? null,
    issuerNameHash: toHex(nameHash),
    issuerKeyHash: toHex(keyHash),
    serial: readSerial(der, serial),
  };
}

function requireNoParameters(der: Uint8Array, algorithm: Tlv | undefined): void {
  const [, parameters, ...others] = childrenOf(der, ofTag(algorithm, TAG.sequence, 'hash algorithm'));
  const isNull = parameters === undefined || (parameters.tag === TAG.null && parameters.start === parameters.end);
  if (!isNull || others.length > 0) throw new DerFault('hash algorithm has parameters');
}

/** The extensions inside [n] EXPLICIT; none of them both critical and unknown (RFC 6960 §4.4). */
function refuseCritical(der: Uint8Array, explicit: Tlv) {
  const [list, ...others] = childrenOf(der, explicit);
  if (others.length > 0) throw new DerFault('extensions are not one list');
  const extensions = readExtensions(der, list, 'extensions');
  if (extensions.some(({ oid, critical }) => critical && oid !== NONCE && !PASSED_OVER.includes(oid))) {
    throw new DerFault('a critical extension is unknown');
  }
  return extensions;
}

function readNonce(der: Uint8Array, explicit: Tlv): Uint8Array | null {
  const value = refuseCritical(der, explicit).find(({ oid }) => oid === NONCE)?.value;
  if (value === undefined) return null;
  const nonce = contentOf(value, readOnly(value, TAG.octetString, 'nonce'));
  if (nonce.length === 0 || nonce.length > MOST_NONCE_OCTETS) throw new DerFault('nonce is not of 1 to 128 octets');
  return nonce;
}

/** A request about one certificate of `issuer`, DER, without a nonce; `serial` as the store keeps it. */
export function createOcspRequest(issuer: X509Certificate, serial: string): Uint8Array {
  const { der, subject, publicKey } = frameOf(issuer);
  const hash = (octets: Uint8Array): Uint8Array =>
    encodeTlv(TAG.octetString, createHash('sha256').update(octets).digest());
  const algorithm = encodeTlv(TAG.sequence, encodeOid('2.16.840.1.101.3.4.2.1'));
  const certId = encodeTlv(
    TAG.sequence,
    algorithm,
    hash(encodingOf(der, subject)),
    hash(keyBitsOf(encodingOf(der, publicKey))),
    encodeUnsigned(Buffer.from(serial, 'hex')),
  );
  return [1, 2, 3, 4].reduce((inner: Uint8Array) => encodeTlv(TAG.sequence, inner), certId);
}

/** Whether an answer says `successful` (RFC 6960 §4.2.1), which is not yet that it is right. */
export function isSuccessful(answer: Uint8Array): boolean {
  try {
    const [status] = childrenOf(answer, readOnly(answer, TAG.sequence, 'OCSPResponse'));
    return status?.tag === TAG.enumerated && toHex(contentOf(answer, status)) === '00';
  } catch (error) {
    if (error instanceof DerFault) return false;
    throw error;
  }
}
