// The part of the SQLite store that keeps the uses of identity tokens (identity-tokens.ts), like sqlite-tokens.ts for those
// of one-time tokens. Uses that have had their time are removed by the next one.
import { CertgateError } from '../errors.ts';
import type { IdentityTokenCause, IdentityTokenStore } from './identity-tokens.ts';
import type { SqliteTools } from './sqlite-ca.ts';
import { numberOf, tokenUseOf } from './sqlite-rows.ts';
import type { CertificateRecord } from './store.ts';

export interface SqliteIdentityTokens extends IdentityTokenStore {
  /** To be called in the transaction that records `record`. CG_TOKEN_SPENT. */
  readonly recordUse: (cause: IdentityTokenCause, record: CertificateRecord) => void;
}

export function sqliteIdentityTokens({ sql, read }: SqliteTools): SqliteIdentityTokens {
  const selectUses = sql(
    'SELECT token, key_hash, identity, serial, used_at FROM identity_token_uses WHERE token = ? ORDER BY used_at, rowid',
  );
  const forget = sql('DELETE FROM identity_token_uses WHERE ends_at <= ?');
  const count = sql('SELECT count(*) AS n FROM identity_token_uses WHERE token = ?');
  const insert = sql(
    `INSERT OR IGNORE INTO identity_token_uses (token, key_hash, identity, serial, used_at, ends_at, flagged_at)
       VALUES (?, ?, ?, ?, ?, ?, NULL)`,
  );
  return {
    identityTokenUses: (token) => read(() => selectUses.all(token).map(tokenUseOf)),
    recordUse({ token, keyHash, uses, endsAt }, { identity, serial, issuedAt }) {
      forget.run(issuedAt);
      const used = numberOf(count.get(token), 'n');
      if (used < uses && insert.run(token, keyHash, identity, serial, issuedAt, endsAt).changes === 1) return;
      throw new CertgateError('CG_TOKEN_SPENT', { token: token.slice(0, 16) });
    },
  };
}
