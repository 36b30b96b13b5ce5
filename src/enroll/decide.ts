// Who may have a certificate for a token: one decision from what is on record and what was asked, as data. A refusal says
// to the operator what to look at; what the stranger is told is the same for all of them (desk.ts). Pure.

import type { TokenUse } from '../store/token-use.ts';
import type { IssueCause, TokenRecord } from '../store/tokens.ts';
import type { VerifiedToken } from './identity-tokens.ts';
import { covers, isPattern } from './token.ts';

/** How long the same key may have the same certificate again, ms: a lost answer costs nothing. */
export const REPEAT_TIME = 300_000;

export interface EnrollFacts {
  /** Null when there is none of that id. */
  readonly token: TokenRecord | null;
  /** Whether the secret is the token's. */
  readonly proved: boolean;
  /** The use by this key, or for this name. */
  readonly use: TokenUse | null;
  readonly keyHash: string;
  /** The name that was asked for; null for the token's. */
  readonly asked: string | null;
  /** Whether somebody has a valid certificate of that name. */
  readonly inUse: boolean;
  /** ms since the epoch */
  readonly now: number;
}

export type EnrollDecision =
  | { readonly kind: 'issue'; readonly grant: Grant }
  /** The certificate that this key was given before. */
  | { readonly kind: 'again'; readonly serial: string }
  | EnrollRefusal
  /** It cannot be said now. */
  | { readonly kind: 'later'; readonly reason: string };

/** What is to be issued, and on whose account. */
export interface Grant {
  readonly identity: string;
  readonly groups: readonly string[];
  readonly ttlMs: number;
  readonly renewable: boolean;
  readonly actor: string;
  readonly cause: IssueCause;
  /** What the log says beside name and serial. */
  readonly logged: Readonly<Record<string, string>>;
}

export interface EnrollRefusal {
  readonly kind: 'refuse';
  readonly reason: string;
  /** What the log counts it under: words of the gate's own, where `reason` may say what a stranger wrote. */
  readonly about: string;
  /** What the operator should look at. */
  readonly look: string;
  /** What to flag token and identity with: only a thief has reason to do that. Null for honest mistakes. */
  readonly flag: string | null;
  /** The identity token that it is about, if it is about one that its issuer has made. */
  readonly verified?: VerifiedToken;
}

const TOKENS = 'certgate token list';

export function decideEnrollment(facts: EnrollFacts): EnrollDecision {
  const { token, proved, use, keyHash, asked, now } = facts;
  if (token === null)
    return refuse('there is no such token', 'whether it was made on another gate, or is being guessed');
  if (!proved)
    return refuse('the secret is not that of the token', 'who knows the id of the token: it is being guessed');
  if (token.revokedAt !== null) return refuse('the token was revoked', TOKENS);
  if (use !== null && use.keyHash === keyHash) {
    if (now < use.usedAt + REPEAT_TIME) return { kind: 'again', serial: use.serial };
    return refuse('this key has used the token before', 'make another token for the machine');
  }
  const identity = isPattern(token.subject) ? asked : token.subject;
  if (identity === null)
    return refuse('the token is for several names and none was asked for', 'enroll --name on its machine');
  if (!covers(token.subject, asked ?? identity))
    return refuse('the token is not for the name that was asked for', TOKENS);
  if (isPattern(token.subject) && use !== null) {
    const flag = `somebody with another key asked for ${identity}, which had its certificate by it`;
    return refuse('with another key, for a name that has its certificate by this token', copied(token), flag);
  }
  if (token.usesLeft === 0) {
    // Where nobody has a certificate of that name, a machine has come back after its end, or a fleet has grown: no thief.
    const flag = facts.inUse ? `somebody with another key tried to use it when ${identity} had its certificate` : null;
    return refuse('the token has been used up, and this is another key', copied(token), flag);
  }
  if (token.expiresAt <= now) return refuse('the token has expired', 'make another token for the machine');
  if (isPattern(token.subject) && facts.inUse) {
    return refuse(
      'the name is in use: it has a valid certificate',
      `certgate list ${identity}; revoke it, or choose a free name`,
    );
  }
  const { id, ttlMs, groups = [] } = token;
  const cause = { kind: 'token', token: id, keyHash } as const;
  return {
    kind: 'issue',
    grant: { identity, groups, ttlMs, renewable: true, actor: `token:${id}`, cause, logged: { tokenId: id } },
  };
}

/** `about` must be given for a reason that says more than the gate's own words. */
export function refuse(reason: string, look: string, flag: string | null = null, about = reason): EnrollRefusal {
  return { kind: 'refuse', reason, about, look, flag };
}

function copied({ subject, id }: TokenRecord): string {
  return `who else has the token: if it was not one machine that lost its key, revoke ${subject} and token ${id}`;
}
