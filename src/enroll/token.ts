// A one-time token as the one string that a person carries to a new machine: where the gate is, which CA it must have, for
// whom it is, and the secret. It begins with its version and ends with a checksum, so that a mangled paste is told from a
// wrong token before anybody is asked. Only the id and the secret's hash are kept; both halves travel to the gate, as a
// `TokenCredential`, over a connection that the fingerprint has vouched for. No message ever carries the secret.
import { createHash, hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { CertgateError } from '../errors.ts';
import { isIdentityName, kindOf } from '../identity/name.ts';

const PREFIX = 'cgt1_';
const ID_OCTETS = 8;
const SECRET_OCTETS = 32;
const FINGERPRINT_OCTETS = 32;
const CHECKSUM_OCTETS = 4;
const FIXED = ID_OCTETS + SECRET_OCTETS + FINGERPRINT_OCTETS;
/** Characters: an address and a name at their longest are below it. */
const LONGEST = 1_024;

export interface Token {
  /** 16 hex digits, no secret. */
  readonly id: string;
  readonly secret: Uint8Array;
  /** SHA-256 of the root's DER, hex. */
  readonly rootFingerprint: string;
  /** `https://host:port`. */
  readonly gate: string;
  /** An identity, or a pattern of them. */
  readonly subject: string;
}

/** A new token for `subject`. The words of all parts are the caller's to check. */
export function newToken(about: Pick<Token, 'rootFingerprint' | 'gate' | 'subject'>): Token {
  return { ...about, id: randomBytes(ID_OCTETS).toString('hex'), secret: new Uint8Array(randomBytes(SECRET_OCTETS)) };
}

/** The string for people. */
export function writeToken({ id, secret, rootFingerprint, gate, subject }: Token): string {
  const content = Buffer.concat([
    Buffer.from(id, 'hex'),
    secret,
    Buffer.from(rootFingerprint, 'hex'),
    Buffer.from(`${gate}\n${subject}`, 'ascii'),
  ]);
  return PREFIX + Buffer.concat([content, checksumOf(content)]).toString('base64url');
}

/** Reads it; whitespace around it is nobody's fault. CG_TOKEN says whether it is none, cut short, mangled or too new. */
export function readToken(text: string): Token {
  const written = text.trim();
  const version = /^cgt(\d+)_/.exec(written)?.[1];
  if (version === undefined) {
    if (/^eyJ[\w-]*\.[\w-]+\.[\w-]*$/.test(written))
      throw none('it is an identity token (JWT)', 'give it by --identity-token-file FILE, with --gate and --ca');
    throw none('it does not begin with cgt1_', 'copy all that `certgate token create` printed');
  }
  if (`cgt${version}_` !== PREFIX) throw none('it is of a later version', 'update certgate on this machine');
  const again = 'copy it again, whole and without line breaks';
  const encoded = written.slice(PREFIX.length);
  const octets = Buffer.from(encoded, 'base64url');
  const content = octets.subarray(0, -CHECKSUM_OCTETS);
  const isWhole =
    written.length <= LONGEST &&
    octets.toString('base64url') === encoded &&
    content.length > FIXED &&
    checksumOf(content).equals(octets.subarray(-CHECKSUM_OCTETS));
  if (!isWhole) throw none('it was cut short or changed on its way', again);
  const [gate = '', subject = '', ...rest] = content.toString('ascii', FIXED).split('\n');
  if (rest.length > 0 || !isGate(gate) || !isSubject(subject)) throw none('its parts are not those of a token', again);
  return {
    id: content.toString('hex', 0, ID_OCTETS),
    secret: new Uint8Array(content.subarray(ID_OCTETS, ID_OCTETS + SECRET_OCTETS)),
    rootFingerprint: content.toString('hex', ID_OCTETS + SECRET_OCTETS, FIXED),
    gate,
    subject,
  };
}

/** What proves to the gate that one has the token: `id.secret`. */
export function credentialOf({ id, secret }: Pick<Token, 'id' | 'secret'>): string {
  return `${id}.${Buffer.from(secret).toString('base64url')}`;
}

export interface TokenCredential {
  readonly id: string;
  /** SHA-256 of the secret, hex. */
  readonly secretHash: string;
}

/** Reads what `credentialOf` wrote; null for anything else. */
export function readCredential(text: string): TokenCredential | null {
  const [, id, secret = ''] = /^([0-9a-f]{16})\.([A-Za-z0-9_-]{43})$/.exec(text) ?? [];
  if (id === undefined) return null;
  return { id, secretHash: secretHashOf(Buffer.from(secret, 'base64url')) };
}

/** SHA-256, hex: what is kept of a secret. */
export function secretHashOf(secret: Uint8Array): string {
  return hash('sha256', secret);
}

/** Whether two hashes, hex, are the same, in a time that does not tell where they differ. */
export function sameHash(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a, 'hex'), Buffer.from(b, 'hex')];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Whether `subject` is a pattern, so that who enrols says which name is to be his. */
export function isPattern(subject: string): boolean {
  return subject.endsWith('*');
}

/** Whether a token may be for it: a client's identity, or one whose last segment ends with `*` in place of letters. */
export function isSubject(subject: string): boolean {
  const name = isPattern(subject) ? `${subject.slice(0, -1)}0` : subject;
  return isIdentityName(name) && kindOf(name) !== 'gate';
}

/** `subject` itself when a token may be for it. CG_IDENTITY_NAME, CG_TOKEN_SUBJECT for the gate's own and odd patterns. */
export function requireSubject(subject: string): string {
  if (isSubject(subject)) return subject;
  const ofTheGate = subject.startsWith('gate/');
  if (!ofTheGate && !/^[^/*]*\*|^(?:worker|user|service)\/.*\*/.test(subject)) {
    throw new CertgateError('CG_IDENTITY_NAME', { name: subject });
  }
  const problem = ofTheGate
    ? "gate/… names the gate's own certificates"
    : 'a pattern ends with one *, behind the beginning of a name; nothing else has one';
  throw new CertgateError('CG_TOKEN_SUBJECT', { subject, problem });
}

/** Whether a token for `subject` is one for `identity`; `*` stands for one segment or the rest of one. */
export function covers(subject: string, identity: string): boolean {
  if (!isPattern(subject)) return subject === identity;
  const start = subject.slice(0, -1);
  const rest = identity.startsWith(start) ? identity.slice(start.length) : '';
  return rest !== '' && !rest.includes('/') && isIdentityName(identity);
}

function isGate(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && url.protocol === 'https:' && url.origin === text;
}

function checksumOf(content: Uint8Array): Buffer {
  return createHash('sha256').update(content).digest().subarray(0, CHECKSUM_OCTETS);
}

function none(problem: string, remedy: string): CertgateError {
  return new CertgateError('CG_TOKEN', { problem, remedy });
}
