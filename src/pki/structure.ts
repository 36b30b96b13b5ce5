// The frame of a certificate (RFC 5280 §4.1), read strictly from its DER: which octets are the subject, the key, which
// the extensions. It gives positions, not meanings; facts.ts and describe.ts read those. An extension that occurs
// twice (§4.2 forbids it, and verifiers disagree on which one counts) makes the certificate unreadable.
import {
  childrenOf,
  contentOf,
  contextConstructed,
  DerFault,
  ofTag,
  readBoolean,
  readOid,
  readOnly,
  readTime,
  readUnsigned,
  TAG,
  type Tlv,
} from './der.ts';

export interface ReadExtension {
  readonly oid: string;
  readonly critical: boolean;
  /** What the OCTET STRING holds: the DER of the extension's value. */
  readonly value: Uint8Array;
}

export interface CertificateFrame {
  readonly der: Uint8Array;
  readonly version: number;
  /** Lower-case hex of whole octets, no sign octet. */
  readonly serial: string;
  readonly signatureAlgorithm: string;
  readonly issuer: Tlv;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly subject: Tlv;
  readonly publicKey: Tlv;
  readonly extensions: readonly ReadExtension[];
}

/** The Extensions inside the SEQUENCE `tlv`; no OID twice. */
export function readExtensions(bytes: Uint8Array, tlv: Tlv | undefined, what: string): ReadExtension[] {
  const extensions: ReadExtension[] = [];
  for (const member of childrenOf(bytes, ofTag(tlv, TAG.sequence, what))) {
    const parts = childrenOf(bytes, ofTag(member, TAG.sequence, `${what} member`));
    const oid = readOid(bytes, parts[0], `${what} member`);
    const flag = parts.length === 3 ? parts[1] : undefined;
    const value = parts.at(-1);
    if (parts.length > 3) throw new DerFault(`extension ${oid} has ${parts.length} parts`);
    if (extensions.some((other) => other.oid === oid)) throw new DerFault(`extension ${oid} occurs twice`);
    extensions.push({
      oid,
      critical: flag !== undefined && readBoolean(bytes, flag, `criticality of extension ${oid}`),
      value: contentOf(bytes, ofTag(value, TAG.octetString, `extension ${oid}`)),
    });
  }
  return extensions;
}

/** The OID of an AlgorithmIdentifier. */
export function readAlgorithm(bytes: Uint8Array, tlv: Tlv | undefined, what: string): string {
  return readOid(bytes, childrenOf(bytes, ofTag(tlv, TAG.sequence, what))[0], what);
}

/** The three parts of anything signed: what is signed, the algorithm, the signature. */
export function readSigned(der: Uint8Array, what: string): { tbs: Tlv; algorithm: Tlv; signature: Tlv } {
  const [tbs, algorithm, signature, ...rest] = childrenOf(der, readOnly(der, TAG.sequence, what));
  if (rest.length > 0) throw new DerFault(`${what} has more than three parts`);
  return {
    tbs: ofTag(tbs, TAG.sequence, `signed part of the ${what}`),
    algorithm: ofTag(algorithm, TAG.sequence, 'signature algorithm'),
    signature: ofTag(signature, TAG.bitString, 'signature'),
  };
}

/** Serial numbers have at most 20 octets, the sign octet counted (RFC 5280 §4.1.2.2). */
export function readSerial(bytes: Uint8Array, tlv: Tlv | undefined): string {
  return readUnsigned(bytes, tlv, 20, 'serial number');
}

/** The frame of one certificate in DER. DerFault. */
export function readFrame(der: Uint8Array): CertificateFrame {
  const { tbs, algorithm } = readSigned(der, 'certificate');
  const parts = childrenOf(der, tbs);
  const version = parts[0]?.tag === contextConstructed(0) ? readVersion(der, parts.shift()) : 1;
  const [serial, inner, issuer, validity, subject, publicKey, ...rest] = parts;
  if (readAlgorithm(der, inner, 'inner signature algorithm') !== readAlgorithm(der, algorithm, 'signature algorithm')) {
    throw new DerFault('the two signature algorithms differ');
  }
  const times = childrenOf(der, ofTag(validity, TAG.sequence, 'validity'));
  if (times.length !== 2) throw new DerFault('validity is not two times');
  return {
    der,
    version,
    serial: readSerial(der, serial),
    signatureAlgorithm: readAlgorithm(der, algorithm, 'signature algorithm'),
    issuer: ofTag(issuer, TAG.sequence, 'issuer'),
    notBefore: readTime(der, times[0], 'notBefore'),
    notAfter: readTime(der, times[1], 'notAfter'),
    subject: ofTag(subject, TAG.sequence, 'subject'),
    publicKey: ofTag(publicKey, TAG.sequence, 'public key'),
    extensions: readTail(der, rest, version),
  };
}

function readVersion(der: Uint8Array, tlv: Tlv | undefined): number {
  const [number, ...rest] = childrenOf(der, ofTag(tlv, contextConstructed(0), 'version'));
  const version = Number.parseInt(readUnsigned(der, number, 1, 'version'), 16) + 1;
  if (rest.length > 0 || version < 2 || version > 3) throw new DerFault('version is neither 2 nor 3');
  return version;
}

/** What may follow the key: issuerUniqueID, subjectUniqueID (never read), extensions; each at most once, in order. */
function readTail(der: Uint8Array, rest: readonly Tlv[], version: number): readonly ReadExtension[] {
  let last = 0;
  let extensions: readonly ReadExtension[] = [];
  for (const tlv of rest) {
    const number = tlv.tag & 0x1f;
    if ((tlv.tag & 0xc0) !== 0x80 || number <= last || number > 3)
      throw new DerFault('unexpected part after the public key');
    last = number;
    if (number < 3) continue;
    const inside = childrenOf(der, ofTag(tlv, contextConstructed(3), 'extensions'));
    if (inside.length !== 1 || version !== 3)
      throw new DerFault('extensions are not one list in a version 3 certificate');
    extensions = readExtensions(der, inside[0], 'extensions');
  }
  return extensions;
}
