// The part of the SQLite store that keeps flags (flags.ts). Like sqlite-ca.ts it runs in the transactions that `write` opens.
import type { FlagStore } from './flags.ts';
import type { SqliteTools } from './sqlite-ca.ts';
import { flagColumns, flagOf } from './sqlite-rows.ts';

export function sqliteFlags({ sql, read, write, nextRevision, record }: SqliteTools): FlagStore {
  const insert = sql(`INSERT OR IGNORE INTO flags (${flagColumns}) VALUES (?, ?, ?)`);
  const remove = sql(`DELETE FROM flags WHERE identity = ? RETURNING ${flagColumns}`);
  const selectAll = sql(`SELECT ${flagColumns} FROM flags ORDER BY flagged_at, identity`);
  const flagToken = sql('UPDATE tokens SET flagged_at = :at, flag = :reason WHERE id = :token AND flagged_at IS NULL');
  const flagIdentityToken = sql(
    `UPDATE identity_token_uses SET flagged_at = :at WHERE token = :token
       AND NOT EXISTS (SELECT 1 FROM identity_token_uses WHERE token = :token AND flagged_at IS NOT NULL)`,
  );
  return {
    flag: ({ identity, reason, flaggedAt: at }, by, audit) =>
      write(() => {
        const isNew = insert.run(identity, reason, at).changes > 0;
        const isNewOfToken =
          by?.kind === 'token'
            ? flagToken.run({ token: by.token, at, reason }).changes > 0
            : by !== null && flagIdentityToken.run({ token: by.token, at }).changes > 0;
        if (!isNew && !isNewOfToken) return false;
        nextRevision();
        record(audit);
        return true;
      }),
    unflag: (identity, audit) =>
      write(() => {
        const row = remove.get(identity);
        if (row === undefined) return null;
        const flag = flagOf(row);
        nextRevision();
        record(audit(flag));
        return flag;
      }),
    flags: () => read(() => selectAll.all().map(flagOf)),
  };
}
