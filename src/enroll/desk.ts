// Where the gate gives certificates to machines that ask: once for each gate, in the process that has the issuer's key.
// A stranger with a token is told the same whatever is wrong with it, after the same work and at the same tick of the clock;
// the log tells the operator. Too many refusals are put off instead; who has what is good is let in whatever others have
// tried, so that nobody's token or address is held up by a guesser. A misuse that only a thief has reason to flags the token
// and the identity. Renewal and what follows from a copied key stand in renewal-desk.ts.

import { createHash } from 'node:crypto';
import { tokenState } from '../authority/tokens.ts';
import { isCertgateError, reasonOf } from '../errors.ts';
import { isIdentityName, spiffeUri } from '../identity/name.ts';
import { requireGranted } from '../pki/requested-names.ts';
import type { CertificateRequest } from '../pki/requests.ts';
import type { FlaggedToken } from '../store/flags.ts';
import { answerWith, type DeskAnswer, issued, keyHashOf, readRequestOrWhy } from './answers.ts';
import { limitAttempts } from './attempt-limit.ts';
import type { DeskParts, EnrollDesk, Ticker } from './contract.ts';
import { decideEnrollment, type EnrollDecision, type EnrollRefusal, type Grant, refuse } from './decide.ts';
import { decideByIdentityToken } from './identity-token-decide.ts';
import type { IdentityTokens } from './identity-tokens.ts';
import { openRenewals } from './renewal-desk.ts';
import { isPattern, readCredential, sameHash, type TokenCredential } from './token.ts';
import { type EnrollRequest, readEnrollRequest } from './wire.ts';

/** A request with what is in its token. */
interface Asked extends TokenCredential {
  readonly request: EnrollRequest;
  /** Names the token in the log and is counted: nothing that lets anybody use it. */
  readonly id: string;
}

interface AboutRefusal {
  /** An identity, or what a token is for. */
  readonly object: string;
  readonly by: FlaggedToken;
  /** What the audit says of the token. */
  readonly token: Readonly<Record<string, string | null>>;
}

type Served = DeskAnswer | Exclude<EnrollDecision, { kind: 'issue' | 'again' }>;

/** Longer than the slowest refusal takes by itself, ms; where it is not, the next tick hides by how much. */
const REFUSAL_TIME = 300;
/**
 * What may be refused with a record and a line in the log, of one address (IPv6 /64) and of one token: that many at once, then
 * one every so many ms. Beyond it a try is still decided on, and put off unless it is good: else whoever knows the id of a
 * token, or shares an address with its machine, could keep that out. It takes nothing from a secret of 256 random bits: a
 * million guesses a second for a year are 2^45 of 2^256. What it costs the gate is less than the handshake before it.
 */
const PER_ADDRESS = { burst: 60, everyMs: 5_000 } as const;
const PER_TOKEN = { burst: 20, everyMs: 5_000 } as const;
/** Tries with tokens of nobody are on record as often as that, and how many there were, ms: a stranger can make any number. */
const UNKNOWN_EVERY = 60_000;
const TICKER: Ticker = {
  now: () => performance.now(),
  pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};
/** In place of what is not on record, so that the same is done for it. */
const NOBODY = { id: '0'.repeat(16), secretHash: createHash('sha256').update('nobody').digest('hex') } as const;
/** Failures of the CA that are refusals, and where the operator should look. */
const LOOKS: ReadonlyMap<string, string> = new Map([
  ['CG_LOCKED', 'certgate locks'],
  ['CG_TOKEN_SPENT', 'certgate token list'],
  ['CG_KEY_BARRED', 'the machine: it uses a key that is known'],
  ['CG_CSR_NAME', 'the program that made the request'],
  ['CG_CSR_UNREADABLE', 'the program that made the request'],
]);
const REFUSED = answerWith(403, 'enrolment refused; the log of the gate says why');
const TOO_MANY = answerWith(429, 'too many tries');

export function openDesk(parts: DeskParts): EnrollDesk {
  const { authority, store, policy, log, metrics, clock = Date.now, ticker = TICKER } = parts;
  const { refusalTime = REFUSAL_TIME } = parts;
  const { issuers = [] } = policy;
  let identityTokens: IdentityTokens | null = null;
  /** With jose, which a gate that nobody brings such tokens to does without. */
  const withIdentityTokens = async (): Promise<IdentityTokens> => {
    const { openIdentityTokens } = await import('./identity-tokens.ts');
    identityTokens ??= openIdentityTokens(issuers, log);
    return identityTokens;
  };
  if (issuers.length > 0) {
    withIdentityTokens().catch((error: unknown) => {
      log.say('error', 'identity tokens', { reason: reasonOf(error) }, 'identity tokens cannot be read');
    });
  }
  const addresses = limitAttempts(PER_ADDRESS);
  const tokens = limitAttempts(PER_TOKEN);
  const renewals = openRenewals({ ...parts, ticker });

  const decideByJwt = async (text: string, asked: string | null, keyHash: string): Promise<EnrollDecision> => {
    const now = clock();
    const token = await (identityTokens ?? (await withIdentityTokens())).verify(text, now, keyHash);
    if (token.kind === 'refuse') return refuse(token.reason, token.look, null, 'identity token');
    if (token.kind === 'later') return token;
    const uses = await store.identityTokenUses(token.id);
    const inUse = await isInUse(token.identity, now);
    const restored = await store.meta('restoredAt');
    const restoredAt = restored === null ? null : Number(restored);
    return decideByIdentityToken({ token, uses, keyHash, asked, inUse, restoredAt, now });
  };

  const isInUse = async (identity: string, now: number): Promise<boolean> =>
    (await store.listCertificates({ identity, state: 'valid', now, limit: 1 })).length > 0;

  const decide = async ({ request, id, secretHash }: Asked, keyHash: string): Promise<EnrollDecision> => {
    if ('identityToken' in request) return decideByJwt(request.identityToken, request.identity, keyHash);
    if (!policy.tokens) return refuse('tokens are not taken here', 'enroll.tokens');
    const { identity: asked } = request;
    const { token, use } = (await store.tokenFor(id, { keyHash, asked })) ?? { token: null, use: null };
    const proved = sameHash(token?.secretHash ?? NOBODY.secretHash, secretHash);
    const now = clock();
    // Of all that are refused by what is on record alike. A name's own token that is good is so whoever has the name: it is how a
    // machine that lost its key comes back, and who has one learns that anyway.
    const isGood = proved && token !== null && tokenState(token, now) === 'usable' && !isPattern(token.subject);
    const inUse = !isGood && (await isInUse(asked ?? token?.subject ?? '', now));
    return decideEnrollment({ token, proved, use, keyHash, asked, inUse, now });
  };

  const issue = async (
    { identity, groups, ttlMs, actor, cause, renewable, logged }: Grant,
    csr: CertificateRequest,
    address: string,
  ): Promise<DeskAnswer> => {
    const granted = { identity, spiffeUri: spiffeUri(authority.trustDomain, identity), dns: [], ip: [] };
    requireGranted(csr, { ...granted, profile: 'client' });
    const { record, chainPem } = await authority.issue({
      identity,
      profile: 'client',
      ttlMs,
      untilIssuerEnds: true,
      publicKey: csr.publicKey,
      groups,
      renewable,
      actor,
      address,
      cause,
    });
    metrics.enrolled++;
    log.say('info', 'enrolled', { identity, serial: record.serial, ...logged }, 'enrolled');
    return issued(identity, chainPem, authority);
  };

  const again = async (serial: string): Promise<DeskAnswer | EnrollRefusal> => {
    const [record] = await store.listCertificates({ serial, now: clock() });
    if (record === undefined || record.revokedAt !== null) {
      return refuse('the certificate of this key was revoked', `certgate list --state revoked: ${serial}`);
    }
    return issued(record.identity, authority.chainFor(record), authority);
  };

  /** The certificate, or why there is none. What it throws is a failure of the gate's own. */
  const serve = async (asked: Asked, csr: CertificateRequest, address: string): Promise<Served> => {
    const keyHash = keyHashOf(csr);
    for (let tries = 1; ; tries++) {
      const decision = await decide(asked, keyHash);
      try {
        if (decision.kind === 'issue') return await issue(decision.grant, csr, address);
      } catch (error) {
        // Somebody, perhaps the same machine, was faster: now there is something else to decide on.
        if (isCertgateError(error, 'CG_TOKEN_SPENT') && tries === 1) continue;
        const refusal = refusalOf(error);
        if (refusal === null) throw error;
        return refusal;
      }
      return decision.kind === 'again' ? again(decision.serial) : decision;
    }
  };

  let unknown = { tries: 0, next: Number.NEGATIVE_INFINITY };
  const recordUnknown = async (problem: string, address: string): Promise<void> => {
    const tries = unknown.tries + 1;
    const now = ticker.now();
    const isDue = now >= unknown.next;
    unknown = isDue ? { tries: 0, next: now + UNKNOWN_EVERY } : { ...unknown, tries };
    const entry = { time: clock(), actor: 'gate', action: 'token.refuse', object: 'unknown' };
    if (isDue) await store.addAudit({ ...entry, detail: { address, problem, tries } });
  };

  /**
   * On record for a token that there is; of tries with others the first, and how many there were before. A misuse flags token and identity, also
   * where it `isPutOff`, and nothing else is recorded of that. A commit that takes longer than a tick may so tell that there
   * is a token of that id, which is no secret.
   */
  const recordRefusal = async (
    refusal: EnrollRefusal,
    asked: Asked,
    { address, isPutOff }: { readonly address: string; readonly isPutOff: boolean },
  ): Promise<void> => {
    const about = await aboutRefusal(refusal, asked);
    const { flag, reason } = refusal;
    if (about === null) return await recordUnknown(reason, address);
    const { object, by, token } = about;
    const time = clock();
    const entry = { time, actor: 'gate', object, detail: { ...token, address, problem: flag ?? reason } };
    const misuse = { ...entry, action: 'token.misuse' };
    const isNew = flag !== null && (await store.flag({ identity: object, reason: flag, flaggedAt: time }, by, misuse));
    if (!isNew && !isPutOff) await store.addAudit({ ...entry, action: 'token.refuse' });
  };

  /** Whom it is recorded on, and by which token; null for what is no token of anybody’s. */
  const aboutRefusal = async ({ verified }: EnrollRefusal, { request, id }: Asked): Promise<AboutRefusal | null> => {
    if ('identityToken' in request) {
      if (verified === undefined) return null;
      const { identity: object, issuer, about } = verified;
      return { object, by: { kind: 'identity-token', token: verified.id }, token: { issuer, ...about } };
    }
    const token = await store.token(id);
    if (token === null) return null;
    // What was asked for is a stranger's text: it stands on record only where it is a name.
    const asked = request.identity ?? '';
    const object = isIdentityName(asked) ? asked : token.subject;
    return { object, by: { kind: 'token', token: id }, token: { token: id } };
  };

  /** `answer` at the next multiple of the refusal time after `started`. A timer may come early, and is waited for again. */
  const atTick = async (started: number, answer: DeskAnswer): Promise<DeskAnswer> => {
    const ticks = Math.max(1, Math.ceil((ticker.now() - started) / refusalTime));
    const at = started + ticks * refusalTime;
    for (let left = at - ticker.now(); left > 0; left = at - ticker.now()) await ticker.pause(Math.ceil(left));
    return answer;
  };

  return {
    async enroll(body, { address, addressKey }) {
      const started = ticker.now();
      const asked = askedBy(readEnrollRequest(body));
      const id = asked?.id ?? NOBODY.id;
      let answer: Served;
      try {
        const csr = asked === null ? null : readRequestOrWhy(asked.request.csr);
        if (asked === null || csr === null) answer = answerWith(400, 'that is no enrolment request');
        else answer = typeof csr === 'string' ? answerWith(400, csr) : await serve(asked, csr, address);
      } catch (error) {
        log.say('error', 'enroll failed', { address, tokenId: id, reason: reasonOf(error) }, 'enrolment failed');
        return answerWith(503, 'the gate cannot issue now; try again');
      }
      if ('status' in answer && answer.status === 200) return answer;
      const refusal = 'kind' in answer && answer.kind === 'refuse' ? answer : null;
      // Looked at and counted in one go: many at once are not more than one after the other.
      const now = ticker.now();
      const isPutOff = !addresses.may(addressKey, now) || !tokens.may(id, now);
      if (!isPutOff) addresses.count(addressKey, now);
      if (!isPutOff && refusal !== null) tokens.count(id, now);
      if (refusal !== null && asked !== null) {
        // What can't be recorded is refused as ever: another answer would tell which tokens there are.
        await recordRefusal(refusal, asked, { address, isPutOff }).catch((error: unknown) => {
          const fields = { address, tokenId: id, reason: reasonOf(error) };
          log.say('error', 'enroll record', fields, 'a refused enrolment is not on record');
        });
      }
      if (isPutOff || refusal !== null) metrics.enrollRefused++;
      if (isPutOff && (refusal === null || refusal.flag === null)) {
        const look = 'who is at that address: too many of its tries, or of those with that token, were refused';
        log.say('warn', 'enroll limit', { address, tokenId: id, look }, 'enrolment put off: too many refused tries');
      } else if (refusal !== null) {
        const { reason, about, look, flag } = refusal;
        const kind = `enroll ${flag === null ? about : 'misuse'}`;
        log.say('warn', kind, { address, tokenId: id, reason, look }, 'enrolment refused');
      }
      if (isPutOff) return atTick(started, TOO_MANY);
      if (refusal !== null) return atTick(started, REFUSED);
      if (!('kind' in answer)) return answer;
      log.say('warn', `enroll ${answer.reason}`, { address, reason: answer.reason }, 'enrolment put off');
      return answerWith(503, 'the gate cannot check that now; try again');
    },
    renew: renewals.renew,
    seen: renewals.seen,
  };
}

/** Null for none. */
function askedBy(request: EnrollRequest | null): Asked | null {
  if (request === null) return null;
  if ('token' in request) return { request, ...(readCredential(request.token) ?? NOBODY) };
  const id = createHash('sha256').update(request.identityToken).digest('hex').slice(0, 16);
  return { request, id, secretHash: NOBODY.secretHash };
}

/** The refusal that a failure of the CA comes to; null for what is the gate's own failure. */
function refusalOf(error: unknown): EnrollRefusal | null {
  if (!isCertgateError(error)) return null;
  const look = LOOKS.get(error.code);
  return look === undefined ? null : refuse(error.message, look, null, error.code);
}
