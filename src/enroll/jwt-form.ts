// The form of an identity token, read before anything of it is believed and before any key is looked for: a JWS in compact
// serialization (RFC 7515 §7.1) whose header says no more than which key and algorithm, and whose claims have one reading.
// Stricter than RFC 7519 where leniency has been a hole: no member of an object twice (§4 leaves it open), no `crit`, no key
// or address of one in the header (RFC 8725 §3.10), no type but JWT (§3.11), no other JWT inside, no base64 with a second
// spelling. Pure. It proves nothing: only identity-tokens.ts, which checks the signature, may act on it.
import { createHash } from 'node:crypto';
import { shown } from '../errors.ts';
import type { Claims } from '../identity/claim-rules.ts';

/** Characters. With a request for a certificate it stays below MOST_REQUEST_BYTES. */
export const LONGEST_IDENTITY_TOKEN = 12_288;
/** Of objects and lists in each other. */
const DEEPEST = 16;
const PART = /^[A-Za-z0-9_-]+$/;
const NOT_HONOURED = ['jku', 'jwk', 'x5u', 'x5c', 'crit', 'b64', 'zip', 'cty', 'enc', 'epk'];

export interface UncheckedToken {
  readonly alg: string;
  /** Null where the header has none. */
  readonly kid: string | null;
  readonly claims: Claims;
  /** SHA-256, hex, of what is signed: a signature may have several spellings, this has one. */
  readonly signedHash: string;
}

/** The token, or what is wrong with it. */
export function readIdentityToken(text: string): UncheckedToken | { readonly problem: string } {
  if (text.length > LONGEST_IDENTITY_TOKEN) return fault(`longer than ${LONGEST_IDENTITY_TOKEN} characters`);
  const parts = text.split('.');
  if (parts.length === 5) return fault('an encrypted token (JWE)');
  const [first = '', second = '', third = ''] = parts;
  if (parts.length !== 3 || ![first, second, third].every(isOneSpelling)) return fault('no JWS in compact form');
  const header = objectIn(first);
  if ('problem' in header) return fault(`its header ${header.problem}`);
  const { alg, kid, typ } = header.value;
  const odd = NOT_HONOURED.find((name) => Object.hasOwn(header.value, name));
  if (odd !== undefined) return fault(`its header has ${odd}, which is not honoured`);
  if (typeof alg !== 'string') return fault('its header has no alg');
  if (typ !== undefined && !(typeof typ === 'string' && /^(application\/)?jwt$/i.test(typ))) {
    return fault(`its type is ${typeof typ === 'string' ? shown(typ.slice(0, 100)) : 'no text'}, not JWT`);
  }
  if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > 256)) return fault('an odd kid');
  const claims = objectIn(second);
  if ('problem' in claims) return fault(`its claims: ${claims.problem}`);
  const signedHash = createHash('sha256').update(`${first}.${second}`).digest('hex');
  return { alg, kid: kid ?? null, claims: claims.value, signedHash };
}

/** Base64url as RFC 7515 §2 has it, in its one spelling: no padding, no bits left over. */
function isOneSpelling(part: string): boolean {
  return PART.test(part) && Buffer.from(part, 'base64url').toString('base64url') === part;
}

function objectIn(part: string): { readonly value: Claims } | { readonly problem: string } {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(part, 'base64url'));
    value = JSON.parse(text);
  } catch {
    return fault('is no JSON in UTF-8');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fault('is no JSON object');
  const problem = repeatedMember(text);
  return problem === null ? { value: value as Claims } : fault(problem);
}

/** Why JSON, known to be well formed, has no one reading; null when it has. */
function repeatedMember(json: string): string | null {
  const open: Array<Set<string> | null> = [];
  let name: string | null = null;
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\]:]/g)) {
    const members = open.at(-1);
    if (token === '{' || token === '[') {
      if (open.push(token === '{' ? new Set() : null) > DEEPEST) return 'is nested too deep';
    } else if (token === '}' || token === ']') open.pop();
    else if (token !== ':') name = JSON.parse(token) as string;
    else if (name !== null && members instanceof Set) {
      if (members.has(name)) return `has ${shown(name.slice(0, 100))} twice`;
      members.add(name);
    }
  }
  return null;
}

function fault(problem: string): { readonly problem: string } {
  return { problem };
}
