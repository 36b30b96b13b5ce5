// Writes the extensions of certgate's own certificates, revocation lists and OCSP answers (RFC 5280 §4.2, §5.2, §5.3),
// DER: only these, and each in only the forms that certgate issues. Content is checked by whoever calls (content.ts);
// nothing here can fail for what a person wrote.
import { context, contextConstructed, encodeBits, encodeOid, encodeTlv, encodeUnsigned, TAG } from './der.ts';

const TRUE = Uint8Array.of(TAG.boolean, 1, 0xff);

/** What a leaf says is the same for each but its names and keys: encoded once. */
const OID = {
  subjectKeyId: encodeOid('2.5.29.14'),
  keyUsage: encodeOid('2.5.29.15'),
  subjectAltName: encodeOid('2.5.29.17'),
  basicConstraints: encodeOid('2.5.29.19'),
  crlNumber: encodeOid('2.5.29.20'),
  reasonCode: encodeOid('2.5.29.21'),
  issuingDistributionPoint: encodeOid('2.5.29.28'),
  nameConstraints: encodeOid('2.5.29.30'),
  crlDistributionPoints: encodeOid('2.5.29.31'),
  authorityKeyId: encodeOid('2.5.29.35'),
  extendedKeyUsage: encodeOid('2.5.29.37'),
  authorityInfoAccess: encodeOid('1.3.6.1.5.5.7.1.1'),
  ocsp: encodeOid('1.3.6.1.5.5.7.48.1'),
  ocspNonce: encodeOid('1.3.6.1.5.5.7.48.1.2'),
  caIssuers: encodeOid('1.3.6.1.5.5.7.48.2'),
} as const;

/** Critical is written only when true: FALSE is the default, and DER writes no defaults (X.690 §11.5). */
function extension(oid: Uint8Array, critical: boolean, value: Uint8Array): Uint8Array {
  const octets = encodeTlv(TAG.octetString, value);
  return critical ? encodeTlv(TAG.sequence, oid, TRUE, octets) : encodeTlv(TAG.sequence, oid, octets);
}

/** Always critical. A CA may have a path length, null for any. */
export function basicConstraints(pathlen: number | null): Uint8Array {
  const length = pathlen === null ? [] : [encodeUnsigned(Uint8Array.of(pathlen))];
  return extension(OID.basicConstraints, true, encodeTlv(TAG.sequence, TRUE, ...length));
}

/** Of what is no CA. */
export const NO_CA = extension(OID.basicConstraints, true, encodeTlv(TAG.sequence));

const usage = (bits: number, unused: number): Uint8Array =>
  extension(OID.keyUsage, true, encodeBits(Uint8Array.of(bits), unused));

/**
 * Always critical: bits 0, 5 and 6 of RFC 5280 §4.2.1.3. A root signs certificates and CRLs, an issuer OCSP answers too, which
 * are neither and so take bit 0, a leaf handshakes.
 */
export const KEY_USAGE = {
  certificatesAndCrls: usage(0x06, 1),
  certificatesCrlsAndOcsp: usage(0x86, 1),
  digitalSignature: usage(0x80, 7),
} as const;

const purpose = (oid: string): Uint8Array =>
  extension(OID.extendedKeyUsage, false, encodeTlv(TAG.sequence, encodeOid(oid)));

export const EXTENDED_KEY_USAGE = {
  client: purpose('1.3.6.1.5.5.7.3.2'),
  server: purpose('1.3.6.1.5.5.7.3.1'),
} as const;

/**
 * A URI, then DNS names, then addresses in the form that checkAddress gives. A gate's certificate has no URI: webpki (rustls)
 * from 0.103.12 on refuses each that an issuer with a URI constraint has signed, and with it every client in Rust did the gate.
 */
export function subjectAltName(
  { uri, dns, ip }: { readonly uri: string | null; readonly dns: readonly string[]; readonly ip: readonly string[] },
  critical: boolean,
): Uint8Array {
  const names = [
    ...(uri === null ? [] : [encodeTlv(context(6), Buffer.from(uri, 'latin1'))]),
    ...dns.map((name) => encodeTlv(context(2), Buffer.from(name, 'latin1'))),
    ...ip.map((address) => encodeTlv(context(7), addressOctets(address))),
  ];
  return extension(OID.subjectAltName, critical, encodeTlv(TAG.sequence, ...names));
}

/** On every certificate, the root too; never critical (RFC 5280 §4.2.1.1, §4.2.1.2). Identifiers are hex. */
export function keyIdentifiers(subject: string, authority: string): readonly Uint8Array[] {
  return [subjectKeyIdentifier(subject), authorityKeyIdentifier(authority)];
}

/** The key itself, by its identifier, hex. */
export function subjectKeyIdentifier(keyId: string): Uint8Array {
  return extension(OID.subjectKeyId, false, encodeTlv(TAG.octetString, Buffer.from(keyId, 'hex')));
}

/** The key that signed, by its identifier, hex. */
export function authorityKeyIdentifier(keyId: string): Uint8Array {
  return extension(
    OID.authorityKeyId,
    false,
    encodeTlv(TAG.sequence, encodeTlv(context(0), Buffer.from(keyId, 'hex'))),
  );
}

/** Where the state of a leaf can be asked for, and the certificate that issued it; URLs in ASCII, plain http. */
export interface StatusUrls {
  readonly crl: string;
  readonly ocsp: string;
  readonly caIssuers: string;
}

/** cRLDistributionPoints and authorityInfoAccess (RFC 5280 §4.2.1.13, §4.2.2.1). Never critical. */
export function statusPointers({ crl, ocsp, caIssuers }: StatusUrls): readonly Uint8Array[] {
  const access = (method: Uint8Array, url: string) => encodeTlv(TAG.sequence, method, uriName(url));
  return [
    extension(
      OID.crlDistributionPoints,
      false,
      encodeTlv(TAG.sequence, encodeTlv(TAG.sequence, distributionPointName(crl))),
    ),
    extension(
      OID.authorityInfoAccess,
      false,
      encodeTlv(TAG.sequence, access(OID.ocsp, ocsp), access(OID.caIssuers, caIssuers)),
    ),
  ];
}

/** CRL number (RFC 5280 §5.2.3), a positive safe integer. */
export function crlNumber(number: number): Uint8Array {
  const hex = number.toString(16);
  return extension(OID.crlNumber, false, encodeUnsigned(Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')));
}

/** The one URL that a list is published at, and that it is about leaves only; critical (RFC 5280 §5.2.5). */
export function issuingDistributionPoint(url: string): Uint8Array {
  const onlyUserCertificates = encodeTlv(context(1), Uint8Array.of(0xff));
  return extension(
    OID.issuingDistributionPoint,
    true,
    encodeTlv(TAG.sequence, distributionPointName(url), onlyUserCertificates),
  );
}

/** Why an entry is on a list, by number (RFC 5280 §5.3.1). */
export function reasonCode(code: number): Uint8Array {
  return extension(OID.reasonCode, false, encodeTlv(TAG.enumerated, Uint8Array.of(code)));
}

/** The nonce of an OCSP answer (RFC 9654 §2.1): an OCTET STRING inside the extension's own. */
export function ocspNonce(nonce: Uint8Array): Uint8Array {
  return extension(OID.ocspNonce, false, encodeTlv(TAG.octetString, nonce));
}

/** DistributionPointName: its field is EXPLICIT, as that of every CHOICE, and fullName is [0] in it. */
function distributionPointName(url: string): Uint8Array {
  return encodeTlv(contextConstructed(0), encodeTlv(contextConstructed(0), uriName(url)));
}

function uriName(url: string): Uint8Array {
  return encodeTlv(context(6), Buffer.from(url, 'latin1'));
}

/**
 * Permits URIs of the trust domain only; DNS names and addresses stay free, for the gates' own certificates. Not critical,
 * though RFC 5280 §4.2.1.10 wants that: Chromium 156 knows no URI constraints and refuses the gate's certificate
 * (ERR_CERT_INVALID) if they are critical. Measured not critical: OpenSSL 3.0 -x509_strict, Python's ssl with
 * VERIFY_X509_STRICT, Go 1.26 and Java 17 enforce it; Chromium, NSS and GnuTLS pass over it. Only pyca/cryptography's own
 * x509.verification, which no TLS stack uses, refuses URI constraints of either kind ("unsupported name constraint").
 */
export function onlyTrustDomain(trustDomain: string): Uint8Array {
  const host = encodeTlv(context(6), Buffer.from(trustDomain, 'ascii'));
  const permitted = encodeTlv(contextConstructed(0), encodeTlv(TAG.sequence, host));
  return extension(OID.nameConstraints, false, encodeTlv(TAG.sequence, permitted));
}

/** Four or sixteen octets. `address` is IPv4 with dots, or IPv6 as RFC 5952 writes it, without dots. */
function addressOctets(address: string): Uint8Array {
  if (!address.includes(':')) return Uint8Array.from(address.split('.').map(Number));
  const [before = [], after] = address
    .split('::')
    .map((half) => (half === '' ? [] : half.split(':').map((group) => Number.parseInt(group, 16))));
  const zeros = Array.from({ length: 8 - before.length - (after?.length ?? 0) }, () => 0);
  return Uint8Array.from([...before, ...zeros, ...(after ?? [])].flatMap((group) => [group >> 8, group & 0xff]));
}
