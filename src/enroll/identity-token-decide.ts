// Who may have a certificate for an identity token (JWT) that has been verified: one decision from what it was used for
// before. A token is good for as many certificates as its issuer's entry says, one by default; the same key gets the same
// certificate again for five minutes, as with one-time tokens. Several machines may have one name: the issuer vouches for
// each. One from before the CA was restored from a backup is refused: that may not know its uses. Pure.
import type { TokenUse } from '../store/token-use.ts';
import { type EnrollDecision, REPEAT_TIME, refuse } from './decide.ts';
import type { VerifiedToken } from './identity-tokens.ts';

export interface IdentityTokenFacts {
  readonly token: VerifiedToken;
  readonly uses: readonly TokenUse[];
  readonly keyHash: string;
  /** The name that was asked for; null for the rule's. */
  readonly asked: string | null;
  /** Whether somebody has a valid certificate of that name. */
  readonly inUse: boolean;
  /** When the CA last came back from a backup, ms since the epoch; null for never. */
  readonly restoredAt: number | null;
  /** ms since the epoch */
  readonly now: number;
}

export function decideByIdentityToken(facts: IdentityTokenFacts): EnrollDecision {
  const { token, uses, keyHash, asked, inUse, restoredAt, now } = facts;
  const { issuer, identity, groups, ttlMs, rule, id, about, endsAt } = token;
  const no = (reason: string, look: string, flag: string | null = null): EnrollDecision => ({
    ...refuse(reason, look, flag, `identity token of ${issuer}`),
    verified: token,
  });
  const own = uses.find((use) => use.keyHash === keyHash);
  if (own !== undefined && now < own.usedAt + REPEAT_TIME) return { kind: 'again', serial: own.serial };
  if (own !== undefined) {
    return no(`${issuer}: this key has used the token before`, 'the machine: it wants a new token of its issuer');
  }
  if (asked !== null && asked !== identity) {
    return no(`${issuer}: ${rule} names ${identity}, and another name was asked for`, `the rules of ${issuer}`);
  }
  if (restoredAt !== null && token.issuedAt < restoredAt) {
    const [issued, restored] = [token.issuedAt, restoredAt].map((at) => new Date(at).toISOString());
    const reason = `the token is of ${issued}, and the CA was restored from a backup at ${restored}: it may have been used`;
    return no(`${issuer}: ${reason}`, 'the machine: it wants a new token of its issuer');
  }
  if (uses.length >= token.uses) {
    const flag = inUse ? `somebody with another key brought a token that ${identity} had its certificate by` : null;
    const look = `who else has the token; uses of ${issuer}, where one token is to be good for several starts`;
    return no(`${issuer}: the token has been used, and this is another key`, look, flag);
  }
  const said = { issuer, iss: about.iss, sub: about.sub, jti: about.jti ?? '', rule };
  return {
    kind: 'issue',
    grant: {
      identity,
      groups,
      ttlMs,
      renewable: token.renewable,
      actor: `jwt:${issuer}`,
      cause: { kind: 'identity-token', token: id, keyHash, uses: token.uses, endsAt, about: said },
      logged: said,
    },
  };
}
