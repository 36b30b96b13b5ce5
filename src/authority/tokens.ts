// Making and taking back one-time tokens: the records' side. The secret is thrown here, handed out once, and kept as a
// hash only. It needs the records, never the CA's key: whoever may write the store may let somebody enrol.
import { CertgateError } from '../errors.ts';
import { parseGroups } from '../identity/groups.ts';
import type { Store } from '../store/store.ts';
import type { TokenRecord } from '../store/tokens.ts';

/** How long a token may last, and how many certificates it may be for. */
export const SHORTEST_TOKEN = 1_000;
export const LONGEST_TOKEN = 366 * 86_400_000;
export const MOST_USES = 100_000;

export interface TokenRequest {
  readonly id: string;
  readonly secretHash: string;
  readonly subject: string;
  readonly uses: number;
  /** Of the certificates, ms. */
  readonly ttlMs: number;
  /** That their holder belongs to. */
  readonly groups?: readonly string[];
  /** ms from now */
  readonly lastsMs: number;
  readonly actor: string;
}

/** Records a token at `now`, ms since the epoch. CG_GROUP, CG_STORE_* */
export async function recordToken(store: Store, request: TokenRequest, now: number): Promise<TokenRecord> {
  const { id, secretHash, subject, uses, ttlMs, lastsMs, actor } = request;
  const groups = parseGroups(request.groups ?? []);
  const token: TokenRecord = {
    id,
    secretHash,
    subject,
    uses,
    usesLeft: uses,
    ttlMs,
    ...(groups.length > 0 ? { groups } : {}),
    expiresAt: now + lastsMs,
    createdAt: now,
    createdBy: actor,
    revokedAt: null,
    flaggedAt: null,
    flag: null,
  };
  const detail = {
    token: id,
    uses,
    ttlMs,
    expiresAt: token.expiresAt,
    ...(groups.length > 0 ? { groups: groups.join(',') } : {}),
  };
  await store.addToken(token, { time: now, actor, action: 'token.create', object: subject, detail });
  return token;
}

/** Takes the token `id` back at `now`; false when it was taken back before. CG_NOT_FOUND, CG_STORE_* */
export async function revokeToken(store: Store, id: string, actor: string, now: number): Promise<boolean> {
  const token = await store.token(id);
  if (token === null) {
    throw new CertgateError('CG_NOT_FOUND', {
      what: `token ${id}`,
      problem: `no such token in ${store.location}`,
      remedy: 'see what there is with `certgate token list`',
    });
  }
  const detail = { token: id, usesLeft: token.usesLeft };
  return store.revokeToken(id, now, { time: now, actor, action: 'token.revoke', object: token.subject, detail });
}

/** What a token is good for at `now`. */
export type TokenState = 'usable' | 'used' | 'expired' | 'revoked';

export function tokenState(token: TokenRecord, now: number): TokenState {
  if (token.revokedAt !== null) return 'revoked';
  if (token.usesLeft === 0) return 'used';
  return token.expiresAt <= now ? 'expired' : 'usable';
}
