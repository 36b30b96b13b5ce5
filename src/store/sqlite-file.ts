// The SQLite store as files: making one, opening one, noticing that it is no longer the one that was opened.
// A new store appears under its name whole, with mode 0600, or not at all: it is made under another name beside it and
// linked into place. SQLite gives the -wal and -shm files beside it the same mode. Never open and close the file itself
// while SQLite has it open: closing any descriptor drops the process's locks (POSIX fcntl, sqlite.org/howtocorrupt §2.2).
import { randomBytes } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  fsyncSync,
  linkSync,
  openSync,
  realpathSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { CertgateError, fileReason, systemCode } from '../errors.ts';
import { APPLICATION_ID, migrations, SCHEMA_VERSION } from './schema.ts';
import { forbiddenAt, storeFailure } from './sqlite-failure.ts';

/** How long SQLite itself waits for a lock while a store is being opened, ms. */
const OPENING_WAIT = 5000;
/** How far the write-ahead log grows before it is copied into the file, pages of 4 KiB: a page that changed often is copied once. */
const CHECKPOINT_PAGES = 4000;

/**
 * Makes an empty store of the newest schema at `path`.
 * @throws CG_STORE_EXISTS, CG_STORE_READONLY, CG_STORE_FULL, CG_STORE_IO
 */
export function createStoreFile(path: string): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) {
    throw new CertgateError('CG_STORE_EXISTS', { location: path });
  }
  const draft = join(dirname(path), `.${basename(path)}.creating-${process.pid}-${randomBytes(4).toString('hex')}`);
  try {
    closeSync(openSync(draft, 'wx', 0o600));
    chmodSync(draft, 0o600); // whatever the umask took away
    const db = connect(draft, false);
    try {
      db.exec(`PRAGMA synchronous = FULL; PRAGMA application_id = ${APPLICATION_ID}; PRAGMA journal_mode = WAL`);
      migrate(db);
    } finally {
      db.close();
    }
    mergeLog(draft, path);
    linkSync(draft, path); // unlike rename, refuses when something has taken the name meanwhile
    syncFolder(dirname(path));
  } catch (error) {
    throw fileFailure(error, path);
  } finally {
    removeStoreFile(draft);
  }
}

/** Removes the store at `path`, which nobody has open, with all that SQLite makes beside it. Never fails. */
export function removeStoreFile(path: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) removeIfThere(path + suffix);
}

/**
 * Brings what is still in the log into the file of the store at `path`, which nobody has open and which is to be taken elsewhere
 * without its log. SQLite does that at the last close, and says nothing when the disk fails or is full.
 * @throws CG_STORE_FULL, CG_STORE_IO, of `location`
 */
export function mergeLog(path: string, location = path): void {
  try {
    if (statSync(`${path}-wal`, { throwIfNoEntry: false }) === undefined) return;
    const db = connect(path, false);
    try {
      db.exec('PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE)');
    } finally {
      db.close();
    }
  } catch (error) {
    throw fileFailure(error, location);
  }
}

export interface OpenStoreFile {
  readonly db: DatabaseSync;
  /** Notices that the files under the open database are no longer those that were opened. @throws CG_STORE_LOST */
  readonly check: () => void;
}

/**
 * The database at `path`, known to be a certgate store and brought to the newest schema (not when `readOnly`).
 * @throws CG_STORE_MISSING, CG_STORE_FOREIGN, CG_STORE_NEWER, CG_STORE_OLDER, CG_STORE_CORRUPT, CG_STORE_READONLY,
 *   CG_STORE_FULL, CG_STORE_BUSY, CG_STORE_IO, CG_STORE_LOST
 */
export function openStoreFile(path: string, readOnly: boolean): OpenStoreFile {
  let db: DatabaseSync | undefined;
  try {
    const file = statSync(path, { bigint: true, throwIfNoEntry: false });
    if (file === undefined) throw new CertgateError('CG_STORE_MISSING', { location: path });
    if (!file.isFile()) throw foreign(path, file.isDirectory() ? 'it is a folder' : 'it is not a regular file');
    if (file.size === 0n) throw foreign(path, 'it is empty');
    db = connect(path, readOnly);
    requireSchema(db, path, readOnly);
    let barred = !readOnly && isReadOnly(db);
    if (barred && forbiddenAt(path) === null) {
      db.close();
      db = connect(path, false);
      barred = false;
    }
    if (!readOnly) {
      requireWal(db, path);
      db.exec(`PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
      migrate(db);
    }
    db.prepare('SELECT number FROM revision').get(); // the -wal and -shm files exist from here on
    const check = watch(path, file, barred);
    check();
    return { db, check };
  } catch (error) {
    db?.close();
    const failure = fileFailure(error, path, OPENING_WAIT);
    if (readOnly && (wantsRoomToRead(failure, path) || isFrozen(path))) return unshared(path);
    throw failure;
  }
}

/** Whether a store was not opened for want of room for the shared memory alone: nobody has it open, and its file is all. */
export function wantsRoomToRead({ code }: CertgateError, path: string): boolean {
  return (
    code === 'CG_STORE_FULL' && (statSync(`${realpathSync(path)}-wal`, { throwIfNoEntry: false })?.size ?? 0) === 0
  );
}

/** On a read-only file system SQLite cannot make the shared memory that its log needs; without a log there is no need of it. */
export function isFrozen(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return false;
  } catch (error) {
    const readOnly = error instanceof Error && 'code' in error && error.code === 'EROFS';
    return readOnly && statSync(`${realpathSync(path)}-wal`, { throwIfNoEntry: false }) === undefined;
  }
}

/** The store at `path` for reading, as its file stands: on a full disk, or a read-only one. `check` notices that somebody has written since. */
export function unshared(path: string, olderToo = false): OpenStoreFile {
  let db: DatabaseSync | undefined;
  try {
    const opened = markOf(path);
    db = connect(path, true, true);
    requireSchema(db, path, !olderToo);
    const check = (): void => {
      if (markOf(path) === opened) return;
      const problem = 'was written meanwhile, on a disk that had no room or could not be written from here';
      throw new CertgateError('CG_STORE_LOST', { location: path, problem });
    };
    return { db, check };
  } catch (error) {
    db?.close();
    throw fileFailure(error, path);
  }
}

function markOf(path: string): string {
  const { ino, size, mtimeNs } = statSync(path, { bigint: true });
  return `${ino} ${size} ${mtimeNs}`;
}

/** Refuses what is no certgate store, and a newer one; for `readOnly` an older one too. */
export function requireSchema(db: DatabaseSync, location: string, readOnly: boolean): void {
  const application = pragma(db, 'application_id');
  if (application !== APPLICATION_ID) throw foreign(location, `its application id is ${application}`);
  const found = pragma(db, 'user_version');
  const facts = { location, found, known: SCHEMA_VERSION };
  if (found > SCHEMA_VERSION) throw new CertgateError('CG_STORE_NEWER', facts);
  if (found < SCHEMA_VERSION && readOnly) throw new CertgateError('CG_STORE_OLDER', facts);
}

// A restored backup may have left WAL mode; without it readers and a writer would wait for each other.
function requireWal(db: DatabaseSync, location: string): void {
  if (db.prepare('PRAGMA journal_mode = WAL').get()?.['journal_mode'] === 'wal') return;
  throw new CertgateError('CG_STORE_IO', { location, problem: 'this file system cannot share memory (SQLite WAL)' });
}

/** SQLite opens for reading alone, without a word, what it cannot open for writing: for want of a descriptor at that moment, too. */
function isReadOnly(db: DatabaseSync): boolean {
  db.exec('PRAGMA busy_timeout = 0'); // who writes now says enough
  try {
    db.exec('UPDATE revision SET number = number WHERE false'); // BEGIN IMMEDIATE would be a reader here
    return false;
  } catch (error) {
    return storeFailure(error, '').code === 'CG_STORE_READONLY';
  } finally {
    db.exec(`PRAGMA busy_timeout = ${OPENING_WAIT}`);
  }
}

// The store and the -wal and -shm files beside it: who loses any of them keeps reading a past that nobody else writes. A store
// that was `barred`, opened where it could not be written, would stay so when the disk is mended.
function watch(path: string, opened: BigIntStats, barred: boolean): () => void {
  const beside = ['-wal', '-shm'].flatMap((suffix) => {
    const name = realpathSync(path) + suffix; // SQLite puts them beside the file, not beside a link to it
    const file = statSync(name, { bigint: true, throwIfNoEntry: false });
    return file === undefined ? [] : [{ name, suffix, file }];
  });
  const watched = [{ name: path, suffix: '', file: opened }, ...beside];
  return () => {
    if (barred && forbiddenAt(path) === null) {
      const problem = 'was opened while it could not be written, and can be by now';
      throw new CertgateError('CG_STORE_LOST', { location: path, problem });
    }
    for (const { name, suffix, file } of watched) {
      const now = lookAt(name, path);
      const same = now?.ino === file.ino && now.dev === file.dev;
      // The store itself never shrinks (nothing vacuums it); SQLite would go on from its cache and not notice.
      const shorter = suffix === '' && now !== undefined && now.size < file.size;
      if (same && !shorter) continue;
      const what = suffix === '' ? '' : `(its ${suffix} file) `;
      const problem = `${what}was ${now === undefined ? 'moved or deleted' : same ? 'cut short' : 'replaced'}`;
      throw new CertgateError('CG_STORE_LOST', { location: path, problem });
    }
  };
}

function lookAt(name: string, location: string): BigIntStats | undefined {
  try {
    return statSync(name, { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    throw new CertgateError(
      'CG_STORE_LOST',
      { location, problem: `cannot be reached: ${fileReason(error)}` },
      { cause: error },
    );
  }
}

/** The database at `path`, which must exist; `immutable` when nobody can write it. SQLite's errors. */
export function connect(path: string, readOnly: boolean, immutable = false): DatabaseSync {
  const url = pathToFileURL(path);
  url.searchParams.set('mode', readOnly ? 'ro' : 'rw'); // never create: a store that vanished is an error, not a new store
  if (immutable) url.searchParams.set('immutable', '1');
  const db = new DatabaseSync(url, { readOnly, timeout: OPENING_WAIT });
  try {
    // What a savepoint may have to undo is kept in memory: by default SQLite makes and removes a file for it each time.
    db.exec('PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY');
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function migrate(db: DatabaseSync): void {
  if (pragma(db, 'user_version') === SCHEMA_VERSION) return;
  db.exec('BEGIN IMMEDIATE');
  try {
    const from = pragma(db, 'user_version'); // again: another process may have been faster
    for (const step of migrations.slice(from)) db.exec(step);
    db.exec(`PRAGMA user_version = ${Math.max(from, SCHEMA_VERSION)}`);
    db.exec('COMMIT');
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

export function pragma(db: DatabaseSync, name: 'application_id' | 'user_version'): number {
  return Number(db.prepare(`PRAGMA ${name}`).get()?.[name]);
}

function foreign(location: string, problem: string): CertgateError {
  return new CertgateError('CG_STORE_FOREIGN', { location, problem });
}

/** Failures of the file system beside those of SQLite. */
export function fileFailure(error: unknown, location: string, waited = 0): CertgateError {
  const code = systemCode(error);
  const facts = { location, problem: fileReason(error) };
  const options = { cause: error };
  switch (code) {
    case 'EEXIST':
      return new CertgateError('CG_STORE_EXISTS', { location }, options);
    case 'ENOSPC':
    case 'EDQUOT':
      return new CertgateError('CG_STORE_FULL', facts, options);
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
      return new CertgateError('CG_STORE_READONLY', facts, options);
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ELOOP':
    case 'ENAMETOOLONG':
      return new CertgateError('CG_STORE_IO', facts, options);
    default:
      // Whatever else the system refuses is not certgate's fault: a device that fails, a file system without links.
      return error instanceof Error && 'syscall' in error
        ? new CertgateError('CG_STORE_IO', { location, problem: fileReason(error) }, options)
        : storeFailure(error, location, waited);
  }
}

function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // not there, or not removable: then it is an empty store under a name that says so
  }
}
