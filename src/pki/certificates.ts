// Makes the three certificates of certgate's CA (RFC 5280; SPIFFE X509-SVID for the leaves): the root, the issuer that
// the root lets issue leaves of one trust domain and nothing else, and the leaf of a client or a server. Each is made
// whole from its arguments: no clock, no file, no default that a caller could miss. It records nothing, so a leaf made
// here is not yet issued: src/authority commits its record first and hands it out after.
import { type KeyObject, randomBytes, type X509Certificate } from 'node:crypto';
import type { Extension } from '@peculiar/x509';
import { CertgateError, shown } from '../errors.ts';
import {
  checkAddress,
  checkCommonName,
  checkDnsName,
  checkSerial,
  checkTrustDomain,
  checkUri,
  checkValidity,
} from './content.ts';
import { context, contextConstructed, encodeTlv, encodingOf, TAG } from './der.ts';
import { frameOf, readCertificate, subjectKeyIdOf } from './facts.ts';
import { type KeyPair, keyId } from './keys.ts';
import { commonNameOf } from './names.ts';
import { acceptKey, spkiOf } from './public-keys.ts';
import { loadX509, signingKeyOf } from './signing.ts';

export {
  type CertificateFacts,
  factsOf,
  readCertificate,
  type SubjectAltName,
  type SubjectAttribute,
} from './facts.ts';
export { printName } from './names.ts';
export { derToPem, type PemLabel, pemBlocks, pemToDer } from './pem.ts';

/** A CA certificate with its key: what signs. `keyId` is its subject key identifier, hex. */
export interface Issuer {
  readonly certificate: X509Certificate;
  readonly privateKey: KeyObject;
  readonly keyId: string;
}

export interface RootRequest {
  readonly commonName: string;
  /** Whole seconds count; what is below is cut off. */
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly key: KeyPair;
}

export interface IssuerRequest extends RootRequest {
  readonly root: Issuer;
  /** The only trust domain whose SPIFFE IDs the issuer may certify. */
  readonly trustDomain: string;
}

export interface LeafRequest {
  readonly profile: 'client' | 'server';
  /** Left out of the subject when empty or longer than the 64 characters of RFC 5280: the SAN is then critical. */
  readonly subjectCommonName: string;
  readonly spiffeUri: string;
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
  readonly publicKey: KeyObject;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** As `newSerial` gives it. */
  readonly serial: string;
  readonly issuer: Issuer;
}

type X509 = Awaited<ReturnType<typeof loadX509>>;

const PURPOSE = { client: '1.3.6.1.5.5.7.3.2', server: '1.3.6.1.5.5.7.3.1' } as const;
const KEY_USAGE = '2.5.29.15';
const NAME_CONSTRAINTS = '2.5.29.30';
/** keyCertSign and cRLSign, bits 5 and 6 of a BIT STRING of seven (RFC 5280 §4.2.1.3), DER. */
const CERT_AND_CRL_SIGN = Uint8Array.of(TAG.bitString, 2, 1, 0b0000_0110);
const MOST_COMMON_NAME = 64; // ub-common-name, RFC 5280 appendix A

/** 128 random bits as 32 lower-case hex digits; the first octet is never 0, so that every reader prints all 32. */
export function newSerial(): string {
  const octets = randomBytes(16);
  return octets[0] === 0 ? newSerial() : octets.toString('hex');
}

/** A self-signed root, DER. CG_CERT_CONTENT for a common name or dates that RFC 5280 does not allow; CG_CSR_KEY. */
export async function createRoot(request: RootRequest): Promise<Uint8Array> {
  const x509 = await loadX509();
  const id = keyId(request.key.publicKey);
  const subject = commonNameOf(checkCommonName(request.commonName));
  return sign(x509, {
    ...request,
    subject,
    issuerName: subject,
    publicKey: request.key.publicKey,
    signer: request.key.privateKey,
    serial: newSerial(),
    extensions: [...authorityExtensions(x509), ...keyIdentifiers(x509, id, id)],
  });
}

/** An issuer under `root`, DER: path length 0, bound to one trust domain. CG_CERT_CONTENT, CG_CSR_KEY. */
export async function createIssuer(request: IssuerRequest): Promise<Uint8Array> {
  const x509 = await loadX509();
  const { root } = request;
  return sign(x509, {
    ...request,
    subject: commonNameOf(checkCommonName(request.commonName)),
    issuerName: subjectOf(root),
    publicKey: request.key.publicKey,
    signer: root.privateKey,
    serial: newSerial(),
    extensions: [
      ...authorityExtensions(x509, 0),
      onlyTrustDomain(x509, request.trustDomain),
      ...keyIdentifiers(x509, keyId(request.key.publicKey), root.keyId),
    ],
  });
}

/** A leaf, DER. CG_CERT_CONTENT for a name, serial or dates that RFC 5280 does not allow; CG_CSR_KEY for a weak key. */
export async function createLeaf(request: LeafRequest): Promise<Uint8Array> {
  const x509 = await loadX509();
  const { issuer, publicKey, subjectCommonName: commonName } = request;
  // A name cut to fit could be somebody else's: too long means left out
  const named = commonName !== '' && Array.from(commonName).length <= MOST_COMMON_NAME;
  return sign(x509, {
    ...request,
    subject: named ? commonNameOf(checkCommonName(commonName)) : encodeTlv(TAG.sequence),
    issuerName: subjectOf(issuer),
    signer: issuer.privateKey,
    serial: checkSerial(request.serial),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([PURPOSE[request.profile]], false),
      new x509.SubjectAlternativeNameExtension(alternativeNames(request), !named),
      ...keyIdentifiers(x509, keyId(publicKey), issuer.keyId),
    ],
  });
}

/**
 * Certificate and key as one that can sign.
 * @throws CG_CERT_UNREADABLE or CG_PEM; CG_CERT_CONTENT when it is no CA certificate; CG_KEY_MISMATCH
 */
export function issuerOf(certificate: string | Uint8Array, privateKey: KeyObject): Issuer {
  const read = readCertificate(certificate);
  if (!read.ca) {
    throw new CertgateError('CG_CERT_CONTENT', {
      problem: `the certificate of ${shown(read.subject)} is no CA's`,
      remedy: 'give the issuer certificate that `certgate init` wrote, certs/issuer.crt',
    });
  }
  if (!read.checkPrivateKey(privateKey)) throw new CertgateError('CG_KEY_MISMATCH', { subject: read.subject });
  return { certificate: read, privateKey, keyId: subjectKeyIdOf(read) ?? keyId(read.publicKey) };
}

interface Signable {
  readonly subject: Uint8Array;
  readonly issuerName: Uint8Array;
  readonly publicKey: KeyObject;
  readonly signer: KeyObject;
  readonly serial: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly extensions: Extension[];
}

async function sign(x509: X509, content: Signable): Promise<Uint8Array> {
  const { key, algorithm } = signingKeyOf(content.signer);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: content.serial,
    subject: new x509.Name(content.subject),
    issuer: new x509.Name(content.issuerName),
    ...checkValidity(content.notBefore, content.notAfter),
    publicKey: spkiOf(acceptKey(content.publicKey)),
    signingKey: key,
    signingAlgorithm: algorithm,
    extensions: content.extensions,
  });
  return new Uint8Array(certificate.rawData);
}

function authorityExtensions(x509: X509, pathlen?: number): Extension[] {
  return [
    new x509.BasicConstraintsExtension(true, pathlen, true),
    new x509.Extension(KEY_USAGE, true, CERT_AND_CRL_SIGN),
  ];
}

/** On every certificate, the root too; never critical (RFC 5280 §4.2.1.1, §4.2.1.2). */
function keyIdentifiers(x509: X509, subject: string, authority: string): Extension[] {
  return [new x509.SubjectKeyIdentifierExtension(subject), new x509.AuthorityKeyIdentifierExtension(authority)];
}

/**
 * Permits URIs of the trust domain only; DNS names and addresses stay free, for the gates' own certificates. Not critical,
 * though RFC 5280 §4.2.1.10 wants that: Chromium 156 knows no URI constraints and refuses the gate's certificate
 * (ERR_CERT_INVALID) if they are critical. Measured not critical: OpenSSL 3.0 -x509_strict, Python's ssl with
 * VERIFY_X509_STRICT, Go 1.26 and Java 17 enforce it; Chromium, NSS and GnuTLS pass over it. Only pyca/cryptography's own
 * x509.verification, which no TLS stack uses, refuses URI constraints of either kind ("unsupported name constraint").
 */
function onlyTrustDomain(x509: X509, trustDomain: string): Extension {
  const host = encodeTlv(context(6), Buffer.from(checkTrustDomain(trustDomain), 'ascii'));
  const permitted = encodeTlv(contextConstructed(0), encodeTlv(TAG.sequence, host));
  return new x509.Extension(NAME_CONSTRAINTS, false, encodeTlv(TAG.sequence, permitted));
}

function alternativeNames({ spiffeUri, dns = [], ip = [] }: LeafRequest) {
  return [
    { type: 'url' as const, value: checkUri(spiffeUri) },
    ...[...new Set(dns)].map((value) => ({ type: 'dns' as const, value: checkDnsName(value) })),
    ...[...new Set(ip.map(checkAddress))].map((value) => ({ type: 'ip' as const, value })),
  ];
}

/** The issuer's subject octet by octet: verifiers compare names as bytes. */
function subjectOf(issuer: Issuer): Uint8Array {
  const frame = frameOf(issuer.certificate);
  return encodingOf(frame.der, frame.subject);
}
