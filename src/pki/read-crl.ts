// Reads a certificate revocation list (RFC 5280 §5) that something is to be done by: whose it is, its number, every entry,
// and whether a given key signed it. Strict where leniency would forget a revocation: a critical extension that is not
// known here (§5.2: a delta, an indirect list), an entry of another issuer, two algorithms that differ, all make it
// unreadable. No clock: whether a list is old is for the caller to say. src/pki/crl.ts writes lists.
import { type KeyObject, verify } from 'node:crypto';
import { CertgateError, isCertgateError } from '../errors.ts';
import {
  childrenOf,
  contentOf,
  contextConstructed,
  DerFault,
  encodingOf,
  ofTag,
  readOctets,
  readOnly,
  readTime,
  readUnsigned,
  TAG,
  type Tlv,
  toHex,
} from './der.ts';
import { readAuthorityKeyId } from './facts.ts';
import { reasonNames } from './oids.ts';
import { derOf } from './pem.ts';
import { type ReadExtension, readAlgorithm, readExtensions, readSerial, readSigned } from './structure.ts';

const CRL_NUMBER = '2.5.29.20';
const REASON_CODE = '2.5.29.21';
const ISSUING_DISTRIBUTION_POINT = '2.5.29.28';
/** The hash of each signature algorithm that certgate's keys sign with; null where the algorithm has its own. */
const HASHES: ReadonlyMap<string, string | null> = new Map([
  ['1.2.840.10045.4.3.2', 'sha256'],
  ['1.2.840.10045.4.3.3', 'sha384'],
  ['1.2.840.113549.1.1.11', 'sha256'],
  ['1.3.101.112', null],
]);

/** The frame of a list: positions, and what is small. */
export interface CrlFrame {
  readonly der: Uint8Array;
  readonly tbs: Tlv;
  readonly signatureAlgorithm: string;
  readonly signature: Tlv;
  readonly issuer: Tlv;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date | null;
  readonly revoked: readonly Tlv[];
  readonly extensions: readonly ReadExtension[];
  /** CRL number, hex of whole octets. */
  readonly number: string | null;
  /** Hex. */
  readonly authorityKeyId: string | null;
}

export interface CrlEntry {
  /** Lower-case hex of whole octets, as the store keeps it. */
  readonly serial: string;
  readonly revokedAt: Date;
  /** As RFC 5280 §5.3.1 spells it; null when the entry says none. */
  readonly reason: string | null;
}

export interface ReadCrl {
  readonly frame: CrlFrame;
  /** The issuer's name, hex of its DER: names are compared as octets. */
  readonly issuer: string;
  /** CRL number; null when the list has none. */
  readonly number: bigint | null;
  readonly entries: readonly CrlEntry[];
}

/** A whole list, PEM or DER, with all of its entries. Its signature is not checked: see `isSignedBy`. CG_CRL_UNREADABLE. */
export function readCrl(pemOrDer: string | Uint8Array): ReadCrl {
  return unlessUnreadable(() => {
    const frame = readCrlFrame(derOf(pemOrDer, 'X509 CRL'));
    const [first, second] = childrenOf(frame.der, frame.tbs);
    // The version is there exactly when there are extensions (§5.1.2.1).
    const inner = readAlgorithm(frame.der, first?.tag === TAG.integer ? second : first, 'inner signature algorithm');
    if (inner !== frame.signatureAlgorithm) throw new DerFault('the two signature algorithms differ');
    requireKnown(frame.extensions, [ISSUING_DISTRIBUTION_POINT], 'the list');
    return {
      frame,
      issuer: toHex(encodingOf(frame.der, frame.issuer)),
      number: frame.number === null ? null : BigInt(`0x${frame.number}`),
      entries: frame.revoked.map((entry) => readEntry(frame.der, entry, true)),
    };
  });
}

/** Whether `key` signed the list, by one of the algorithms that certgate signs with. */
export function isSignedBy({ frame }: Pick<ReadCrl, 'frame'>, key: KeyObject): boolean {
  const hash = HASHES.get(frame.signatureAlgorithm);
  if (hash === undefined) return false;
  try {
    return verify(hash, encodingOf(frame.der, frame.tbs), key, readOctets(frame.der, frame.signature, 'signature'));
  } catch {
    return false; // a key of another kind than the algorithm's, or a signature that does not end with an octet
  }
}

/** The frame of a list in DER. DerFault. */
export function readCrlFrame(der: Uint8Array): CrlFrame {
  const { tbs, algorithm, signature } = readSigned(der, 'revocation list');
  const parts = childrenOf(der, tbs);
  const [, issuer, thisUpdate, ...rest] = parts.slice(parts[0]?.tag === TAG.integer ? 1 : 0);
  const next = rest[0]?.tag === TAG.utcTime || rest[0]?.tag === TAG.generalizedTime ? rest.shift() : undefined;
  const list = rest[0]?.tag === TAG.sequence ? rest.shift() : undefined;
  const tail = rest[0]?.tag === contextConstructed(0) ? rest.shift() : undefined;
  if (rest.length > 0) throw new DerFault('unexpected part in the list');
  const extensions = tail === undefined ? [] : readExtensions(der, childrenOf(der, tail)[0], 'extensions');
  const number = extensions.find(({ oid }) => oid === CRL_NUMBER)?.value;
  return {
    der,
    tbs,
    signatureAlgorithm: readAlgorithm(der, algorithm, 'signature algorithm'),
    signature,
    issuer: ofTag(issuer, TAG.sequence, 'issuer'),
    thisUpdate: readTime(der, thisUpdate, 'thisUpdate'),
    nextUpdate: next === undefined ? null : readTime(der, next, 'nextUpdate'),
    revoked: list === undefined ? [] : childrenOf(der, list),
    extensions,
    number:
      number === undefined ? null : readUnsigned(number, readOnly(number, TAG.integer, 'CRL number'), 21, 'CRL number'),
    authorityKeyId: readAuthorityKeyId(extensions),
  };
}

/** One of the frame's `revoked`, to be shown. DerFault. */
export function readCrlEntry(der: Uint8Array, entry: Tlv): CrlEntry {
  return readEntry(der, entry, false);
}

function readEntry(der: Uint8Array, entry: Tlv, strict: boolean): CrlEntry {
  const [serial, time, extensions, ...rest] = childrenOf(der, ofTag(entry, TAG.sequence, 'entry'));
  if (rest.length > 0) throw new DerFault('unexpected part in an entry');
  const read = extensions === undefined ? [] : readExtensions(der, extensions, 'entry extensions');
  // certificateIssuer, above all: the entry would be about another CA's certificate.
  if (strict) requireKnown(read, [], 'an entry');
  const code = read.find(({ oid }) => oid === REASON_CODE)?.value;
  return {
    serial: readSerial(der, serial),
    revokedAt: readTime(der, time, 'revocationDate'),
    reason: code === undefined ? null : reasonIn(code),
  };
}

function reasonIn(value: Uint8Array): string {
  const [number = 0] = contentOf(value, readOnly(value, TAG.enumerated, 'reasonCode'));
  return reasonNames.get(number) ?? String(number);
}

function requireKnown(extensions: readonly ReadExtension[], known: readonly string[], what: string): void {
  const odd = extensions.find(({ oid, critical }) => critical && !known.includes(oid));
  if (odd !== undefined) throw new DerFault(`${what} has the critical extension ${odd.oid}, which is not known here`);
}

/** What `read` finds unreadable, as CG_CRL_UNREADABLE. */
export function unlessUnreadable<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof DerFault || isCertgateError(error, 'CG_PEM')) {
      throw new CertgateError('CG_CRL_UNREADABLE', { problem: error.message }, { cause: error });
    }
    throw error;
  }
}
