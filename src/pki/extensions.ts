// Writes the extensions of certgate's own certificates, revocation lists and OCSP answers (RFC 5280 §4.2, §5.2, §5.3),
// DER: only these, and each in only the forms that certgate issues. Content is checked by whoever calls (content.ts);
// nothing here can fail for what a person wrote.
import { context, contextConstructed, encodeBits, encodeOid, encodeTlv, encodeUnsigned, TAG } from './der.ts';

const TRUE = Uint8Array.of(TAG.boolean, 1, 0xff);
const PURPOSE = { client: '1.3.6.1.5.5.7.3.2', server: '1.3.6.1.5.5.7.3.1' } as const;

/** Critical is written only when true: FALSE is the default, and DER writes no defaults (X.690 §11.5). */
function extension(oid: string, critical: boolean, value: Uint8Array): Uint8Array {
  const flag = critical ? [TRUE] : [];
  return encodeTlv(TAG.sequence, encodeOid(oid), ...flag, encodeTlv(TAG.octetString, value));
}

/** Always critical. A CA may have a path length; null for any, or for a leaf. */
export function basicConstraints(ca: boolean, pathlen: number | null): Uint8Array {
  const length = pathlen === null ? [] : [encodeUnsigned(Uint8Array.of(pathlen))];
  return extension('2.5.29.19', true, encodeTlv(TAG.sequence, ...(ca ? [TRUE] : []), ...length));
}

/** Bits 0, 5 and 6 of RFC 5280 §4.2.1.3. An OCSP answer is neither a certificate nor a CRL, so it takes bit 0. */
const USAGES = {
  certificatesAndCrls: encodeBits(Uint8Array.of(0x06), 1),
  certificatesCrlsAndOcsp: encodeBits(Uint8Array.of(0x86), 1),
  digitalSignature: encodeBits(Uint8Array.of(0x80), 7),
} as const;

/** Always critical. A root signs certificates and CRLs, an issuer OCSP answers too, a leaf handshakes. */
export function keyUsage(use: keyof typeof USAGES): Uint8Array {
  return extension('2.5.29.15', true, USAGES[use]);
}

export function extendedKeyUsage(profile: keyof typeof PURPOSE): Uint8Array {
  return extension('2.5.29.37', false, encodeTlv(TAG.sequence, encodeOid(PURPOSE[profile])));
}

/** A URI, then DNS names, then addresses in the form that checkAddress gives. */
export function subjectAltName(
  { uri, dns, ip }: { readonly uri: string; readonly dns: readonly string[]; readonly ip: readonly string[] },
  critical: boolean,
): Uint8Array {
  const names = [
    encodeTlv(context(6), Buffer.from(uri, 'latin1')),
    ...dns.map((name) => encodeTlv(context(2), Buffer.from(name, 'latin1'))),
    ...ip.map((address) => encodeTlv(context(7), addressOctets(address))),
  ];
  return extension('2.5.29.17', critical, encodeTlv(TAG.sequence, ...names));
}

/** On every certificate, the root too; never critical (RFC 5280 §4.2.1.1, §4.2.1.2). Identifiers are hex. */
export function keyIdentifiers(subject: string, authority: string): readonly Uint8Array[] {
  return [
    extension('2.5.29.14', false, encodeTlv(TAG.octetString, Buffer.from(subject, 'hex'))),
    authorityKeyIdentifier(authority),
  ];
}

/** The key that signed, by its identifier, hex. */
export function authorityKeyIdentifier(keyId: string): Uint8Array {
  return extension('2.5.29.35', false, encodeTlv(TAG.sequence, encodeTlv(context(0), Buffer.from(keyId, 'hex'))));
}

/** Where the state of a leaf can be asked for, and the certificate that issued it; URLs in ASCII, plain http. */
export interface StatusUrls {
  readonly crl: string;
  readonly ocsp: string;
  readonly caIssuers: string;
}

/** cRLDistributionPoints and authorityInfoAccess (RFC 5280 §4.2.1.13, §4.2.2.1). Never critical. */
export function statusPointers({ crl, ocsp, caIssuers }: StatusUrls): readonly Uint8Array[] {
  const access = (method: string, url: string) => encodeTlv(TAG.sequence, encodeOid(method), uriName(url));
  return [
    extension('2.5.29.31', false, encodeTlv(TAG.sequence, encodeTlv(TAG.sequence, distributionPointName(crl)))),
    extension(
      '1.3.6.1.5.5.7.1.1',
      false,
      encodeTlv(TAG.sequence, access('1.3.6.1.5.5.7.48.1', ocsp), access('1.3.6.1.5.5.7.48.2', caIssuers)),
    ),
  ];
}

/** CRL number (RFC 5280 §5.2.3), a positive safe integer. */
export function crlNumber(number: number): Uint8Array {
  const hex = number.toString(16);
  return extension('2.5.29.20', false, encodeUnsigned(Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')));
}

/** The one URL that a list is published at, and that it is about leaves only; critical (RFC 5280 §5.2.5). */
export function issuingDistributionPoint(url: string): Uint8Array {
  const onlyUserCertificates = encodeTlv(context(1), Uint8Array.of(0xff));
  return extension('2.5.29.28', true, encodeTlv(TAG.sequence, distributionPointName(url), onlyUserCertificates));
}

/** Why an entry is on a list, by number (RFC 5280 §5.3.1). */
export function reasonCode(code: number): Uint8Array {
  return extension('2.5.29.21', false, encodeTlv(TAG.enumerated, Uint8Array.of(code)));
}

/** The nonce of an OCSP answer (RFC 9654 §2.1): an OCTET STRING inside the extension's own. */
export function ocspNonce(nonce: Uint8Array): Uint8Array {
  return extension('1.3.6.1.5.5.7.48.1.2', false, encodeTlv(TAG.octetString, nonce));
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
  return extension('2.5.29.30', false, encodeTlv(TAG.sequence, permitted));
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
