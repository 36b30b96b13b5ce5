// A store as something to be carried away and brought back: a consistent copy of one that others go on writing, what a
// copy says about itself, and what a revocation list knows that an old copy does not. The copy is SQLite's VACUUM INTO:
// one read transaction, so it holds one revision and all of it, whoever writes meanwhile; the online backup API would
// start anew whenever another process commits, and might never end. Nothing here changes the store that is copied.
import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { CertgateError, isCertgateError } from '../errors.ts';
import type { AuditEntry } from './audit-entry.ts';
import { actAdder } from './sqlite-acts.ts';
import { storeFailure } from './sqlite-failure.ts';
import {
  connect,
  fileFailure,
  isFrozen,
  type OpenStoreFile,
  openStoreFile,
  pragma,
  requireSchema,
  unshared,
  wantsRoomToRead,
} from './sqlite-file.ts';
import { caOf, numberOf, revocationReasonOf, textOf } from './sqlite-rows.ts';
import { type CaRecord, outweighs, type RevocationReason, UNKNOWN_IDENTITY } from './store.ts';

/** What a store's file says about itself. Key identifiers and hashes are lower-case hex. */
export interface StoreFacts {
  /** Its schema version. */
  readonly schema: number;
  readonly revision: number;
  readonly certificates: number;
  /** Null when it was never finished. */
  readonly trustDomain: string | null;
  readonly rootFingerprint: string | null;
  /** The number of each issuer's newest CRL. */
  readonly crlNumbers: Readonly<Record<string, number>>;
  /** Who issued the certificates in it. */
  readonly issuers: readonly string[];
  /** The CA's own certificates; none in a store of an older certgate. */
  readonly authorities: readonly CaRecord[];
}

/** A certificate that a revocation list names. Times are ms since the epoch. */
export interface ListedRevocation {
  readonly serial: string;
  readonly issuer: string;
  readonly revokedAt: number;
  readonly reason: RevocationReason;
  /** The latest that a certificate of this issuer can expire, for one that the store does not know. */
  readonly issuerNotAfter: number;
}

export interface Adoption {
  readonly listed: readonly ListedRevocation[];
  /** Issuer to the number that its next CRL must be above. */
  readonly crlNumbers: ReadonlyMap<string, number>;
  /** What the number of the trust bundle must be above; 0 for what the store knows. */
  readonly bundleAbove: number;
  /** Who does it, and when: for the audit entry of each revocation, and for the one of it all. */
  readonly actor: string;
  readonly at: number;
  readonly audit: (counts: AdoptedCounts) => AuditEntry;
}

export interface AdoptedCounts {
  /** Were valid in the store. */
  readonly revoked: number;
  /** Were not in the store at all. */
  readonly unknown: number;
  /** One-time tokens that could still be used by the store, and can no more. */
  readonly tokens: number;
}

/** What taking over a long list may hold in memory, KiB: serials are random, so that every row is on another page. */
const CACHE_KIB = 131_072;
/** Revocations that share one revision: who reads them in pages gets as many at a time (Store.revocationsSince). */
const A_REVISION = 500;
/**
 * Copies the store at `from` into the empty file `to`, which must exist and keeps its mode, and checks the copy. Blocks.
 * @throws CG_STORE_MISSING, CG_STORE_FOREIGN, CG_STORE_NEWER, CG_STORE_CORRUPT, CG_STORE_BUSY and others of the store, with
 *   the location `to` when it is the copy that cannot be written
 */
export function copyStoreFile(from: string, to: string): StoreFacts {
  const { db, check } = openAsIs(from);
  try {
    db.prepare('VACUUM INTO ?').run(to);
    check();
  } catch (error) {
    const failure = storeFailure(error, from);
    const target = ['CG_STORE_FULL', 'CG_STORE_IO', 'CG_STORE_READONLY'].includes(failure.code);
    throw target ? storeFailure(error, to) : failure;
  } finally {
    db.close();
  }
  sync(to);
  try {
    return factsOf(to, 'quick_check'); // its indexes were made just now, from its tables
  } catch (error) {
    // The copy is what was read.
    if (!isCertgateError(error, 'CG_STORE_CORRUPT')) throw error;
    throw new CertgateError('CG_STORE_CORRUPT', { ...error.facts, location: from }, { cause: error });
  }
}

/** What the store at `path`, of this schema or an older one, says about itself, once SQLite has found it sound. As `copyStoreFile`. */
export function readStoreFacts(path: string): StoreFacts {
  return factsOf(path, 'integrity_check');
}

function factsOf(path: string, check: 'quick_check' | 'integrity_check'): StoreFacts {
  const { db } = openAsIs(path);
  try {
    const verdict = db.prepare(`PRAGMA ${check}(1)`).get()?.[check];
    if (verdict !== 'ok')
      throw new CertgateError('CG_STORE_CORRUPT', { location: path, problem: String(verdict).replaceAll('\n', ' ') });
    const schema = pragma(db, 'user_version');
    const meta = new Map(
      db
        .prepare('SELECT key, value FROM meta')
        .all()
        .map((row) => [textOf(row, 'key'), textOf(row, 'value')]),
    );
    const crls = schema < 2 ? [] : db.prepare('SELECT issuer, number FROM crls ORDER BY issuer').all();
    const authorities = schema < 2 ? [] : db.prepare('SELECT * FROM authorities ORDER BY role DESC, generation').all();
    return {
      schema,
      revision: numberOf(db.prepare('SELECT number FROM revision').get(), 'number'),
      certificates: numberOf(db.prepare('SELECT count(*) AS n FROM certificates').get(), 'n'),
      trustDomain: meta.get('trustDomain') ?? null,
      rootFingerprint: meta.get('rootFingerprint') ?? null,
      crlNumbers: Object.fromEntries(crls.map((row) => [textOf(row, 'issuer'), numberOf(row, 'number')])),
      issuers: db
        .prepare('SELECT DISTINCT issuer FROM certificates ORDER BY issuer')
        .all()
        .map((row) => textOf(row, 'issuer')),
      authorities: authorities.map(caOf),
    };
  } catch (error) {
    throw storeFailure(error, path);
  } finally {
    db.close();
  }
}

/**
 * Takes over, in one transaction, what revocation lists say, into a store that nobody else has open. What is valid there
 * becomes revoked at the list's moment and for its reason. What is not there is recorded as revoked, so that its serial
 * stays taken and the next list names it too: as UNKNOWN_IDENTITY, with its serial in place of its DER. What was revoked
 * stays as it is, but where the list knows that a key was compromised. One-time tokens end; the moment is kept, so
 * that identity tokens from before it are told. Brings the store to the newest schema.
 * @throws CG_STORE_*
 */
export function adoptRevocations(
  path: string,
  { listed, crlNumbers, bundleAbove, actor, at, audit }: Adoption,
): AdoptedCounts {
  const { db } = openStoreFile(path, false);
  try {
    db.exec(`PRAGMA cache_size = -${CACHE_KIB}; BEGIN IMMEDIATE`);
    const countUp = db.prepare('UPDATE revision SET number = number + 1 RETURNING number');
    let [revision, changes] = [0, 0];
    const known = db.prepare('SELECT issuer, identity, not_after, revoked, reason FROM certificates WHERE serial = ?');
    const revoke = db.prepare(
      'UPDATE certificates SET revoked = 1, revoked_at = ?, reason = ?, revoked_revision = ? WHERE serial = ?',
    );
    const regrade = db.prepare(
      'UPDATE certificates SET regraded = 1, reason = ?, revoked_revision = ? WHERE serial = ?',
    );
    const insert = db.prepare(
      `INSERT INTO certificates (serial, issuer, identity, profile, subject, not_before, not_after, fingerprint, der,
         issued_at, revoked, revoked_at, reason, revoked_revision) VALUES (?, ?, ?, 'client', '', ?, ?, ?, ?, ?, 1, ?, ?, ?)`,
    );
    const { add: record } = actAdder(db);
    const number = db.prepare(
      'INSERT INTO crls VALUES (?, ?) ON CONFLICT (issuer) DO UPDATE SET number = max(number, excluded.number)',
    );
    let [revoked, unknown] = [0, 0];
    for (const { serial, issuer, revokedAt, reason, issuerNotAfter } of listed) {
      const row = known.get(serial);
      // Serials are 128 random bits: one that another issuer has given is somebody else's certificate.
      if (row !== undefined && row['issuer'] !== issuer) continue;
      const before = row === undefined ? null : revocationReasonOf(row);
      if (before !== null && !outweighs(reason, before)) continue;
      if (changes++ % A_REVISION === 0) revision = numberOf(countUp.get(), 'number');
      const identity = row === undefined ? UNKNOWN_IDENTITY : textOf(row, 'identity');
      const notAfter = row === undefined ? Math.max(issuerNotAfter, revokedAt + 1) : numberOf(row, 'not_after');
      if (row === undefined) {
        const octets = Buffer.from(serial, 'hex');
        const digest = createHash('sha256').update(octets).digest('hex');
        insert.run(
          ...[serial, issuer, identity, revokedAt, notAfter, digest, octets, revokedAt, revokedAt, reason, revision],
        );
        unknown++;
      } else if (before !== null) {
        regrade.run(reason, revision, serial);
      } else {
        revoke.run(revokedAt, reason, revision, serial);
        revoked++;
      }
      const detail = { serial, reason, notAfter, from: 'crl', ...(before === null ? {} : { before }) };
      record({ time: at, actor, action: 'certificate.revoke', object: identity, detail });
    }
    // The trust bundle that follows from it is newer than all that were told before: sidecars refuse one that goes back.
    const last = numberOf(db.prepare('SELECT coalesce(max(changed_at), 0) AS n FROM authorities').get(), 'n');
    db.prepare("UPDATE authorities SET changed_at = ? WHERE role = 'issuer' AND state = 'active'").run(
      Math.max(at, last + 1, bundleAbove + 1),
    );
    for (const [issuer, above] of crlNumbers) number.run(issuer, above);
    // Identity tokens from before may have been used since the backup: the gate asks for this moment.
    db.prepare("INSERT OR REPLACE INTO meta VALUES ('restoredAt', ?)").run(String(at));
    // Whether they were used or revoked since the backup stands nowhere: a one-time token must not be one twice.
    const tokens = db.prepare(
      'UPDATE tokens SET revoked_at = ? WHERE revoked_at IS NULL AND uses_left > 0 AND expires_at > ? RETURNING id, subject, uses_left',
    );
    const ended = tokens.all(at, at);
    for (const row of ended) {
      const detail = { token: textOf(row, 'id'), usesLeft: numberOf(row, 'uses_left'), from: 'restore' };
      record({ time: at, actor, action: 'token.revoke', object: textOf(row, 'subject'), detail });
    }
    if (changes === 0) countUp.get();
    record(audit({ revoked, unknown, tokens: ended.length }));
    db.exec('COMMIT');
    return { revoked, unknown, tokens: ended.length };
  } catch (error) {
    throw storeFailure(error, path);
  } finally {
    db.close(); // undoes what was not committed
    sync(path);
  }
}

// Never by opening the file itself: see sqlite-file.ts.
function openAsIs(path: string): OpenStoreFile {
  let db: DatabaseSync | undefined;
  try {
    const file = statSync(path, { throwIfNoEntry: false });
    if (file === undefined) throw new CertgateError('CG_STORE_MISSING', { location: path });
    if (!file.isFile() || file.size === 0) {
      const problem = file.isFile() ? 'it is empty' : 'it is not a regular file';
      throw new CertgateError('CG_STORE_FOREIGN', { location: path, problem });
    }
    db = connect(path, true, isFrozen(path));
    requireSchema(db, path, false);
    return { db, check: () => {} };
  } catch (error) {
    db?.close();
    const failure = fileFailure(error, path);
    if (wantsRoomToRead(failure, path)) return unshared(path, true);
    throw failure;
  }
}

function sync(path: string): void {
  for (const one of [path, dirname(path)]) {
    const file = openSync(one, 'r');
    try {
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  }
}
