// A lock between processes that the kernel drops when its holder dies, by kill -9 too, so that nothing is ever stale. It is
// SQLite's, since Node has none of its own: a database file that stays empty, because nobody ever writes to it, and that needs
// no room on the disk. It must never be opened twice in one process while it is held: closing any descriptor of a file drops
// this process's locks on it.

import { chmodSync, closeSync, openSync, readFileSync, statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/** SQLite's primary result code for a lock that somebody else has. */
const BUSY = 5;

/**
 * Opens the lock's file, which is made when it is missing (0600): `BEGIN IMMEDIATE` or `BEGIN EXCLUSIVE` takes it without
 * waiting, `ROLLBACK` or closing gives it back. Throws the system's error, or SQLite's.
 */
export function openLockFile(path: string): DatabaseSync {
  try {
    closeSync(openSync(path, 'wx', 0o600));
    // Whatever the umask.
    chmodSync(path, 0o600);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
  const db = new DatabaseSync(path, { timeout: 0 });
  try {
    db.exec('PRAGMA journal_mode = MEMORY');
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

export interface HeldLock {
  /** Lets the next one have it. May be called twice. */
  release(): void;
}

/** Takes the lock for this process, until it is released or the process ends; null when somebody else has it. Throws as above. */
export function holdLockFile(path: string): HeldLock | null {
  let db: DatabaseSync | undefined;
  try {
    db = openLockFile(path);
    db.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    if (db?.isOpen === true) db.close();
    if (isHeldElsewhere(error)) return null;
    throw error;
  }
  const held = db;
  return {
    release() {
      if (held.isOpen) held.close();
    },
  };
}

/** Whether `error` says that somebody else has the lock. */
export function isHeldElsewhere(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === BUSY;
}

export interface LockHolder {
  readonly pid: number;
  /** By SIGSTOP or a debugger: it holds what it holds until somebody has it go on. */
  readonly stopped: boolean;
}

const HELD = /^\d+: POSIX +ADVISORY +WRITE +(\d+) [^:]+:[^:]+:(\d+) /;

/** Who has the lock of the file at `path`; null for nobody, or where the system does not tell (Linux does, within its container). */
export function holderOf(path: string): LockHolder | null {
  try {
    const { ino } = statSync(path);
    for (const line of readFileSync('/proc/locks', 'latin1').split('\n')) {
      const [, pid, inode] = HELD.exec(line) ?? [];
      if (Number(inode) !== ino) continue;
      const state = /\) (\S) \d+ [^)]*$/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1] ?? '';
      return { pid: Number(pid), stopped: state === 'T' || state === 't' };
    }
  } catch {
    // It is said without.
  }
  return null;
}
