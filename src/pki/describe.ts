// What a certificate, a request or a CRL says, as plain values that JSON can carry: for `certgate inspect`, for people.
// Names come escaped (names.ts), numbers and hashes as lower-case hex, times as ISO 8601 in UTC. It shows odd things
// rather than hiding them, and decides nothing: what certgate makes of a certificate is factsOf's and identify's word.
import { createHash, createPublicKey, type KeyObject, type X509Certificate } from 'node:crypto';
import { CertgateError, isCertgateError, reasonOf } from '../errors.ts';
import {
  childrenOf,
  context,
  contextConstructed,
  DerFault,
  encodingOf,
  readBits,
  readBoolean,
  readOid,
  readOnly,
  readUnsigned,
  TAG,
  toHex,
} from './der.ts';
import { type CertificateFacts, factsOf, readAuthorityKeyId, readCertificate, readSubjectKeyId } from './facts.ts';
import { keyId } from './keys.ts';
import { printName, readGeneralName, type SubjectAltName, showName } from './names.ts';
import { extensionNames, keyUsageNames, purposeNames, signatureNames } from './oids.ts';
import { keyName } from './public-keys.ts';
import { readRequest } from './requests.ts';
import { type ReadExtension, readFrame } from './structure.ts';

export { type CrlDescription, describeCrl } from './describe-crl.ts';

export interface DescribedKey {
  /** `P-256`, `Ed25519`, `RSA-2048` … */
  readonly algorithm: string;
  /** RFC 5280 §4.2.1.2 (1), hex. */
  readonly id: string;
}

export interface DescribedExtension {
  readonly oid: string;
  readonly name: string | null;
  readonly critical: boolean;
  /** The extension's value, DER as hex. */
  readonly value: string;
}

export interface Fingerprints {
  /** Of the DER, hex. */
  readonly sha256: string;
  readonly sha1: string;
}

export interface CertificateDescription {
  readonly kind: 'certificate';
  /** As RFC 4514 escapes it, in the certificate's order; a value that is no text as `#` and its DER in hex. */
  readonly subject: string;
  readonly issuer: string;
  readonly serial: string;
  readonly notBefore: string;
  readonly notAfter: string;
  /** Empty when `unreadable` says why. */
  readonly subjectAltNames: readonly SubjectAltName[];
  readonly keyUsage: readonly string[];
  readonly extendedKeyUsage: readonly string[];
  readonly ca: boolean;
  readonly pathlen: number | null;
  /** Hosts that name constraints permit in URIs. */
  readonly permittedUris: readonly string[];
  readonly key: DescribedKey;
  readonly signatureAlgorithm: string;
  readonly subjectKeyId: string | null;
  readonly authorityKeyId: string | null;
  readonly fingerprints: Fingerprints;
  readonly extensions: readonly DescribedExtension[];
  /** Why certgate would not take a name from it; null when it would. */
  readonly unreadable: string | null;
}

export interface RequestDescription {
  readonly kind: 'request';
  readonly subject: string;
  readonly subjectAltNames: readonly SubjectAltName[];
  readonly key: DescribedKey;
  readonly signatureAlgorithm: string;
  readonly fingerprints: Fingerprints;
}

/** A certificate, PEM, DER or Node's object. CG_CERT_UNREADABLE, CG_PEM when its frame cannot be read at all. */
export function describeCertificate(certificate: X509Certificate | string | Uint8Array): CertificateDescription {
  const read =
    typeof certificate === 'string' || certificate instanceof Uint8Array ? readCertificate(certificate) : certificate;
  try {
    return describe(read.raw, factsOrReason(read));
  } catch (error) {
    if (!(error instanceof DerFault)) throw error;
    throw new CertgateError('CG_CERT_UNREADABLE', { problem: error.message }, { cause: error });
  }
}

/** A request whose proof of possession holds. CG_CSR_UNREADABLE, CG_CSR_KEY, CG_CSR_SIGNATURE. */
export function describeRequest(pemOrDer: string | Uint8Array): RequestDescription {
  const request = readRequest(pemOrDer);
  return {
    kind: 'request',
    subject: printName(request.subject),
    subjectAltNames: request.subjectAltNames,
    key: describeKey(request.publicKey),
    signatureAlgorithm: signatureNames.get(request.signatureAlgorithm) ?? request.signatureAlgorithm,
    fingerprints: fingerprintsOf(request.der),
  };
}

function factsOrReason(certificate: X509Certificate): CertificateFacts | string {
  try {
    return factsOf(certificate);
  } catch (error) {
    if (isCertgateError(error)) return reasonOf(error);
    throw error;
  }
}

function describe(der: Uint8Array, facts: CertificateFacts | string): CertificateDescription {
  const frame = readFrame(der);
  const constraints = readBasicConstraints(valueOfExtension(frame.extensions, '2.5.29.19'));
  return {
    kind: 'certificate',
    subject: showName(der, frame.subject, 'subject'),
    issuer: showName(der, frame.issuer, 'issuer'),
    serial: frame.serial,
    notBefore: frame.notBefore.toISOString(),
    notAfter: frame.notAfter.toISOString(),
    subjectAltNames: typeof facts === 'string' ? [] : facts.subjectAltNames,
    keyUsage: readKeyUsage(valueOfExtension(frame.extensions, '2.5.29.15')),
    extendedKeyUsage: readPurposes(valueOfExtension(frame.extensions, '2.5.29.37')),
    ...constraints,
    permittedUris: readPermittedUris(valueOfExtension(frame.extensions, '2.5.29.30')),
    key: readKey(encodingOf(der, frame.publicKey)),
    signatureAlgorithm: signatureNames.get(frame.signatureAlgorithm) ?? frame.signatureAlgorithm,
    subjectKeyId: readSubjectKeyId(frame.extensions),
    authorityKeyId: readAuthorityKeyId(frame.extensions),
    fingerprints: fingerprintsOf(der),
    extensions: frame.extensions.map(({ oid, critical, value }) => ({
      oid,
      name: extensionNames.get(oid) ?? null,
      critical,
      value: toHex(value),
    })),
    unreadable: typeof facts === 'string' ? facts : null,
  };
}

function valueOfExtension(extensions: readonly ReadExtension[], oid: string): Uint8Array | undefined {
  return extensions.find((extension) => extension.oid === oid)?.value;
}

function fingerprintsOf(der: Uint8Array): Fingerprints {
  const hash = (name: string): string => createHash(name).update(der).digest('hex');
  return { sha256: hash('sha256'), sha1: hash('sha1') };
}

function describeKey(key: KeyObject): DescribedKey {
  return { algorithm: keyName(key), id: keyId(key) };
}

function readKey(spki: Uint8Array): DescribedKey {
  try {
    return describeKey(createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' }));
  } catch (cause) {
    throw new DerFault(`public key: ${reasonOf(cause)}`, { cause });
  }
}

function readKeyUsage(value: Uint8Array | undefined): readonly string[] {
  if (value === undefined) return [];
  const { bits } = readBits(value, readOnly(value, TAG.bitString, 'keyUsage'), 'keyUsage');
  return keyUsageNames.filter((_, bit) => ((bits[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0);
}

function readPurposes(value: Uint8Array | undefined): readonly string[] {
  if (value === undefined) return [];
  return childrenOf(value, readOnly(value, TAG.sequence, 'extKeyUsage')).map((member) => {
    const oid = readOid(value, member, 'extKeyUsage');
    return purposeNames.get(oid) ?? oid;
  });
}

function readBasicConstraints(value: Uint8Array | undefined): { ca: boolean; pathlen: number | null } {
  if (value === undefined) return { ca: false, pathlen: null };
  const parts = childrenOf(value, readOnly(value, TAG.sequence, 'basicConstraints'));
  const ca = parts[0]?.tag === TAG.boolean && readBoolean(value, parts[0], 'cA');
  const pathlen = parts.at(-1)?.tag === TAG.integer ? readUnsigned(value, parts.at(-1), 4, 'pathLenConstraint') : null;
  return { ca, pathlen: pathlen === null ? null : Number.parseInt(pathlen, 16) };
}

function readPermittedUris(value: Uint8Array | undefined): readonly string[] {
  if (value === undefined) return [];
  const permitted = childrenOf(value, readOnly(value, TAG.sequence, 'nameConstraints'))
    .filter(({ tag }) => tag === contextConstructed(0))
    .flatMap((list) => childrenOf(value, list))
    .map((subtree) => childrenOf(value, subtree)[0]);
  // other kinds of names, an address with its mask among them, have shapes of their own and are shown as hex above
  return permitted.flatMap((name) =>
    name?.tag === context(6) ? [readGeneralName(value, name, 'nameConstraints').value] : [],
  );
}
