// Makes the three certificates of certgate's CA (RFC 5280; SPIFFE X509-SVID for the leaves): the root, the issuer that
// the root lets issue leaves of one trust domain and nothing else, and the leaf of a client or a server. Each is made
// whole from its arguments: no clock, no file, no default that a caller could miss. It records nothing, so a leaf made
// here is not yet issued: src/authority commits its record first and hands it out after.
import { type KeyObject, randomFillSync, type X509Certificate } from 'node:crypto';
import { CertgateError, shown } from '../errors.ts';
import {
  checkAddress,
  checkCommonName,
  checkDnsName,
  checkSerial,
  checkTrustDomain,
  checkUnit,
  checkUri,
  checkValidity,
} from './content.ts';
import { contextConstructed, encodeTime, encodeTlv, encodeUnsigned, encodingOf, TAG } from './der.ts';
import {
  authorityKeyIdentifier,
  basicConstraints,
  EXTENDED_KEY_USAGE,
  KEY_USAGE,
  keyIdentifiers,
  NO_CA,
  onlyTrustDomain,
  type StatusUrls,
  statusPointers,
  subjectAltName,
  subjectKeyIdentifier,
} from './extensions.ts';
import { frameOf, readCertificate, type SubjectAttribute } from './facts.ts';
import { type KeyPair, keyId, keyIdOf } from './keys.ts';
import { commonNameOf } from './names.ts';
import { acceptKey, spkiOf } from './public-keys.ts';
import { type Signer, signerOf, signingAlgorithmOf, withSignature } from './signing.ts';

export type { StatusUrls } from './extensions.ts';
export {
  type CertificateFacts,
  factsOf,
  readCertificate,
  type SubjectAltName,
  type SubjectAttribute,
} from './facts.ts';
export { printName } from './names.ts';
export { derToPem, type PemLabel, pemBlocks, pemToDer } from './pem.ts';
export { type Signer, signerOf } from './signing.ts';

/** A CA certificate with what signs in its name. `keyId` is its subject key identifier, hex. */
export interface Issuer {
  readonly certificate: X509Certificate;
  readonly signer: Signer;
  readonly keyId: string;
}

interface CaRequest {
  readonly commonName: string;
  /** Whole seconds count; what is below is cut off. */
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export interface RootRequest extends CaRequest {
  readonly key: KeyPair;
}

export interface IssuerRequest extends CaRequest {
  readonly key: { readonly publicKey: KeyObject };
  readonly root: Issuer;
  /** The only trust domain whose SPIFFE IDs the issuer may certify. */
  readonly trustDomain: string;
}

export interface LeafRequest {
  readonly profile: 'client' | 'server';
  /** Left out of the subject when empty or longer than the 64 characters of RFC 5280: the SAN is then critical. */
  readonly subjectCommonName: string;
  /** Organizational units: one OU of the subject for each. */
  readonly units?: readonly string[];
  /** Not in a server's certificate that has other names: see subjectAltName. */
  readonly spiffeUri: string;
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
  readonly publicKey: KeyObject;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** As `newSerial` gives it. */
  readonly serial: string;
  readonly issuer: Issuer;
  /** Where it says that its revocation and its issuer can be found; it says nothing when left out. */
  readonly status?: StatusUrls;
}

/** Version 3, [0] EXPLICIT. */
const VERSION = encodeTlv(contextConstructed(0), encodeUnsigned(Uint8Array.of(2)));
const MOST_COMMON_NAME = 64; // ub-common-name, RFC 5280 appendix A

/** Random octets for the next serial numbers, none used twice: asked for one by one they take as long as 4 KiB at once. */
const random = Buffer.alloc(4096);
let used = random.length;

/** 128 random bits as 32 lower-case hex digits; the first octet is never 0, so that every reader prints all 32. */
export function newSerial(): string {
  if (used === random.length) {
    randomFillSync(random);
    used = 0;
  }
  const octets = random.subarray(used, used + 16);
  used += 16;
  return octets[0] === 0 ? newSerial() : octets.toString('hex');
}

/** A self-signed root, DER. CG_CERT_CONTENT for a common name or dates that RFC 5280 does not allow; CG_CSR_KEY. */
export async function createRoot(request: RootRequest): Promise<Uint8Array> {
  const id = keyId(request.key.publicKey);
  const subject = commonNameOf(checkCommonName(request.commonName));
  return write({
    ...request,
    subject,
    issuerName: subject,
    publicKey: request.key.publicKey,
    signer: signerOf(request.key.privateKey),
    serial: newSerial(),
    extensions: [basicConstraints(null), KEY_USAGE.certificatesAndCrls, ...keyIdentifiers(id, id)],
  });
}

/** An issuer under `root`, DER: path length 0, bound to one trust domain. CG_CERT_CONTENT, CG_CSR_KEY. */
export async function createIssuer(request: IssuerRequest): Promise<Uint8Array> {
  const { root } = request;
  return write({
    ...request,
    subject: commonNameOf(checkCommonName(request.commonName)),
    issuerName: subjectOf(root),
    publicKey: request.key.publicKey,
    signer: root.signer,
    serial: newSerial(),
    extensions: [
      basicConstraints(0),
      KEY_USAGE.certificatesCrlsAndOcsp,
      onlyTrustDomain(checkTrustDomain(request.trustDomain)),
      ...keyIdentifiers(keyId(request.key.publicKey), root.keyId),
    ],
  });
}

/** The subject that `createLeaf` writes: a name cut to fit could be somebody else's, so too long means left out. */
export function leafSubject(commonName: string, units: readonly string[] = []): readonly SubjectAttribute[] {
  const named = commonName !== '' && Array.from(commonName).length <= MOST_COMMON_NAME;
  return [...(named ? [['CN', commonName] as const] : []), ...units.map((unit) => ['OU', unit] as const)];
}

/** A leaf, DER. CG_CERT_CONTENT for a name, serial or dates that RFC 5280 does not allow; CG_CSR_KEY for a weak key. */
export async function createLeaf(request: LeafRequest): Promise<Uint8Array> {
  const {
    issuer,
    publicKey,
    subjectCommonName: commonName,
    spiffeUri,
    dns = [],
    ip = [],
    units = [],
    status,
  } = request;
  const subject = leafSubject(commonName, units);
  const named = subject[0]?.[0] === 'CN';
  const uri = checkUri(spiffeUri);
  const hasHosts = dns.length + ip.length > 0;
  const names = {
    uri: request.profile === 'server' && hasHosts ? null : uri,
    dns: [...new Set(dns)].map(checkDnsName),
    ip: [...new Set(ip.map(checkAddress))],
  };
  return write({
    ...request,
    subject: commonNameOf(named ? checkCommonName(commonName) : '', units.map(checkUnit)),
    issuerName: subjectOf(issuer),
    signer: issuer.signer,
    serial: checkSerial(request.serial),
    extensions: [
      NO_CA,
      KEY_USAGE.digitalSignature,
      EXTENDED_KEY_USAGE[request.profile],
      subjectAltName(names, subject.length === 0),
      subjectKeyIdentifier(keyId(publicKey)),
      authorityOf(issuer),
      ...(status === undefined ? [] : statusPointers(status)),
    ],
  });
}

/**
 * Certificate and signer as one.
 * @throws CG_CERT_UNREADABLE or CG_PEM; CG_CERT_CONTENT when it is no CA certificate; CG_KEY_MISMATCH
 */
export function issuerOf(certificate: string | Uint8Array, signer: Signer): Issuer {
  const read = readCertificate(certificate);
  if (!read.ca) {
    throw new CertgateError('CG_CERT_CONTENT', {
      problem: `the certificate of ${shown(read.subject)} is no CA's`,
      remedy: 'give the issuer certificate that `certgate init` wrote, certs/issuer.crt',
    });
  }
  if (!read.publicKey.equals(signer.publicKey)) throw new CertgateError('CG_KEY_MISMATCH', { subject: read.subject });
  return { certificate: read, signer, keyId: keyIdOf(read) };
}

interface Content {
  readonly subject: Uint8Array;
  readonly issuerName: Uint8Array;
  readonly publicKey: KeyObject;
  readonly signer: Signer;
  readonly serial: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly extensions: readonly Uint8Array[];
}

/** The TBSCertificate of RFC 5280 §4.1 in its order, signed. */
function write(content: Content): Promise<Uint8Array> {
  const { notBefore, notAfter } = checkValidity(content.notBefore, content.notAfter);
  const tbs = encodeTlv(
    TAG.sequence,
    VERSION,
    encodeUnsigned(Buffer.from(content.serial, 'hex')),
    signingAlgorithmOf(content.signer.publicKey).identifier,
    content.issuerName,
    encodeTlv(TAG.sequence, encodeTime(notBefore), encodeTime(notAfter)),
    content.subject,
    spkiOf(acceptKey(content.publicKey)),
    encodeTlv(contextConstructed(3), encodeTlv(TAG.sequence, ...content.extensions)),
  );
  return withSignature(tbs, content.signer);
}

/** An issuer says the same of itself in each leaf. */
const authorities = new WeakMap<Issuer, Uint8Array>();

function authorityOf(issuer: Issuer): Uint8Array {
  let identifier = authorities.get(issuer);
  if (identifier === undefined) {
    identifier = authorityKeyIdentifier(issuer.keyId);
    authorities.set(issuer, identifier);
  }
  return identifier;
}

/** The issuer's subject octet by octet: verifiers compare names as bytes. */
function subjectOf(issuer: Issuer): Uint8Array {
  const frame = frameOf(issuer.certificate);
  return encodingOf(frame.der, frame.subject);
}
