// The part of the SQLite store that keeps tokens and successions (tokens.ts). Like sqlite-ca.ts it runs in the
// transactions that `write` opens; `recordCause` runs in the one that records a certificate, and what it throws undoes it.
import { CertgateError } from '../errors.ts';
import type { SqliteTools } from './sqlite-ca.ts';
import { sqliteIdentityTokens } from './sqlite-identity-tokens.ts';
import {
  groupsText,
  inCells,
  numberOrNull,
  type Row,
  textOf,
  tokenColumns,
  tokenOf,
  tokenUseOf,
} from './sqlite-rows.ts';
import type { CertificateRecord } from './store.ts';
import type { IssueCause, Succession, TokenStore } from './tokens.ts';

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
       :secretHash, :ttlMs, :groups, :createdBy, NULL, NULL)`,
  );
  const selectToken = inCells(sql(`SELECT ${tokenColumns} FROM tokens WHERE id = ?`));
  const selectTokens = inCells(sql(`SELECT ${tokenColumns} FROM tokens ORDER BY created_at DESC, id LIMIT 1000`));
  const selectUses = sql(
    `SELECT ${useColumns} FROM token_uses JOIN tokens ON id = token WHERE token = ? ORDER BY used_at, name, key_hash LIMIT 1000`,
  );
  const selectUseByKey = sql(
    `SELECT ${useColumns} FROM token_uses JOIN tokens ON id = token WHERE token = ? AND key_hash = ?`,
  );
  const selectUseByName = sql(
    `SELECT ${useColumns} FROM token_uses JOIN tokens ON id = token WHERE token = ? AND name = ? ORDER BY used_at DESC LIMIT 1`,
  );
  const endToken = sql('UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL');
  const spend = inCells(
    sql(
      `UPDATE tokens SET uses_left = uses_left - 1
       WHERE id = ? AND uses_left > 0 AND revoked_at IS NULL AND expires_at > ? RETURNING subject`,
    ),
  );
  const insertUse = sql(
    'INSERT OR IGNORE INTO token_uses (token, key_hash, name, serial, used_at) VALUES (?, ?, ?, ?, ?)',
  );
  // Where the token leaves the name to who uses it, whoever was faster with that name has it.
  const nameIsTaken = sql(
    `SELECT 1 WHERE EXISTS (SELECT 1 FROM token_uses WHERE token = :token AND name = :identity) OR
       EXISTS (SELECT 1 FROM certificates WHERE identity = :identity AND serial <> :serial AND revoked = 0
         AND not_after > :now)`,
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
        const row = selectToken.get(id);
        if (row === undefined) return null;
        const token = tokenOf(row);
        // Most come for the first time.
        if (token.usesLeft === token.uses) return { token, use: null };
        const isNamed = asked !== null && asked !== token.subject;
        const use = selectUseByKey.get(id, keyHash) ?? (isNamed ? selectUseByName.get(id, asked) : undefined);
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
      const { token, keyHash } = cause;
      const spent = (): CertgateError => new CertgateError('CG_TOKEN_SPENT', { token });
      const row = spend.get(token, issuedAt);
      if (row === undefined) throw spent();
      const name = row[0] === identity ? null : identity;
      if (name !== null && nameIsTaken.get({ token, identity, serial, now: issuedAt }) !== undefined) throw spent();
      if (insertUse.run(token, keyHash, name, serial, issuedAt).changes !== 1) throw spent();
    },
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
