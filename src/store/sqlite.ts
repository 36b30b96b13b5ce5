// The store in one SQLite file (node:sqlite): write-ahead log, synchronous=FULL, so that what was committed survives a
// kill and a power cut (sqlite.org/wal.html). Every change is whole or not at all, together with its audit entry and a new
// revision; changes that come together share a BEGIN IMMEDIATE transaction that runs without a pause (sqlite-group.ts).
// Another process's lock is waited for without blocking this process. What is no longer the file that was opened is never
// believed: reads and writes fail with CG_STORE_LOST.
import { resolve } from 'node:path';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import { CertgateError } from '../errors.ts';
import type { AuditEntry } from './audit-entry.ts';
import { ACT_COLUMNS, actAdder, auditEntryOf } from './sqlite-acts.ts';
import { sqliteCa } from './sqlite-ca.ts';
import { isBusy, isTaken, storeFailure } from './sqlite-failure.ts';
import { createStoreFile, openStoreFile } from './sqlite-file.ts';
import { sqliteFlags } from './sqlite-flags.ts';
import { openGroupedWrites } from './sqlite-group.ts';
import { pageOf, pageSize, SPARSE } from './sqlite-listing.ts';
import {
  type CellStatement,
  certificateColumns,
  certificateOf,
  compromisedOf,
  groupsText,
  inCells,
  lockColumns,
  lockOf,
  numberIn,
  numberOf,
  revocationColumns,
  revocationOf,
  standingOf,
  textOf,
} from './sqlite-rows.ts';
import { sqliteTokens } from './sqlite-tokens.ts';
import { outweighs, type Store, UNKNOWN_IDENTITY } from './store.ts';

/** How long another process's lock is waited for, ms. */
const PATIENCE = 5000;
/** How old a look at the files under the store may be when something is read from it, ms. */
const LOOK_EVERY = 5;

export interface SqliteOptions {
  /** Makes the store; CG_STORE_EXISTS when something is there. Otherwise it must exist. */
  readonly create?: boolean;
  /** Nothing can be changed through it, not even the schema brought up to date. */
  readonly readOnly?: boolean;
  /** What each entry of the record that is written through it says besides, in its detail: from where its writer acts. */
  readonly origin?: AuditEntry['detail'];
}

/**
 * The store in the SQLite file at `path`. Blocks while it opens, 5 s at most if another process holds it.
 * @throws CG_STORE_MISSING, CG_STORE_EXISTS, CG_STORE_FOREIGN, CG_STORE_NEWER, CG_STORE_OLDER, CG_STORE_CORRUPT,
 *   CG_STORE_FULL, CG_STORE_READONLY, CG_STORE_BUSY, CG_STORE_IO
 */
export function openSqliteStore(path: string, options: SqliteOptions = {}): Store {
  const location = resolve(path);
  if (options.create === true) createStoreFile(location);
  const { db, check } = openStoreFile(location, options.readOnly === true);
  return sqliteStore(db, location, check, options.origin);
}

function sqliteStore(
  db: DatabaseSync,
  location: string,
  check: () => void,
  origin: AuditEntry['detail'] | undefined,
): Store {
  db.exec('PRAGMA busy_timeout = 0'); // SQLite would wait by blocking this process; `patiently` waits instead
  const prepared = new Map<string, StatementSync>();
  const sql = (text: string): StatementSync => {
    const known = prepared.get(text);
    if (known !== undefined) return known;
    const statement = db.prepare(text);
    prepared.set(text, statement);
    return statement;
  };
  const cells = (text: string): CellStatement => inCells(sql(text));
  const countUp = cells('UPDATE revision SET number = number + 1 RETURNING number');
  const thisRevision = cells('SELECT number FROM revision');
  const insertCertificate = sql(
    `INSERT INTO certificates (${certificateColumns}, revoked) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, 0)`,
  );
  const revokeCertificate = sql(
    `UPDATE certificates SET revoked = 1, revoked_at = ?, reason = ?, revoked_revision = ?
       WHERE serial = ? AND revoked = 0 RETURNING ${certificateColumns}`,
  );
  const regradeCertificate = sql(
    `UPDATE certificates SET regraded = 1, reason = ?, revoked_revision = ? WHERE serial = ? RETURNING ${certificateColumns}`,
  );
  const selectCertificate = sql(`SELECT ${certificateColumns} FROM certificates WHERE serial = ?`);
  const selectStanding = cells(
    'SELECT identity, not_after, fingerprint, revoked_at FROM certificates WHERE serial = ? AND issuer = ?',
  );
  const selectRevocations = cells(
    `SELECT ${revocationColumns} FROM certificates
       WHERE revoked_revision > ?1 AND revoked_revision <= (SELECT max(found) FROM (
         SELECT revoked_revision AS found FROM certificates WHERE revoked_revision > ?1
           ORDER BY revoked_revision LIMIT ?2))
       ORDER BY revoked_revision, id`,
  );
  const locksOn = `FROM locks WHERE unlocked_at IS NULL AND (until IS NULL OR until > ?)
       AND ((scope = 'identity' AND subject = ?) OR (scope = 'all' AND subject = ''))`;
  const selectLocksOn = sql(`SELECT ${lockColumns} ${locksOn}`);
  /** What may stand against a certificate, as a rule nothing. */
  const selectAgainst = cells(
    `SELECT (SELECT state FROM authorities WHERE key_id = ?) = 'retired', EXISTS (SELECT 1 ${locksOn})`,
  );
  /** Every certificate asks, and as a rule there is nothing new: the end of the index says so in a seventh of the time. */
  const selectNewestCompromised = cells(
    "SELECT max(revoked_revision) FROM certificates WHERE reason = 'keyCompromise'",
  );
  const selectCompromised = sql(
    `SELECT serial, identity, der, revoked_revision FROM certificates
       WHERE revoked_revision > :after AND reason = 'keyCompromise' AND identity <> '${UNKNOWN_IDENTITY}'
         AND revoked_revision <= (SELECT max(found) FROM (
           SELECT revoked_revision AS found FROM certificates WHERE revoked_revision > :after AND reason = 'keyCompromise'
             AND identity <> '${UNKNOWN_IDENTITY}' ORDER BY revoked_revision LIMIT :limit))
       ORDER BY revoked_revision, id`,
  );
  const selectAudit = sql(`SELECT ${ACT_COLUMNS} FROM audit WHERE id > ? ORDER BY id LIMIT ?`);
  const selectLastAct = sql(`SELECT ${ACT_COLUMNS} FROM audit ORDER BY id DESC LIMIT 1`);
  const upsertCheckpoint = sql(
    'INSERT INTO checkpoint VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET line = excluded.line',
  );
  const selectCheckpoint = sql('SELECT line FROM checkpoint');
  const selectMeta = sql('SELECT value FROM meta WHERE key = ?');
  let lookedAt = Number.NEGATIVE_INFINITY;

  async function patiently<T>(deed: () => T): Promise<T> {
    const started = performance.now();
    for (;;) {
      if (!db.isOpen) throw new CertgateError('CG_STORE_CLOSED', { location });
      try {
        return deed();
      } catch (error) {
        const waited = performance.now() - started;
        if (!isBusy(error) || waited > PATIENCE) throw storeFailure(error, location, Math.round(waited));
      }
      await pause(1 + Math.random() * 15);
    }
  }

  const look = (): void => {
    check();
    lookedAt = performance.now();
  };

  const read = <T>(deed: () => T): Promise<T> =>
    patiently(() => {
      if (performance.now() - lookedAt >= LOOK_EVERY) look();
      return deed();
    });

  const acts = actAdder(db);
  const failure = (error: unknown): unknown => storeFailure(error, location, 0);
  /** Of this transaction: what is committed at once is one step for whoever reads. */
  let counted: number | null = null;
  const forget = (): void => {
    acts.forget();
    counted = null;
  };
  const write = openGroupedWrites({ db, sql, patiently, check: look, failure, forget });

  const nextRevision = (): number => {
    counted ??= numberIn(countUp.get()?.[0], 'number');
    return counted;
  };

  const record = (entry: AuditEntry): void => acts.add({ ...entry, detail: { ...entry.detail, ...origin } });

  const tools = { sql, read, write: write.add, nextRevision, record };
  const { recordCause, ...tokens } = sqliteTokens(tools);

  return {
    location,
    openings: 1,
    meta: (key) =>
      read(() => {
        const row = selectMeta.get(key);
        return row === undefined ? null : textOf(row, 'value');
      }),
    addCertificate: (r, audit, approve, cause) =>
      write.add(() => {
        nextRevision();
        const [isRetired, isLocked] = selectAgainst.get(r.issuer, r.issuedAt, r.identity) ?? [];
        // Who has not seen the CA change yet would hand out what nobody lets in any more.
        if (isRetired === 1) {
          throw new CertgateError('CG_CA_CHANGED', { problem: `the issuer ${r.issuer} is retired by now` });
        }
        approve?.(isLocked === 0 ? [] : selectLocksOn.all(r.issuedAt, r.identity).map(lockOf));
        try {
          insertCertificate.run(
            ...[r.serial, r.issuer, r.identity, r.profile, r.subject, r.notBefore, r.notAfter, r.fingerprint, r.der],
            ...[r.issuedAt, r.wantedTtl ?? null, groupsText(r.groups), r.renewable === false ? 0 : 1],
          );
        } catch (error) {
          if (isTaken(error)) throw new CertgateError('CG_STORE_SERIAL_TAKEN', { serial: r.serial }, { cause: error });
          throw error;
        }
        if (cause !== undefined) recordCause(cause, r);
        record(audit);
      }),
    revoke: (serials, reason, at, audit) =>
      write.add(() => {
        let revision: number | undefined;
        return serials.flatMap((serial) => {
          const known = selectCertificate.get(serial);
          if (known === undefined) return [];
          const { reason: before, ...certificate } = certificateOf(known);
          if (before !== null && !outweighs(reason, before)) return [{ ...certificate, reason: before }];
          revision ??= nextRevision();
          const row =
            before === null
              ? revokeCertificate.get(at, reason, revision, serial)
              : regradeCertificate.get(reason, revision, serial);
          const revoked = certificateOf(row ?? known);
          record(audit(revoked, before));
          return [revoked];
        });
      }),
    listCertificates: (filter) =>
      read(() => {
        const page = pageOf(filter, (probe) => numberOf(sql(probe.sql).get(probe.values), 'found') < SPARSE);
        return sql(page.sql).all(page.values).map(certificateOf);
      }),
    standing: (issuer, serial) =>
      read(() => {
        const row = selectStanding.get(serial, issuer);
        return row === undefined ? null : standingOf(row);
      }),
    addAudit: (entry) =>
      write.add(() => {
        nextRevision();
        record(entry);
      }),
    listAudit: ({ afterId = 0, limit }) => read(() => selectAudit.all(afterId, pageSize(limit)).map(auditEntryOf)),
    lastAct: () =>
      read(() => {
        const row = selectLastAct.get();
        return row === undefined ? null : auditEntryOf(row);
      }),
    saveCheckpoint: (line) =>
      write.add(() => {
        upsertCheckpoint.run(line);
      }),
    checkpoint: () =>
      read(() => {
        const row = selectCheckpoint.get();
        return row === undefined ? null : textOf(row, 'line');
      }),
    revision: () => read(() => numberIn(thisRevision.get()?.[0], 'number')),
    revocationsSince: (after, limit = -1) => read(() => selectRevocations.all(after, limit).map(revocationOf)),
    ...sqliteCa(tools),
    ...tokens,
    ...sqliteFlags(tools),
    compromisedSince: (after, limit = -1) =>
      read(() => {
        const newest = selectNewestCompromised.get()?.[0];
        if (typeof newest !== 'number' || newest <= after) return [];
        return selectCompromised.all({ after, limit }).map(compromisedOf);
      }),
    close: async () => {
      await write.settled();
      if (db.isOpen) db.close();
    },
  };
}
