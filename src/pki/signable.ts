// What a signer that keeps the issuer's key apart from the gate is willing to sign, so that a gate in wrong hands gets no
// more out of it than a gate may have: a leaf of the trust domain for a limited time (RFC 5280 §4.1), a CRL (§5.1), an
// OCSP answer (RFC 6960 §4.2.1), a request for the issuer's own key (RFC 2986 §4.1), a trust bundle that it was shown, a
// checkpoint of the audit record or the retirement of its oldest files.
// All of it must be read to the last octet, name this issuer and be of now; what is none of these, or says more, is
// refused. It can't tell whether a leaf was recorded, or whether somebody is revoked: that stays the gate's word.
import { createHash, type KeyObject, type X509Certificate } from 'node:crypto';
import { CertgateError, isCertgateError, shown } from '../errors.ts';
import { AUDIT_STATEMENTS, readAuditStatement, readRetirementStatement } from './audit-statement.ts';
import { readBundleStatement } from './bundle-signature.ts';
import {
  childrenOf,
  contentOf,
  context,
  contextConstructed,
  DerFault,
  encodeTlv,
  encodingOf,
  ofTag,
  readBits,
  readBoolean,
  readOid,
  readOnly,
  readTime,
  readUnsigned,
  TAG,
  type Tlv,
  toHex,
} from './der.ts';
import { frameOf, readAuthorityKeyId, readSubjectAltNames } from './facts.ts';
import { keyId } from './keys.ts';
import { constraintsOf, permittedHosts } from './name-constraints.ts';
import { readName } from './names.ts';
import { keyBitsOf, readPublicKey, spkiOf } from './public-keys.ts';
import { signingAlgorithmOf } from './signing.ts';
import { type CertificateFrame, type ReadExtension, readAlgorithm, readExtensions, readFrame } from './structure.ts';

/** For whom and what a key signs. */
export interface SignerRules {
  readonly publicKey: KeyObject;
  /** The issuer's; without one, only requests are signed. */
  readonly certificate: X509Certificate | null;
  readonly trustDomains: readonly string[];
  /** Longest life of a leaf, ms. */
  readonly maxTtl: number;
  /** SHA-256 of the trust bundles that may be vouched for, hex. */
  readonly bundles: readonly string[];
}

/** What was asked to be signed, for the log. */
export interface Signable {
  readonly kind: 'certificate' | 'crl' | 'ocsp' | 'request' | 'bundle' | 'checkpoint' | 'retirement';
  readonly serial?: string;
  /** URIs, DNS names and addresses of a leaf. */
  readonly names?: readonly string[];
  readonly notAfter?: string;
  /** Of a CRL or an OCSP answer: how many certificates it speaks of; of a statement about the record: how many lines that has. */
  readonly entries?: number;
}

/** Leaves are backdated by a minute; clocks differ a little, and what waits is signed a little later, ms. */
const BACKDATED = 60_000;
const SLACK = 300_000;
/** How long a CRL or an OCSP answer may be good for, ms. */
const MOST_FRESH = 31 * 86_400_000;
/** CRLs and OCSP answers are of now, or of a state a little older, ms. */
const MOST_AGE = 3_600_000;
/** How far ahead the clock may have been by which the CA was last changed, ms. */
const MOST_AHEAD = 86_400_000;
/** subjectKeyIdentifier, keyUsage, subjectAltName, basicConstraints, CRL points, policies, AKI, EKU, AIA. */
const LEAF_EXTENSIONS: readonly string[] = [
  ...['2.5.29.14', '2.5.29.15', '2.5.29.17', '2.5.29.19', '2.5.29.31', '2.5.29.32', '2.5.29.35', '2.5.29.37'],
  '1.3.6.1.5.5.7.1.1',
];
/** The name, and the groups. */
const SUBJECT: readonly string[] = ['CN', 'OU'];
const BUNDLE = Buffer.from('certgate trust bundle', 'latin1');
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
/** Server, client. Never OCSP signing: who had that could say of every certificate what he likes, without asking here. */
const LEAF_PURPOSES: readonly string[] = [SERVER_AUTH, '1.3.6.1.5.5.7.3.2'];

/**
 * What `content` is, when `rules` let it be signed at `now` (ms since the epoch).
 * @throws CG_SIGNER_REFUSED
 */
export function judgeSignable(content: Uint8Array, rules: SignerRules, now: number): Signable {
  try {
    if (isBundleStatement(content)) return judgeBundle(content, rules, now);
    if (isAuditStatement(content)) return judgeAuditStatement(content, rules, now);
    const parts = childrenOf(content, readOnly(content, TAG.sequence, 'content'));
    const [first, second] = parts;
    if (first?.tag === TAG.integer && readUnsigned(content, first, 1, 'version') === '00') {
      return judgeRequest(content, parts, rules);
    }
    const certificate = rules.certificate;
    if (certificate === null) throw new DerFault('without a certificate of the issuer only requests are signed');
    const issuer = issuerOf(certificate, rules);
    if (first?.tag === contextConstructed(0) && second?.tag === TAG.integer) {
      return judgeLeaf(content, parts, rules, issuer, now);
    }
    if (first?.tag === TAG.integer) return judgeCrl(content, parts, issuer, now);
    return judgeOcsp(content, parts, rules, issuer, now);
  } catch (error) {
    if (error instanceof DerFault || isCertgateError(error, 'CG_CSR_KEY')) {
      throw new CertgateError('CG_SIGNER_REFUSED', { problem: error.message }, { cause: error });
    }
    throw error;
  }
}

/** Whether `content` would vouch for a trust bundle (bundle-signature.ts), whichever. */
export function isBundleStatement(content: Uint8Array): boolean {
  return Buffer.from(content).subarray(0, BUNDLE.length).equals(BUNDLE);
}

/**
 * Only a hash is to be seen: a bundle that this signer was not shown could hold anybody's root. Its number is a time: one
 * that is far off would have the sidecars refuse all bundles until then.
 */
function judgeBundle(content: Uint8Array, { bundles }: SignerRules, now: number): Signable {
  const asked = readBundleStatement(content);
  if (asked !== null && bundles.includes(asked.bundleId)) {
    if (asked.number <= now + MOST_AHEAD) return { kind: 'bundle' };
    throw new DerFault(`it numbers the trust bundle ${asked.number}, a time to come`);
  }
  throw new DerFault("it vouches for a trust bundle that is not the one here: copy the CA's ca.crt to the signer");
}

function isAuditStatement(content: Uint8Array): boolean {
  const text = Buffer.from(content.subarray(0, 64)).toString('latin1');
  return AUDIT_STATEMENTS.some((beginning) => text.startsWith(beginning));
}

/** Of this issuer, this trust domain and now: one of another time would cover up what was cut off since. */
function judgeAuditStatement(content: Uint8Array, rules: SignerRules, now: number): Signable {
  const checkpoint = readAuditStatement(content);
  const asked = checkpoint ?? readRetirementStatement(content);
  if (asked === null) throw new DerFault('it is no statement about the audit record of this version');
  const what = checkpoint === null ? 'retirement' : 'checkpoint';
  if (rules.certificate === null || asked.issuer !== issuerOf(rules.certificate, rules).keyId) {
    throw new DerFault(`the ${what} names another issuer`);
  }
  if (!rules.trustDomains.includes(asked.trustDomain)) {
    throw new DerFault(`the ${what} is of ${shown(asked.trustDomain)}, not of ${rules.trustDomains.join(', ')}`);
  }
  if (Math.abs(asked.time - now) > SLACK) throw new DerFault(`the ${what} is of ${asked.time}, which is not now`);
  return { kind: what, entries: asked.record.seq };
}

/** The trust domains that an issuer's certificate permits; none when it has no constraint. CG_CERT_UNREADABLE. */
export function trustDomainsOf(certificate: X509Certificate): readonly string[] {
  const constraints = constraintsOf(certificate);
  return constraints === null ? [] : permittedHosts(constraints);
}

interface OwnIssuer {
  readonly name: Uint8Array;
  readonly keyId: string;
  /** The AlgorithmIdentifier that the key signs with. */
  readonly algorithm: Uint8Array;
}

function issuerOf(certificate: X509Certificate, { publicKey }: SignerRules): OwnIssuer {
  const { der, subject, extensions } = frameOf(certificate);
  const own = extensions.find(({ oid }) => oid === '2.5.29.14')?.value;
  return {
    name: encodingOf(der, subject),
    keyId:
      own === undefined ? keyId(publicKey) : toHex(contentOf(own, readOnly(own, TAG.octetString, 'key identifier'))),
    algorithm: signingAlgorithmOf(publicKey).identifier,
  };
}

function judgeLeaf(
  tbs: Uint8Array,
  parts: readonly Tlv[],
  { trustDomains, maxTtl }: SignerRules,
  issuer: OwnIssuer,
  now: number,
): Signable {
  const algorithm = encodingOf(tbs, ofTag(parts[2], TAG.sequence, 'signature algorithm'));
  // A certificate's frame is read with its signature: this one has none yet.
  const frame = readFrame(encodeTlv(TAG.sequence, tbs, algorithm, encodeTlv(TAG.bitString, Uint8Array.of(0))));
  requireSame(algorithm, issuer.algorithm, 'its algorithm is not that of the key');
  requireSame(encodingOf(frame.der, frame.issuer), issuer.name, 'it names another issuer');
  if (frame.version !== 3) throw new DerFault('it is not of version 3');
  requireOwnKeyId(frame.extensions, issuer);
  requireExtensions(frame.extensions);
  const other = readName(frame.der, frame.subject, 'subject').find(([attribute]) => !SUBJECT.includes(attribute));
  if (other !== undefined) throw new DerFault(`its subject has what leaves have not: ${other[0]}`);
  readPublicKey(encodingOf(frame.der, frame.publicKey));
  const names = requireNames(frame, trustDomains);
  const [from, until] = [frame.notBefore.getTime(), frame.notAfter.getTime()];
  if (until - from > maxTtl + BACKDATED || until > now + maxTtl + SLACK) {
    const latest = new Date(now + maxTtl).toISOString();
    throw new DerFault(
      `it is good until ${frame.notAfter.toISOString()}, and leaves are until ${latest} at most: --max-ttl`,
    );
  }
  if (until <= from || from > now + SLACK || from < now - BACKDATED - SLACK) {
    throw new DerFault(`it begins at ${frame.notBefore.toISOString()}, which is not now`);
  }
  return { kind: 'certificate', serial: frame.serial, names, notAfter: frame.notAfter.toISOString() };
}

function requireExtensions(extensions: readonly ReadExtension[]): void {
  const odd = extensions.find(({ oid }) => !LEAF_EXTENSIONS.includes(oid));
  if (odd !== undefined) throw new DerFault(`it has an extension that leaves have not: ${odd.oid}`);
  const constraints = extensionValue(extensions, '2.5.29.19');
  if (constraints !== null) {
    const [ca] = childrenOf(constraints, readOnly(constraints, TAG.sequence, 'basicConstraints'));
    if (ca !== undefined && (ca.tag !== TAG.boolean || readBoolean(constraints, ca, 'cA'))) {
      throw new DerFault('it is the certificate of a CA');
    }
  }
  const usage = extensionValue(extensions, '2.5.29.15');
  if (usage === null) throw new DerFault('it has no key usage');
  const { bits } = readBits(usage, readOnly(usage, TAG.bitString, 'keyUsage'), 'keyUsage');
  // Bits 5 and 6: keyCertSign and cRLSign.
  if (((bits[0] ?? 0) & 0x06) !== 0) throw new DerFault('its key may sign certificates or CRLs');
  const purposes = extensionValue(extensions, '2.5.29.37');
  if (purposes === null) throw new DerFault('it has no extended key usage');
  const oids = childrenOf(purposes, readOnly(purposes, TAG.sequence, 'extKeyUsage'));
  for (const tlv of oids) {
    const oid = readOid(purposes, tlv, 'extKeyUsage');
    if (!LEAF_PURPOSES.includes(oid)) throw new DerFault(`it is for a purpose that leaves have not: ${oid}`);
  }
  if (oids.length === 0) throw new DerFault('it has no purpose');
}

function isForServersOnly(extensions: readonly ReadExtension[]): boolean {
  const purposes = extensionValue(extensions, '2.5.29.37');
  if (purposes === null) return false;
  const oids = childrenOf(purposes, readOnly(purposes, TAG.sequence, 'extKeyUsage'));
  return oids.every((tlv) => readOid(purposes, tlv, 'extKeyUsage') === SERVER_AUTH);
}

function requireNames(frame: CertificateFrame, trustDomains: readonly string[]): readonly string[] {
  const names = readSubjectAltNames(frame.extensions);
  const uris = names.filter(({ type }) => type === 'URI');
  // A server's has none, but for those that certgate made before.
  const fewest = isForServersOnly(frame.extensions) && names.length > 0 ? 0 : 1;
  if (uris.length < fewest || uris.length > 1) throw new DerFault(`it has ${uris.length} URIs, not one`);
  for (const { type, value } of names) {
    if (type === 'DNS' || type === 'IP') continue;
    if (type !== 'URI') throw new DerFault(`it has a name that leaves have not: ${type}`);
    if (!trustDomains.some((domain) => value.startsWith(`spiffe://${domain}/`))) {
      throw new DerFault(`${shown(value)} is not of the trust domain ${trustDomains.join(', ')}`);
    }
  }
  return names.map(({ value }) => value);
}

/** TBSCertList, RFC 5280 §5.1. */
function judgeCrl(tbs: Uint8Array, parts: readonly Tlv[], issuer: OwnIssuer, now: number): Signable {
  const rest = [...parts];
  if (readUnsigned(tbs, rest.shift(), 1, 'version') !== '01') throw new DerFault('it is no CRL of version 2');
  const algorithm = ofTag(rest.shift(), TAG.sequence, 'signature algorithm');
  requireSame(encodingOf(tbs, algorithm), issuer.algorithm, 'its algorithm is not that of the key');
  const name = ofTag(rest.shift(), TAG.sequence, 'issuer');
  requireSame(encodingOf(tbs, name), issuer.name, 'it names another issuer');
  requireFresh(readTime(tbs, rest.shift(), 'thisUpdate'), readTime(tbs, rest.shift(), 'nextUpdate'), now);
  const revoked = rest[0]?.tag === TAG.sequence ? rest.shift() : undefined;
  const entries = revoked === undefined ? [] : childrenOf(tbs, revoked);
  for (const entry of entries) ofTag(entry, TAG.sequence, 'entry');
  const [list, ...others] = childrenOf(tbs, ofTag(rest.shift(), contextConstructed(0), 'extensions'));
  if (others.length + rest.length > 0) throw new DerFault('something stands after its extensions');
  requireOwnKeyId(readExtensions(tbs, list, 'extensions'), issuer);
  return { kind: 'crl', entries: entries.length };
}

/** ResponseData, RFC 6960 §4.2.1. */
function judgeOcsp(
  data: Uint8Array,
  parts: readonly Tlv[],
  { publicKey }: SignerRules,
  issuer: OwnIssuer,
  now: number,
): Signable {
  const rest = [...parts];
  const responder = rest.shift();
  const keyBits = keyBitsOf(spkiOf(publicKey));
  const hash = (name: string): string => createHash(name).update(keyBits).digest('hex');
  if (responder?.tag === contextConstructed(1)) {
    const [name] = childrenOf(data, responder);
    requireSame(name === undefined ? new Uint8Array() : encodingOf(data, name), issuer.name, 'another one answers');
  } else {
    const [key] = childrenOf(data, ofTag(responder, contextConstructed(2), 'responder'));
    const digest = toHex(contentOf(data, ofTag(key, TAG.octetString, 'hash of the responder')));
    if (digest !== hash('sha1')) throw new DerFault('another one answers');
  }
  const producedAt = readTime(data, ofTag(rest.shift(), TAG.generalizedTime, 'producedAt'), 'producedAt');
  requireFresh(producedAt, null, now);
  const answers = childrenOf(data, ofTag(rest.shift(), TAG.sequence, 'answers'));
  for (const answer of answers) {
    const [id, status, thisUpdate, nextUpdate, ...more] = childrenOf(data, ofTag(answer, TAG.sequence, 'answer'));
    // Anybody's certificate may be unknown; to call one good or revoked is only for its issuer.
    if (status?.tag !== context(2)) requireOwnCertificate(data, id, hash);
    // Without one it is good for ever, to OpenSSL for one.
    const [until, ...others] = childrenOf(data, ofTag(nextUpdate, contextConstructed(0), 'nextUpdate'));
    if (more.length + others.length > 0) throw new DerFault('something stands after nextUpdate');
    requireFresh(readTime(data, thisUpdate, 'thisUpdate'), readTime(data, until, 'nextUpdate'), now);
  }
  const extensions = rest.shift();
  if (extensions !== undefined) {
    readExtensions(data, childrenOf(data, ofTag(extensions, contextConstructed(1), 'extensions'))[0], 'extensions');
  }
  if (rest.length > 0) throw new DerFault('something stands after its extensions');
  return { kind: 'ocsp', entries: answers.length };
}

function requireOwnCertificate(data: Uint8Array, id: Tlv | undefined, hash: (name: string) => string): void {
  const [algorithm, , keyHash] = childrenOf(data, ofTag(id, TAG.sequence, 'certificate asked about'));
  const oid = readAlgorithm(data, algorithm, 'hash');
  const name = oid === '1.3.14.3.2.26' ? 'sha1' : oid === '2.16.840.1.101.3.4.2.1' ? 'sha256' : null;
  const digest = toHex(contentOf(data, ofTag(keyHash, TAG.octetString, "hash of the issuer's key")));
  if (name === null || digest !== hash(name)) throw new DerFault('it speaks of a certificate of another issuer');
}

/** CertificationRequestInfo, RFC 2986 §4.1: only for the key itself. */
function judgeRequest(info: Uint8Array, parts: readonly Tlv[], { publicKey }: SignerRules): Signable {
  const [, subject, spki, attributes, ...rest] = parts;
  ofTag(subject, TAG.sequence, 'subject');
  ofTag(attributes, contextConstructed(0), 'attributes');
  const own = spkiOf(publicKey);
  requireSame(encodingOf(info, ofTag(spki, TAG.sequence, 'public key')), own, 'it asks for another key');
  if (rest.length > 0) throw new DerFault('something stands after its attributes');
  return { kind: 'request' };
}

function requireFresh(from: Date, until: Date | null, now: number): void {
  if (Math.abs(from.getTime() - now) > MOST_AGE) throw new DerFault(`it is of ${from.toISOString()}, not of now`);
  if (until !== null && (until.getTime() < from.getTime() || until.getTime() > now + MOST_FRESH)) {
    throw new DerFault(`it is good until ${until.toISOString()}`);
  }
}

function requireOwnKeyId(extensions: readonly ReadExtension[], issuer: OwnIssuer): void {
  if (readAuthorityKeyId(extensions) !== issuer.keyId) throw new DerFault("it names another issuer's key");
}

function extensionValue(extensions: readonly ReadExtension[], wanted: string): Uint8Array | null {
  return extensions.find(({ oid }) => oid === wanted)?.value ?? null;
}

function requireSame(found: Uint8Array, wanted: Uint8Array, problem: string): void {
  if (!Buffer.from(found).equals(wanted)) throw new DerFault(problem);
}
