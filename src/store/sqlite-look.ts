// What a health check asks of a store, read in one transaction by whoever may read the file, with or without a gate: it
// changes nothing and makes nothing. Where there is no log beside the store it is read as a file that nobody writes, so
// that not even SQLite's shared memory appears (made by another user, it could keep the gate out); should somebody have
// begun to write meanwhile, it is read again.
import { realpathSync, statSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { CertgateError } from '../errors.ts';
import type { FlagRecord } from './flags.ts';
import { SCHEMA_VERSION } from './schema.ts';
import { IDENTITIES_WITHOUT } from './sqlite-ca.ts';
import { connect, fileFailure, pragma, requireSchema } from './sqlite-file.ts';
import { BY_EXPIRY, BY_IDENTITY, BY_ISSUE } from './sqlite-listing.ts';
import {
  bytesOf,
  caOf,
  flagColumns,
  flagOf,
  inCells,
  lockColumns,
  lockOf,
  numberOf,
  type Row,
  textOf,
  tokenFaceColumns,
  tokenFaceOf,
} from './sqlite-rows.ts';
import type { CaRecord, LockRecord } from './store.ts';
import type { TokenFace } from './tokens.ts';

/** Times are ms since the epoch. */
export interface StoreLook {
  readonly schema: number;
  /** What SQLite's quick_check says is wrong; null when nothing. */
  readonly problem: string | null;
  /** Null for a store of an older schema, of which nothing more is read. */
  readonly records: RecordsLook | null;
}

export interface RecordsLook {
  readonly trustDomain: string | null;
  readonly authorities: readonly CaRecord[];
  readonly certificates: number;
  /** The newest moment that anything was recorded at; 0 for nothing. */
  readonly newest: number;
  /** Of each issuer: the number of its newest list, and its certificates that a list must name. */
  readonly crls: ReadonlyMap<string, { readonly number: number; readonly revoked: number }>;
  readonly locks: readonly LockRecord[];
  readonly flags: readonly FlagRecord[];
  /** Unrevoked, unexpired, with uses left. */
  readonly tokens: readonly TokenFace[];
  /** The newest certificate of each identity that is near its end or past it. */
  readonly ending: readonly EndingIdentity[];
  /** Identities with more than MOST_CERTIFICATES that can be used now, and how many. */
  readonly crowded: ReadonlyArray<{ readonly identity: string; readonly certificates: number }>;
  /** How many can be used now and live longer than LONGEST_LIFE, and one of them. */
  readonly longLived: { readonly certificates: number; readonly identity: string };
  /** The newest of those that can be used now, DER, at most MOST_READ. */
  readonly newestCertificates: ReadonlyArray<{
    readonly serial: string;
    readonly identity: string;
    readonly der: Uint8Array;
  }>;
  /** By issuer, how many identities have a client certificate by it that can be used now; of none while no root retires. */
  readonly liveIdentities: ReadonlyMap<string, number>;
  /** As `Store.identitiesWithout`, of the bundle that is trusted now. */
  readonly withoutBundle: readonly string[];
  /** The last backup that was noted, and what was committed since; null when there was none. */
  readonly backup: {
    readonly time: number;
    readonly out: string;
    readonly issued: number;
    readonly revoked: number;
  } | null;
}

export interface EndingIdentity {
  readonly identity: string;
  readonly notAfter: number;
}

export const MOST_CERTIFICATES = 20;
/** 398 days, what the public web came down to; certgate's own limit is 366. */
export const LONGEST_LIFE = 398 * 86_400_000;
const MOST_READ = 500;
/** Sidecars renew at two thirds of a life: with a sixth left they have not for as long again as they should have taken. */
const LEFT = 6;
const ATTEMPTS = 3;
/** What a list made at `?` must name. */
const NAMED = `FROM certificates INDEXED BY ${BY_EXPIRY} WHERE revoked = 1 AND not_after > ?`;

export interface LookOptions {
  readonly now: number;
  /** An identity that ended longer ago than this is not named, ms. */
  readonly forgotten: number;
  /** SHA-256 of the bundle that follows from the CA's certificates, hex. */
  readonly bundleOf: (authorities: readonly CaRecord[]) => string;
}

/**
 * Looks at the store at `path` as it is at this moment.
 * @throws CG_STORE_MISSING, CG_STORE_FOREIGN, CG_STORE_NEWER, CG_STORE_CORRUPT, CG_STORE_READONLY, CG_STORE_BUSY, CG_STORE_IO
 */
export function lookAtStore(path: string, options: LookOptions): StoreLook {
  for (let attempt = 1; ; attempt++) {
    const before = filesOf(path);
    let look: StoreLook | null = null;
    let failure: unknown = null;
    try {
      look = lookOnce(path, before.frozen, options);
    } catch (error) {
      failure = error;
    }
    const moved = before.frozen && filesOf(path).mark !== before.mark;
    if (moved && attempt < ATTEMPTS) continue;
    if (look === null) throw failure;
    return look;
  }
}

/** Whether nobody is writing the store, and what tells that somebody has. */
function filesOf(path: string): { frozen: boolean; mark: string } {
  try {
    const file = statSync(path, { bigint: true, throwIfNoEntry: false });
    if (file === undefined) throw new CertgateError('CG_STORE_MISSING', { location: path });
    if (!file.isFile() || file.size === 0n) {
      const problem = file.isFile() ? 'it is empty' : 'it is not a regular file';
      throw new CertgateError('CG_STORE_FOREIGN', { location: path, problem });
    }
    const [wal, shm] = ['-wal', '-shm'].map((suffix) =>
      statSync(realpathSync(path) + suffix, { bigint: true, throwIfNoEntry: false }),
    );
    const hasLog = wal !== undefined && (wal.size > 0n || shm !== undefined);
    if (hasLog && shm === undefined) {
      const problem = 'it has a -wal file and no -shm file, as after a kill or a copy by hand';
      const remedy = 'open it once to write, which puts that right: certgate list';
      throw new CertgateError('CG_STORE_IO', { location: path, problem, remedy });
    }
    return { frozen: !hasLog, mark: `${file.ino} ${file.size} ${file.mtimeNs} ${wal?.size}` };
  } catch (error) {
    throw fileFailure(error, path);
  }
}

function lookOnce(path: string, frozen: boolean, options: LookOptions): StoreLook {
  let db: DatabaseSync | undefined;
  try {
    db = connect(path, true, frozen);
    requireSchema(db, path, false);
    db.exec('BEGIN');
    const schema = pragma(db, 'user_version');
    const verdict = String(db.prepare('PRAGMA quick_check(1)').get()?.['quick_check']);
    const problem = verdict === 'ok' ? null : verdict.replaceAll('\n', ' ');
    const readable = problem === null && schema === SCHEMA_VERSION;
    return { schema, problem, records: readable ? recordsOf(db, options) : null };
  } catch (error) {
    throw fileFailure(error, path);
  } finally {
    db?.close();
  }
}

function recordsOf(db: DatabaseSync, { now, forgotten, bundleOf }: LookOptions): RecordsLook {
  const since = now - forgotten;
  const all = (text: string, values: Record<string, number> = {}): Row[] => db.prepare(text).all(values);
  const count = (text: string, values: Record<string, number> = {}): number =>
    numberOf(db.prepare(text).get(values), 'n');
  // The columns that BY_IDENTITY and BY_EXPIRY hold are all that is asked of a million rows: profile and not_before stand in
  // the table alone. Only `gate/…` has certificates for servers (authority.ts), and what is issued begins at its issue.
  const live = 'revoked = 0 AND not_after > :now';
  const client = "identity NOT GLOB 'gate/*'";
  const authorities = all('SELECT * FROM authorities ORDER BY role DESC, generation').map(caOf);
  const long = all(
    `SELECT count(*) AS n, coalesce(min(serial), '') AS serial FROM certificates INDEXED BY ${BY_EXPIRY}
       WHERE ${live} AND not_after - issued_at > :longest`,
    { now, longest: LONGEST_LIFE },
  )[0];
  const meta = db.prepare("SELECT value FROM meta WHERE key = 'trustDomain'").get();
  return {
    trustDomain: meta === undefined ? null : textOf(meta, 'value'),
    authorities,
    certificates: count('SELECT count(*) AS n FROM certificates'),
    newest: count(
      `SELECT max(coalesce((SELECT time FROM audit ORDER BY id DESC LIMIT 1), 0),
         coalesce((SELECT max(issued_at) FROM certificates WHERE revoked = 0), 0),
         coalesce((SELECT max(issued_at) FROM certificates WHERE revoked = 1), 0)) AS n`,
    ),
    crls: crlsOf(db, authorities, now),
    locks: all(
      `SELECT ${lockColumns} FROM locks WHERE unlocked_at IS NULL AND (until IS NULL OR until > :now) ORDER BY id`,
      { now },
    ).map(lockOf),
    flags: all(`SELECT ${flagColumns} FROM flags ORDER BY flagged_at, identity LIMIT 1000`).map(flagOf),
    tokens: inCells(
      db.prepare(
        `SELECT ${tokenFaceColumns} FROM tokens
           WHERE revoked_at IS NULL AND uses_left > 0 AND expires_at > ? ORDER BY created_at, id LIMIT 1000`,
      ),
    )
      .all(now)
      .map(tokenFaceOf),
    // SQLite takes the other columns from the row that has the maximum (sqlite.org/lang_select.html#bareagg).
    ending: all(
      `SELECT identity, issued_at, until FROM (
         SELECT identity, issued_at, max(not_after) AS until FROM certificates INDEXED BY ${BY_IDENTITY}
           WHERE revoked = 0 AND ${client} AND not_after > :since GROUP BY identity)
         WHERE until <= :now OR (until - :now) * ${LEFT} < until - issued_at ORDER BY until, identity LIMIT 1000`,
      { now, since },
    ).map((row) => ({ identity: textOf(row, 'identity'), notAfter: numberOf(row, 'until') })),
    crowded: all(
      `SELECT identity, count(*) AS n FROM certificates INDEXED BY ${BY_IDENTITY} WHERE ${live} AND ${client}
         GROUP BY identity HAVING n > ${MOST_CERTIFICATES} ORDER BY n DESC, identity LIMIT 1000`,
      { now },
    ).map((row) => ({ identity: textOf(row, 'identity'), certificates: numberOf(row, 'n') })),
    longLived: { certificates: numberOf(long, 'n'), identity: identityOf(db, long) },
    newestCertificates: all(
      `SELECT serial, identity, der FROM certificates INDEXED BY ${BY_ISSUE} WHERE ${live} ORDER BY issued_at DESC LIMIT ${MOST_READ}`,
      { now },
    ).map((row) => ({ serial: textOf(row, 'serial'), identity: textOf(row, 'identity'), der: bytesOf(row, 'der') })),
    liveIdentities: liveIdentitiesOf(db, authorities, now),
    withoutBundle: db
      .prepare(IDENTITIES_WITHOUT)
      .all(bundleOf(authorities), now)
      .map((row) => textOf(row, 'identity')),
    backup: backupOf(db),
  };
}

function identityOf(db: DatabaseSync, long: Row | undefined): string {
  const serial = long === undefined ? '' : textOf(long, 'serial');
  const row = db.prepare('SELECT identity FROM certificates WHERE serial = ?').get(serial);
  return row === undefined ? '' : textOf(row, 'identity');
}

function crlsOf(db: DatabaseSync, authorities: readonly CaRecord[], now: number): RecordsLook['crls'] {
  const numbers = new Map(
    db
      .prepare('SELECT issuer, number FROM crls')
      .all()
      .map((r) => [textOf(r, 'issuer'), numberOf(r, 'number')]),
  );
  const issuers = authorities.filter(({ role }) => role === 'issuer').map(({ keyId }) => keyId);
  const [only] = issuers;
  // Who issued it stands in the table alone, and need not be asked where there has been one issuer.
  const revoked =
    issuers.length === 1 && only !== undefined
      ? [[only, numberOf(db.prepare(`SELECT count(*) AS n ${NAMED}`).get(now), 'n')] as const]
      : db
          .prepare(`SELECT issuer, count(*) AS n ${NAMED} GROUP BY issuer`)
          .all(now)
          .map((row) => [textOf(row, 'issuer'), numberOf(row, 'n')] as const);
  const counts = new Map(revoked);
  return new Map(
    [...new Set([...numbers.keys(), ...counts.keys()])].map((one) => [
      one,
      { number: numbers.get(one) ?? 0, revoked: counts.get(one) ?? 0 },
    ]),
  );
}

/** Only while a root retires does anybody ask who has a certificate of which issuer. */
function liveIdentitiesOf(
  db: DatabaseSync,
  authorities: readonly CaRecord[],
  now: number,
): RecordsLook['liveIdentities'] {
  if (!authorities.some(({ role, state }) => role === 'root' && state === 'retiring')) return new Map();
  const rows = db
    .prepare(
      `SELECT issuer, count(DISTINCT identity) AS n FROM certificates
         WHERE revoked = 0 AND not_after > ? AND profile = 'client' GROUP BY issuer`,
    )
    .all(now);
  return new Map(rows.map((row) => [textOf(row, 'issuer'), numberOf(row, 'n')]));
}

function backupOf(db: DatabaseSync): RecordsLook['backup'] {
  const row = db
    .prepare(
      `SELECT time, coalesce(json_extract(detail, '$.out'), '') AS out,
         (SELECT count(*) FROM certificates WHERE revoked = 0 AND issued_at > time) +
           (SELECT count(*) FROM certificates WHERE revoked = 1 AND issued_at > time) AS issued
         FROM audit WHERE action = 'ca.backup' ORDER BY id DESC LIMIT 1`,
    )
    .get();
  if (row === undefined) return null;
  const time = numberOf(row, 'time');
  return { time, out: textOf(row, 'out'), issued: numberOf(row, 'issued'), revoked: revokedSince(db, time) };
}

/** From the newest back to what was revoked by then: what was only regraded since lies in between. */
function revokedSince(db: DatabaseSync, time: number): number {
  let revoked = 0;
  const newestFirst = db.prepare(
    `SELECT revoked_at, regraded FROM certificates WHERE revoked_revision IS NOT NULL ORDER BY revoked_revision DESC`,
  );
  for (const row of newestFirst.iterate()) {
    if (numberOf(row, 'revoked_at') > time) revoked++;
    else if (numberOf(row, 'regraded') === 0) break;
  }
  return revoked;
}
