// A token as the commands show it: for people and as JSON. The secret is nowhere here; the records do not have it. Pure.
import { tokenState } from '../../authority/tokens.ts';
import { poolsIn } from '../../policy/scope.ts';
import type { TokenUse } from '../../store/token-use.ts';
import type { TokenRecord } from '../../store/tokens.ts';

/** One token as `--json` prints it, without its hash; times in RFC 3339. */
export function tokenJson(token: TokenRecord, now: number): Record<string, unknown> {
  const { secretHash: _hash, expiresAt, createdAt, revokedAt, flaggedAt, ...rest } = token;
  return {
    ...rest,
    groups: token.groups ?? [],
    pools: poolsIn(token.groups ?? []),
    state: tokenState(token, now),
    expiresAt: time(expiresAt),
    createdAt: time(createdAt),
    revokedAt: revokedAt === null ? null : time(revokedAt),
    flaggedAt: flaggedAt === null ? null : time(flaggedAt),
  };
}

/** One use of a token as `--json` prints it. */
export function useJson({ identity, serial, keyHash, usedAt }: TokenUse): object {
  return { identity, serial, keyHash, usedAt: time(usedAt) };
}

function time(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
