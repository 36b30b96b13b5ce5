// Whom an identity token names, and whether that may be believed (RFC 7519; RFC 8725; OpenID Connect Core §3.1.3.7). Its form
// is read first (jwt-form.ts); then its issuer must be one of the configured ones before that issuer's keys, and no others,
// are asked for; the signature is jose's to verify, with the algorithms that the issuer may use; then time, audience and the
// rules. All of `aud` must be ours: what other services accept, too, any of them could bring here. Nothing of a token is
// logged but the claims that say whose it is, escaped.
import { createHash } from 'node:crypto';
import { errors, jwtVerify } from 'jose';
import { parseDuration } from '../config/duration.ts';
import { type IdentityIssuer, MOST } from '../config/issuers.ts';
import { reasonOf, shown } from '../errors.ts';
import { type Claims, compileClaimRule, identifyClaims } from '../identity/claim-rules.ts';
import type { LimitedLog } from '../observe/limited-log.ts';
import { type IssuerKeys, openIssuerKeys } from './issuer-keys.ts';
import { readIdentityToken, type UncheckedToken } from './jwt-form.ts';

/** A token that names somebody. */
export interface VerifiedToken {
  readonly kind: 'verified';
  /** As the configuration calls the issuer. */
  readonly issuer: string;
  /** Its claims, for the record; not escaped. */
  readonly about: { readonly iss: string; readonly sub: string; readonly jti: string | null };
  /** SHA-256, hex, of issuer and jti, or of what was signed where there is no jti: the same for the same token only. */
  readonly id: string;
  readonly identity: string;
  readonly groups: readonly string[];
  readonly ttlMs: number;
  /** Whether the certificate may be renewed: not a person's, who has to log in again. */
  readonly renewable: boolean;
  readonly rule: string;
  /** How many certificates it is good for. */
  readonly uses: number;
  /** By its issuer's clock, ms since the epoch. */
  readonly issuedAt: number;
  /** From when on nobody would believe it any more, whatever the settings say by then, ms since the epoch. */
  readonly endsAt: number;
}

export type Verdict =
  | VerifiedToken
  | { readonly kind: 'refuse'; readonly reason: string; readonly look: string }
  /** Its issuer's keys cannot be read now. */
  | { readonly kind: 'later'; readonly reason: string };

export interface IdentityTokens {
  /** Never rejects for what a token is. `now`: ms since the epoch; `keyHash`: of the key that is to be certified. */
  verify(text: string, now: number, keyHash: string): Promise<Verdict>;
}

interface OpenIssuer {
  readonly settings: IdentityIssuer;
  readonly keys: IssuerKeys;
  readonly rules: ReadonlyArray<ReturnType<typeof compileClaimRule>>;
}

const LONGEST_JTI = 256;
const LONGEST_SUB = 512;
/** A record of a token is kept so much longer than anybody would take it: for a clock that is set back, ms. */
const MARGIN = 600_000;
/** What an issuer may be set to later, while the use of a token is still on record, ms. */
const MOST_AGE = parseDuration(MOST.maxAge) ?? 0;
const MOST_TOLERANCE = parseDuration(MOST.clockTolerance) ?? 0;

export function openIdentityTokens(issuers: readonly IdentityIssuer[], log: LimitedLog): IdentityTokens {
  const open = new Map(issuers.map((settings) => [settings.issuer, openIssuer(settings, log)]));
  for (const { keys } of open.values()) keys.warm();
  return {
    async verify(text, now, keyHash) {
      const token = readIdentityToken(text);
      if ('problem' in token) return refuse(`it is no identity token: ${token.problem}`, 'what the machine sent');
      const { iss } = token.claims;
      const issuer = typeof iss === 'string' ? open.get(iss) : undefined;
      if (issuer === undefined) {
        const whose = typeof iss === 'string' ? shown(iss.slice(0, 200)) : 'nobody';
        return refuse(
          `its issuer is ${whose}, which is none of enroll.issuers`,
          'enroll.issuers: iss letter by letter',
        );
      }
      return verifyFrom(issuer, text, token, { now, keyHash });
    },
  };
}

function openIssuer(settings: IdentityIssuer, log: LimitedLog): OpenIssuer {
  const { name, issuer, jwksUrl, jwksFile, caFile, tokenFile } = settings;
  const discoverAt = jwksUrl === null && jwksFile === null ? issuer : null;
  const keys = openIssuerKeys({ discoverAt, jwksUrl, jwksFile, caFile, tokenFile }, (problem, odd) => {
    if (problem !== null) {
      const place =
        jwksFile === null ? 'whether the gate reaches it, and caFile where its authority is private' : 'that file';
      const look = `${place}; the last good keys are used for a day`;
      log.say('error', `keys of ${name}`, { issuer: name, reason: problem, look }, 'keys of an issuer not read');
    } else log.say('info', `keys of ${name} read`, { issuer: name, leftOut: odd }, 'keys of an issuer read');
  });
  return { settings, keys, rules: settings.rules.map((rule, index) => compileClaimRule(rule, `rules[${index}]`)) };
}

async function verifyFrom(
  issuer: OpenIssuer,
  text: string,
  token: UncheckedToken,
  { now, keyHash }: { readonly now: number; readonly keyHash: string },
): Promise<Verdict> {
  const { settings, keys, rules } = issuer;
  const { name, algorithms } = settings;
  if (!algorithms.some((algorithm) => algorithm === token.alg)) {
    return refuse(`${name}: it is signed with ${shown(token.alg.slice(0, 50))}`, `algorithms of ${name}`);
  }
  const known = await keys.has(token.kid);
  if (known === 'later') return { kind: 'later', reason: `${name}: its keys cannot be read now` };
  if (known === 'unknown') {
    return refuse(
      `${name}: it has no key called ${shown(token.kid ?? '')}`,
      'who signed it, or another issuer of that name',
    );
  }
  try {
    const { payload } = await jwtVerify(text, keys.key, {
      algorithms: [...algorithms],
      issuer: settings.issuer,
      audience: [...settings.audience],
      requiredClaims: ['iss', 'aud', 'exp', 'iat', 'sub'],
      maxTokenAge: settings.maxAge / 1000,
      clockTolerance: settings.clockTolerance / 1000,
      currentDate: new Date(now),
    });
    const problem = loginProblem(settings, payload, keyHash);
    if (problem !== null)
      return refuse(`${name}: ${problem}`, `who logged in, and with which program; login of ${name}`);
    return judge(settings, rules, payload, token);
  } catch (error) {
    return refuse(`${name}: ${whyNot(error, now)}`, `enroll.issuers, ${name}; the clock of this machine`);
  }
}

/**
 * Why an ID token that somebody logged in for is not for this key (OpenID Connect Core §3.1.3.7). Its nonce is the key's hash: who
 * steals the token has not got the key. A device code carries no nonce everywhere, so there it may be missing.
 */
function loginProblem({ login }: IdentityIssuer, { aud, azp, nonce }: Claims, keyHash: string): string | null {
  if (login === null || ![aud].flat().includes(login.clientId)) return null;
  if (azp !== undefined && azp !== login.clientId) return `its azp is ${said(azp)}`;
  if (nonce === undefined)
    return login.device
      ? null
      : 'it has no nonce, and so is bound to no key: login.device allows that, for device codes';
  return nonce === nonceOf(keyHash) ? null : 'it was made for another key';
}

/** What a login says as its nonce, for the key with this hash. */
export function nonceOf(keyHash: string): string {
  return Buffer.from(keyHash, 'hex').toString('base64url');
}

/** What is verified; now it is only about whom it is. */
function judge(settings: IdentityIssuer, rules: OpenIssuer['rules'], claims: Claims, token: UncheckedToken): Verdict {
  const { name, audience } = settings;
  const { iss, sub, jti, aud, exp, iat } = claims;
  const look = `enroll.issuers, ${name}`;
  const foreign = [aud].flat().find((one) => typeof one !== 'string' || !audience.includes(one));
  if (foreign !== undefined) {
    return refuse(`${name}: it is for ${said(foreign)}, too: whoever takes it there could bring it here`, look);
  }
  if (typeof iss !== 'string' || typeof sub !== 'string' || sub === '' || sub.length > LONGEST_SUB) {
    return refuse(`${name}: its sub is ${said(sub)}`, look);
  }
  if (jti !== undefined && (typeof jti !== 'string' || jti === '' || jti.length > LONGEST_JTI)) {
    return refuse(`${name}: its jti is ${said(jti)}`, look);
  }
  if (typeof exp !== 'number' || typeof iat !== 'number') return refuse(`${name}: it has no end`, look);
  const who = identifyClaims(claims, rules);
  if (!who.ok) return refuse(`${name}: sub ${said(sub)}: ${who.reason}`, `the rules of ${name}`);
  const { identity, groups, ttlMs, renew, rule } = who;
  return {
    kind: 'verified',
    issuer: name,
    about: { iss, sub, jti: jti ?? null },
    id: createHash('sha256')
      .update(JSON.stringify(jti === undefined ? [iss, null, token.signedHash] : [iss, jti]))
      .digest('hex'),
    identity,
    groups,
    ttlMs,
    renewable: renew ?? settings.login === null,
    rule,
    uses: settings.uses,
    issuedAt: iat * 1000,
    // Times may have fractions (RFC 7519 §2, NumericDate); a record's are whole.
    endsAt: Math.ceil(Math.min(exp * 1000, iat * 1000 + MOST_AGE)) + MOST_TOLERANCE + MARGIN,
  };
}

/** jose's reason, with the value that it is about. */
function whyNot(error: unknown, now: number): string {
  if (error instanceof errors.JWTClaimValidationFailed || error instanceof errors.JWTExpired) {
    const value = error.payload[error.claim];
    const at = `, at ${Math.floor(now / 1000)}`;
    return value === undefined
      ? error.message
      : `${error.message}: ${said(value)}${typeof value === 'number' ? at : ''}`;
  }
  if (error instanceof errors.JWKSMultipleMatchingKeys) return 'it does not say which of several keys signed it';
  if (error instanceof errors.JWKSNoMatchingKey) return 'no key of the issuer fits its kid and algorithm';
  return reasonOf(error);
}

function said(value: unknown): string {
  return typeof value === 'string'
    ? shown(value.slice(0, 200))
    : shown((JSON.stringify(value) ?? 'nothing').slice(0, 200));
}

function refuse(reason: string, look: string): Verdict {
  return { kind: 'refuse', reason, look };
}
