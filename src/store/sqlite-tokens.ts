// The part of the SQLite store that keeps tokens and successions (tokens.ts). Like sqlite-ca.ts it runs in the
// transactions that `write` opens; `recordCause` runs in the one that records a certificate, and what it throws undoes it.
import { CertgateError } from '../errors.ts';
import type { SqliteTools } from './sqlite-ca.ts';
import { sqliteIdentityTokens } from './sqlite-identity-tokens.ts';
import {
  groupsIn,
  groupsText,
  numberOf,
  numberOrNull,
  type Row,
  textOf,
  tokenFaceColumns,
  tokenFaceOf,
  tokenUseOf,
} from './sqlite-rows.ts';
import type { CertificateRecord } from './store.ts';
import type { IssueCause, Succession, TokenRecord, TokenStore } from './tokens.ts';

const tokenColumns = `${tokenFaceColumns}, secret_hash, ttl, created_by, revoked_at, flagged_at, member_of`;
/** Of a use, with its token's row: whose name is not told has the token's own. */
const useColumns = 'token, key_hash, coalesce(name, subject) AS identity, serial, used_at';

export interface SqliteTokens extends TokenStore {
  /** To be called in the transaction that records `record`. CG_TOKEN_SPENT, CG_RENEW_REFUSED. */
  readonly recordCause: (cause: IssueCause, record: CertificateRecord) => void;
}

/** The tokens' part of a store over `tools`. */
export function sqliteTokens(tools: SqliteTools): SqliteTokens {
  const { sql, read, write, nextRevision, record } = tools;
  const { recordUse, ...identityTokens } = sqliteIdentityTokens(tools);
  const insertToken = sql(
    `INSERT INTO tokens (${tokenColumns}) VALUES (:id, :subject, :uses, :usesLeft, :expiresAt, :createdAt, NULL,
       :secretHash, :ttlMs, :createdBy, NULL, NULL, :groups)`,
  );
  const selectToken = sql(`SELECT ${tokenColumns} FROM tokens WHERE id = ?`);
  const selectTokens = sql(`SELECT ${tokenColumns} FROM tokens ORDER BY created_at DESC, id LIMIT 1000`);
  const selectUses = sql(
    `SELECT ${useColumns} FROM token_uses JOIN tokens ON id = token WHERE token = ? ORDER BY used_at, name, key_hash LIMIT 1000`,
  );
  const selectTokenAndUse = sql(
    `SELECT ${tokenColumns}, ${useColumns} FROM tokens LEFT JOIN token_uses ON token = id AND key_hash = ? WHERE id = ?`,
  );
  const selectUseByName = sql(
    `SELECT ${useColumns} FROM token_uses JOIN tokens ON id = token WHERE token = ? AND name = ? ORDER BY used_at DESC LIMIT 1`,
  );
  const endToken = sql('UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL');
  const spend = sql(
    `UPDATE tokens SET uses_left = uses_left - 1
       WHERE id = ? AND uses_left > 0 AND revoked_at IS NULL AND expires_at > ?`,
  );
  const insertUse = sql(
    `INSERT OR IGNORE INTO token_uses (token, key_hash, name, serial, used_at)
       SELECT id, :keyHash, nullif(:identity, subject), :serial, :usedAt FROM tokens WHERE id = :token`,
  );
  // Where the token leaves the name to who uses it, whoever was faster with that name has it.
  const nameIsFree = sql(
    `SELECT 1 FROM tokens WHERE id = :token AND (subject = :identity OR (
       NOT EXISTS (SELECT 1 FROM token_uses WHERE token = :token AND name = :identity) AND
       NOT EXISTS (SELECT 1 FROM certificates WHERE identity = :identity AND serial <> :serial AND revoked = 0
         AND not_after > :now)))`,
  );
  const insertSuccession = sql('INSERT INTO successions (serial, replaces, key_hash, seen_at) VALUES (?, ?, ?, NULL)');
  const selectSuccessors = sql(
    'SELECT serial, replaces, key_hash, seen_at FROM successions WHERE replaces = ? ORDER BY rowid',
  );
  const selectUnseen = sql(
    'SELECT serial, replaces, key_hash, seen_at FROM successions WHERE serial = ? AND seen_at IS NULL',
  );
  const renewable = sql(
    `SELECT 1 FROM certificates WHERE serial = :serial AND revoked = 0 AND NOT EXISTS (
       SELECT 1 FROM locks WHERE scope = 'serial' AND subject = :serial AND unlocked_at IS NULL
         AND (until IS NULL OR until > :now))`,
  );
  const see = sql('UPDATE successions SET seen_at = ? WHERE serial = ? AND seen_at IS NULL');

  return {
    ...identityTokens,
    addToken: (token, audit) =>
      write(() => {
        nextRevision();
        const { id, secretHash, subject, uses, usesLeft, ttlMs, expiresAt, createdAt, createdBy } = token;
        insertToken.run({
          ...{ id, secretHash, subject, uses, usesLeft, ttlMs, expiresAt, createdAt, createdBy },
          groups: groupsText(token.groups),
        });
        record(audit);
      }),
    token: (id) =>
      read(() => {
        const row = selectToken.get(id);
        return row === undefined ? null : tokenOf(row);
      }),
    tokens: () => read(() => selectTokens.all().map(tokenOf)),
    tokenUses: (id) => read(() => selectUses.all(id).map(tokenUseOf)),
    tokenFor: (id, { keyHash, asked }) =>
      read(() => {
        const row = selectTokenAndUse.get(keyHash, id);
        if (row === undefined) return null;
        const token = tokenOf(row);
        if (row['key_hash'] !== null) return { token, use: tokenUseOf(row) };
        const use = asked === null || asked === token.subject ? undefined : selectUseByName.get(id, asked);
        return { token, use: use === undefined ? null : tokenUseOf(use) };
      }),
    revokeToken: (id, at, audit) =>
      write(() => {
        if (endToken.run(at, id).changes !== 1) return false;
        nextRevision();
        record(audit);
        return true;
      }),
    successors: (serial) => read(() => selectSuccessors.all(serial).map(successionOf)),
    unseenSuccession: (serial) =>
      read(() => {
        const row = selectUnseen.get(serial);
        return row === undefined ? null : successionOf(row);
      }),
    markSeen: (serial, at) => write(() => see.run(at, serial).changes === 1),
    recordCause(cause, certificate) {
      const { serial, identity, issuedAt } = certificate;
      if (cause.kind === 'renewal') {
        // Here, and not before: a revocation that was committed in between must not be outrun.
        if (renewable.get({ serial: cause.replaces, now: issuedAt }) === undefined) {
          throw new CertgateError('CG_RENEW_REFUSED', { serial: cause.replaces });
        }
        insertSuccession.run(serial, cause.replaces, cause.keyHash);
        return;
      }
      if (cause.kind === 'identity-token') {
        recordUse(cause, certificate);
        return;
      }
      const spent = (): CertgateError => new CertgateError('CG_TOKEN_SPENT', { token: cause.token });
      if (spend.run(cause.token, issuedAt).changes !== 1) throw spent();
      const { token, keyHash } = cause;
      if (nameIsFree.get({ token, identity, serial, now: issuedAt }) === undefined) throw spent();
      if (insertUse.run({ token, keyHash, identity, serial, usedAt: issuedAt }).changes !== 1) throw spent();
    },
  };
}

function tokenOf(row: Row): TokenRecord {
  return {
    ...tokenFaceOf(row),
    secretHash: textOf(row, 'secret_hash'),
    ttlMs: numberOf(row, 'ttl'),
    ...groupsIn(row),
    createdBy: textOf(row, 'created_by'),
    revokedAt: numberOrNull(row, 'revoked_at'),
    flaggedAt: numberOrNull(row, 'flagged_at'),
  };
}

function successionOf(row: Row): Succession {
  return {
    serial: textOf(row, 'serial'),
    replaces: textOf(row, 'replaces'),
    keyHash: textOf(row, 'key_hash'),
    seenAt: numberOrNull(row, 'seen_at'),
  };
}
