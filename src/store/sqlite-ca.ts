// The CA's own part of the SQLite store: its certificates and their states, locks, CRL numbers, and who has which trust
// bundle. Every change runs in the transaction that `write` opens, with its audit entry; nothing here begins or commits.
import type { StatementSync } from 'node:sqlite';
import { CertgateError, shown } from '../errors.ts';
import type { AuditEntry } from './audit-entry.ts';
import { isTaken } from './sqlite-failure.ts';
import { caOf, lockColumns, lockOf, numberOf, textOf } from './sqlite-rows.ts';
import type { Store } from './store.ts';

export interface SqliteTools {
  /** Prepared once. */
  readonly sql: (text: string) => StatementSync;
  readonly read: <T>(deed: () => T) => Promise<T>;
  /** In one transaction; what `deed` throws undoes it. */
  readonly write: <T>(deed: () => T) => Promise<T>;
  /** Once in each transaction that decides anything. */
  readonly nextRevision: () => number;
  readonly record: (entry: AuditEntry) => void;
}

type CaStore = Pick<
  Store,
  | 'listCa'
  | 'changeCa'
  | 'lock'
  | 'unlock'
  | 'locks'
  | 'crlNumber'
  | 'nextCrlNumber'
  | 'noteBundle'
  | 'identitiesWithout'
  | 'liveIdentities'
  | 'lastEnd'
>;

/**
 * For a bundle's hash and the moment: as `Store.identitiesWithout`. Only `gate/…` has certificates for servers
 * (authority.ts), so that the index alone is walked, by name, and no further than is wanted.
 */
export const IDENTITIES_WITHOUT = `
  SELECT DISTINCT c.identity FROM certificates c INDEXED BY certificates_by_identity
      LEFT JOIN bundles_taken b ON b.serial = c.serial AND b.bundle = ?
    WHERE c.revoked = 0 AND c.not_after > ? AND c.identity NOT GLOB 'gate/*' AND b.serial IS NULL
    ORDER BY c.identity LIMIT 1000`;

/** The CA's part of a store over `tools`. */
export function sqliteCa({ sql, read, write, nextRevision, record }: SqliteTools): CaStore {
  const selectCa = sql(
    `SELECT key_id, role, generation, parent, state, der, added_at, changed_at FROM authorities
       ORDER BY CASE role WHEN 'root' THEN 0 WHEN 'intermediate' THEN 1 ELSE 2 END, generation`,
  );
  const insertCa = sql(
    `INSERT INTO authorities (key_id, role, generation, parent, state, der, added_at, changed_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const selectPrepared = sql("SELECT key_id FROM authorities WHERE role = 'root' AND state = 'prepared'");
  const selectLastChange = sql('SELECT coalesce(max(changed_at), 0) AS last FROM authorities');
  const moveCa = sql('UPDATE authorities SET state = ?, changed_at = ? WHERE key_id = ? AND state = ?');
  const renameCa = sql('UPDATE authorities SET key_id = ? WHERE key_id = ?');
  const upsertMeta = sql('INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value');
  const insertLock = sql(
    'INSERT INTO locks (scope, subject, reason, actor, locked_at, until) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const endLock = sql(
    `UPDATE locks SET unlocked_at = :at WHERE scope = :scope AND subject = :subject AND unlocked_at IS NULL
       RETURNING until IS NULL OR until > :at AS stood`,
  );
  const selectLocks = sql(
    `SELECT ${lockColumns} FROM locks
       WHERE unlocked_at IS NULL AND (until IS NULL OR until > ?) ORDER BY id`,
  );
  const selectCrl = sql('SELECT number FROM crls WHERE issuer = ?');
  const countCrl = sql(
    `INSERT INTO crls VALUES (:issuer, :above + 1)
       ON CONFLICT (issuer) DO UPDATE SET number = max(number, :above) + 1 RETURNING number`,
  );
  const upsertBundle = sql(
    `INSERT INTO bundles_taken VALUES (?, ?, ?, ?) ON CONFLICT (serial)
       DO UPDATE SET identity = excluded.identity, bundle = excluded.bundle, taken_at = excluded.taken_at`,
  );
  const selectWithout = sql(IDENTITIES_WITHOUT);
  const selectIdentities = sql(
    `SELECT DISTINCT identity FROM certificates WHERE issuer = ? AND revoked = 0 AND not_after > ? AND profile = 'client'
       ORDER BY identity LIMIT 1000`,
  );
  // Who issued it stands in the table alone: from the last end on, so that one that lives long is found at once.
  const selectLastEnd = sql(
    `SELECT not_after FROM certificates INDEXED BY certificates_by_expiry
       WHERE issuer = ? AND revoked = 0 AND not_after > ? AND profile = 'client' ORDER BY not_after DESC LIMIT 1`,
  );

  return {
    listCa: () => read(() => selectCa.all().map(caOf)),
    changeCa: ({ add = [], states = [], renames = [], meta = {}, at }, audit) =>
      write(() => {
        nextRevision();
        try {
          for (const { from, to } of renames) {
            if (renameCa.run(to, from).changes !== 1) throw changed(`${from} is known by another name`);
          }
          const moment = Math.max(at, numberOf(selectLastChange.get(), 'last') + 1);
          for (const { keyId, from, to } of states) {
            if (moveCa.run(to, moment, keyId, from).changes !== 1) throw changed(`${keyId} is no longer ${from}`);
            const held = to === 'retired' ? selectIdentities.get(keyId, at) : undefined;
            if (held !== undefined)
              throw changed(`${shown(textOf(held, 'identity'))} has a certificate of ${keyId} by now`);
          }
          for (const r of add) {
            if (r.role === 'root' && r.state === 'prepared' && selectPrepared.get() !== undefined) {
              throw changed('another root is prepared by now');
            }
            insertCa.run(r.keyId, r.role, r.generation, r.parent, r.state, r.der, r.addedAt, moment);
          }
        } catch (error) {
          if (isTaken(error)) throw changed('it has another certificate of that generation by now', error);
          throw error;
        }
        for (const [key, value] of Object.entries(meta)) upsertMeta.run(key, value);
        record(audit);
      }),
    lock: (lock, audit) =>
      write(() => {
        nextRevision();
        endLock.all({ at: lock.lockedAt, scope: lock.scope, subject: lock.subject });
        insertLock.run(lock.scope, lock.subject, lock.reason, lock.actor, lock.lockedAt, lock.until);
        record(audit);
      }),
    unlock: (scope, subject, at, audit) =>
      write(() => {
        const ended = endLock.all({ at, scope, subject });
        if (!ended.some((row) => numberOf(row, 'stood') === 1)) return false;
        nextRevision();
        record(audit);
        return true;
      }),
    locks: (now) => read(() => selectLocks.all(now).map(lockOf)),
    crlNumber: (issuer) =>
      read(() => {
        const row = selectCrl.get(issuer);
        return row === undefined ? 0 : numberOf(row, 'number');
      }),
    nextCrlNumber: (issuer, above = 0) => write(() => numberOf(countCrl.get({ issuer, above }), 'number')),
    noteBundle: ({ serial, identity, bundle, takenAt }) =>
      write(() => {
        upsertBundle.run(serial, identity, bundle, takenAt);
      }),
    identitiesWithout: (bundle, now) =>
      read(() => selectWithout.all(bundle, now).map((row) => textOf(row, 'identity'))),
    liveIdentities: (issuer, now) =>
      read(() => selectIdentities.all(issuer, now).map((row) => textOf(row, 'identity'))),
    lastEnd: (issuer, now) =>
      read(() => {
        const row = selectLastEnd.get(issuer, now);
        return row === undefined ? null : numberOf(row, 'not_after');
      }),
  };
}

function changed(problem: string, cause?: unknown): CertgateError {
  return new CertgateError('CG_CA_CHANGED', { problem }, { cause });
}
