// What a certificate revocation list says (RFC 5280 §5), as plain values for `certgate inspect`. Its signature is not
// checked here: a list that certgate acts on is its own.
import { CertgateError, isCertgateError } from '../errors.ts';
import {
  childrenOf,
  contentOf,
  contextConstructed,
  DerFault,
  ofTag,
  readOnly,
  readTime,
  readUnsigned,
  TAG,
  type Tlv,
} from './der.ts';
import { readAuthorityKeyId } from './facts.ts';
import { printName, readName } from './names.ts';
import { reasonNames, signatureNames } from './oids.ts';
import { derOf } from './pem.ts';
import { type ReadExtension, readAlgorithm, readExtensions, readSerial, readSigned } from './structure.ts';

export interface CrlDescription {
  readonly kind: 'crl';
  readonly issuer: string;
  readonly thisUpdate: string;
  readonly nextUpdate: string | null;
  /** CRL number, hex. */
  readonly number: string | null;
  readonly authorityKeyId: string | null;
  readonly signatureAlgorithm: string;
  /** How many certificates it revokes. */
  readonly revoked: number;
  /** The first 1,000 of them. */
  readonly entries: readonly RevokedEntry[];
}

export interface RevokedEntry {
  readonly serial: string;
  readonly revokedAt: string;
  readonly reason: string | null;
}

const MOST_ENTRIES = 1000;
const CRL_NUMBER = '2.5.29.20';
const REASON_CODE = '2.5.29.21';

/** A CRL, PEM or DER. CG_CRL_UNREADABLE. */
export function describeCrl(pemOrDer: string | Uint8Array): CrlDescription {
  try {
    return describe(derOf(pemOrDer, 'X509 CRL'));
  } catch (error) {
    if (error instanceof DerFault || isCertgateError(error, 'CG_PEM')) {
      throw new CertgateError('CG_CRL_UNREADABLE', { problem: error.message }, { cause: error });
    }
    throw error;
  }
}

function describe(der: Uint8Array): CrlDescription {
  const { tbs, algorithm } = readSigned(der, 'revocation list');
  const parts = childrenOf(der, tbs);
  const at = parts[0]?.tag === TAG.integer ? 1 : 0;
  const [, issuer, thisUpdate, ...rest] = parts.slice(at);
  const next = rest[0]?.tag === TAG.utcTime || rest[0]?.tag === TAG.generalizedTime ? rest.shift() : undefined;
  const list = rest[0]?.tag === TAG.sequence ? rest.shift() : undefined;
  const tail = rest[0]?.tag === contextConstructed(0) ? rest.shift() : undefined;
  if (rest.length > 0) throw new DerFault('unexpected part in the list');
  const extensions = tail === undefined ? [] : readExtensions(der, childrenOf(der, tail)[0], 'extensions');
  const revoked = list === undefined ? [] : childrenOf(der, list);
  const signature = readAlgorithm(der, algorithm, 'signature algorithm');
  return {
    kind: 'crl',
    issuer: printName(readName(der, issuer, 'issuer')),
    thisUpdate: readTime(der, thisUpdate, 'thisUpdate').toISOString(),
    nextUpdate: next === undefined ? null : readTime(der, next, 'nextUpdate').toISOString(),
    number: readNumber(extensions),
    authorityKeyId: readAuthorityKeyId(extensions),
    signatureAlgorithm: signatureNames.get(signature) ?? signature,
    revoked: revoked.length,
    entries: revoked.slice(0, MOST_ENTRIES).map((entry) => readEntry(der, entry)),
  };
}

function readNumber(extensions: readonly ReadExtension[]): string | null {
  const value = extensions.find(({ oid }) => oid === CRL_NUMBER)?.value;
  return value === undefined ? null : readUnsigned(value, readOnly(value, TAG.integer, 'CRL number'), 21, 'CRL number');
}

function readEntry(der: Uint8Array, entry: Tlv): RevokedEntry {
  const [serial, time, extensions] = childrenOf(der, ofTag(entry, TAG.sequence, 'entry'));
  const read = extensions === undefined ? [] : readExtensions(der, extensions, 'entry extensions');
  const code = read.find(({ oid }) => oid === REASON_CODE)?.value;
  return {
    serial: readSerial(der, serial),
    revokedAt: readTime(der, time, 'revocationDate').toISOString(),
    reason: code === undefined ? null : reasonOf(code),
  };
}

function reasonOf(value: Uint8Array): string {
  const [number = 0] = contentOf(value, readOnly(value, TAG.enumerated, 'reasonCode'));
  return reasonNames.get(number) ?? String(number);
}
