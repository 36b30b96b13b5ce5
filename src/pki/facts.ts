// What a certificate says about whom it speaks for, read from its own octets (der.ts, names.ts) and not from the
// strings that Node or OpenSSL print: those quote, escape and join, and a comma, a NUL or a newline in a value has
// before now turned one name into two (CVE-2021-44532, CVE-2021-44533). A certificate of which any part concerned here
// can be read in two ways is refused whole. It verifies nothing: the chain is OpenSSL's to verify, before this.
import { X509Certificate } from 'node:crypto';
import { CertgateError } from '../errors.ts';
import { childrenOf, contentOf, context, DerFault, ofTag, readOnly, TAG, toHex } from './der.ts';
import { readGeneralNames, readName, type SubjectAltName, type SubjectAttribute } from './names.ts';
import { derOf, pemBlocks } from './pem.ts';
import { type CertificateFrame, type ReadExtension, readFrame } from './structure.ts';

export type { SubjectAltName, SubjectAttribute } from './names.ts';

/** The shape that src/identity decides on. */
export interface CertificateFacts {
  /** In the certificate's order, values exactly as written. */
  readonly subject: readonly SubjectAttribute[];
  readonly subjectAltNames: readonly SubjectAltName[];
  /** Lower-case hex of whole octets, no sign octet: what `newSerial` gives and the store keeps. */
  readonly serial: string;
  /** The authority key identifier, lower-case hex; empty when the certificate has none. */
  readonly issuer: string;
}

const SUBJECT_ALT_NAME = '2.5.29.17';
const AUTHORITY_KEY_ID = '2.5.29.35';
const SUBJECT_KEY_ID = '2.5.29.14';

/**
 * Subject, SANs, serial and issuer of a certificate that the TLS layer has verified. Some 8 µs.
 * @throws CG_CERT_UNREADABLE when it is not strict DER, repeats an extension, or has a name that is no text
 */
export function factsOf(certificate: X509Certificate): CertificateFacts {
  return readFacts(certificate.raw);
}

/** The same from the certificate's DER, whether OpenSSL would take it or not. CG_CERT_UNREADABLE. */
export function readFacts(der: Uint8Array): CertificateFacts {
  return unlessFaulty(() => {
    const frame = readFrame(der);
    return {
      subject: readName(der, frame.subject, 'subject'),
      subjectAltNames: readSubjectAltNames(frame.extensions),
      serial: frame.serial,
      issuer: readAuthorityKeyId(frame.extensions) ?? '',
    };
  });
}

/** One certificate, PEM or DER, as Node's object. CG_CERT_UNREADABLE; CG_PEM when it is text without one such block. */
export function readCertificate(pemOrDer: string | Uint8Array): X509Certificate {
  const der = derOf(pemOrDer, 'CERTIFICATE');
  return unlessFaulty(() => {
    readOnly(der, TAG.sequence, 'certificate'); // Node would also take PEM here, and anything after the certificate
    try {
      return new X509Certificate(der);
    } catch (cause) {
      readFrame(der); // says what is wrong, where OpenSSL's last word is that it is no PEM either
      throw new DerFault('OpenSSL does not take it for a certificate', { cause });
    }
  });
}

/** All certificates of a PEM text, in order, at least one. CG_PEM, CG_CERT_UNREADABLE. */
export function readCertificates(pem: string): readonly X509Certificate[] {
  return pemBlocks(pem, 'CERTIFICATE').map((der) => readCertificate(der));
}

/** A certificate never changes, and an issuer's is asked for with each leaf. */
const frames = new WeakMap<X509Certificate, CertificateFrame>();

/** The frame of a certificate. CG_CERT_UNREADABLE. */
export function frameOf(certificate: X509Certificate): CertificateFrame {
  let frame = frames.get(certificate);
  if (frame === undefined) {
    frame = unlessFaulty(() => readFrame(certificate.raw));
    frames.set(certificate, frame);
  }
  return frame;
}

/** The SANs among `extensions`, none when there is no such extension. DerFault. */
export function readSubjectAltNames(extensions: readonly ReadExtension[]): readonly SubjectAltName[] {
  const value = extensions.find(({ oid }) => oid === SUBJECT_ALT_NAME)?.value;
  if (value === undefined) return [];
  return readGeneralNames(value, readOnly(value, TAG.sequence, 'subjectAltName'), 'subjectAltName');
}

/** The keyIdentifier of the authority key identifier among `extensions`, hex. DerFault. */
export function readAuthorityKeyId(extensions: readonly ReadExtension[]): string | null {
  const value = extensions.find(({ oid }) => oid === AUTHORITY_KEY_ID)?.value;
  if (value === undefined) return null;
  const [id] = childrenOf(value, readOnly(value, TAG.sequence, 'authorityKeyIdentifier'));
  if (id?.tag !== context(0)) return null; // issuer and serial instead of a key: legal, and of no use here
  return toHex(contentOf(value, ofTag(id, context(0), 'authorityKeyIdentifier')));
}

/** SHA-256 of the DER, lower-case hex. */
export function fingerprintOf({ fingerprint256 }: X509Certificate): string {
  return fingerprint256.replaceAll(':', '').toLowerCase();
}

/** The subject key identifier of a certificate, hex; null when it has none. CG_CERT_UNREADABLE. */
export function subjectKeyIdOf(certificate: X509Certificate): string | null {
  return unlessFaulty(() => readSubjectKeyId(readFrame(certificate.raw).extensions));
}

/** The subject key identifier among `extensions`, hex. DerFault. */
export function readSubjectKeyId(extensions: readonly ReadExtension[]): string | null {
  const value = extensions.find(({ oid }) => oid === SUBJECT_KEY_ID)?.value;
  return value === undefined ? null : toHex(contentOf(value, readOnly(value, TAG.octetString, 'subjectKeyIdentifier')));
}

/** What `read` answers; a DerFault in it is CG_CERT_UNREADABLE. */
export function unlessFaulty<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof DerFault)
      throw new CertgateError('CG_CERT_UNREADABLE', { problem: error.message }, { cause: error });
    throw error;
  }
}
