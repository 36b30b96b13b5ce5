// What an identity is called: `worker/etl-1`, `user/alice`, `service/data/ci`, and how it stands in a certificate, as a
// SPIFFE ID (SPIFFE-ID §2). Names are plain lower-case ASCII, so that two that look alike are alike: no Unicode, no
// percent-encoding, no empty or dot segment, nothing that a log, a header or a shell would read otherwise.
// It never repairs a name: what is not one is refused.
import { CertgateError } from '../errors.ts';
import type { Language } from './automaton.ts';

/** What an identity may be. `gate` is certgate's own: it names server certificates and never acts as a client. */
const identityKinds = ['worker', 'user', 'service', 'gate'] as const;
export type IdentityKind = (typeof identityKinds)[number];

const SEGMENT = '[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?';
const NAME = new RegExp(`^(?:${identityKinds.join('|')})(?:/${SEGMENT}){1,3}$`);
const LABEL = '[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?';
const TRUST_DOMAIN = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`);
const LOOKS_LIKE_IPV4 = /^\d+(?:\.\d+){3}$/;

/** True for exactly the strings that `parseIdentityName` accepts. */
export function isIdentityName(text: string): boolean {
  return text.length <= 128 && NAME.test(text);
}

const CLIENTS = identityKinds.filter((kind) => kind !== 'gate').map((kind) => `${kind}/`);

/** The names of clients, for `Pattern.meets`: what has come of the kind, or the number of the segment and what it ends with. */
export const clientNames: Language = {
  alphabet: 'abcdefghijklmnopqrstuvwxyz0123456789._-/',
  start: '',
  next(state, character) {
    const segment = Number(state[0]);
    if (Number.isNaN(segment)) {
      const begun = state + character;
      if (CLIENTS.includes(begun)) return '1';
      return CLIENTS.some((kind) => kind.startsWith(begun)) ? begun : null;
    }
    if (/[a-z0-9]/.test(character)) return `${segment}a`;
    if (character === '/') return state.endsWith('a') && segment < 3 ? `${segment + 1}` : null;
    return state.length === 1 ? null : `${segment}.`;
  },
  ends: (state) => /^\da$/.test(state),
};

/** `text` itself when it is an identity's name: `kind/rest` of 2 to 4 segments, 128 characters at most. CG_IDENTITY_NAME. */
export function parseIdentityName(text: string): string {
  if (!isIdentityName(text)) throw new CertgateError('CG_IDENTITY_NAME', { name: text });
  return text;
}

/** The kind of a valid name, its first segment. CG_IDENTITY_NAME when it is none. */
export function kindOf(name: string): IdentityKind {
  const kind = identityKinds.find((candidate) => name.startsWith(`${candidate}/`));
  if (kind === undefined) throw new CertgateError('CG_IDENTITY_NAME', { name });
  return kind;
}

/**
 * `text` itself when it can be a trust domain: lower-case labels of [a-z0-9_-] joined by dots, 255 characters at most.
 * Stricter than SPIFFE-ID §2.1 in two points, both so that the issuer's name constraint holds in every verifier: no
 * empty label (`.`, `a..b`), no hyphen at a label's edge, nothing that reads as an IPv4 address (Go refuses to match a
 * constraint against one). CG_TRUST_DOMAIN.
 */
export function parseTrustDomain(text: string): string {
  if (text.length > 255 || !TRUST_DOMAIN.test(text) || LOOKS_LIKE_IPV4.test(text)) {
    throw new CertgateError('CG_TRUST_DOMAIN', { trustDomain: text });
  }
  return text;
}

/** The SPIFFE ID of `name` in `trustDomain`: `spiffe://prefect.example/worker/etl-1`. CG_IDENTITY_NAME, CG_TRUST_DOMAIN. */
export function spiffeUri(trustDomain: string, name: string): string {
  return `spiffe://${parseTrustDomain(trustDomain)}/${parseIdentityName(name)}`;
}

/** The name in a SPIFFE ID, of whatever trust domain: `worker/etl-1` of `spiffe://prefect.example/worker/etl-1`; null in another text. */
export function nameInSpiffeUri(uri: string): string | null {
  return /^spiffe:\/\/[^/]+\/(.+)$/.exec(uri)?.[1] ?? null;
}
