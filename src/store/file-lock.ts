// A lock on a file, for what one process at a time may do. The kernel drops it when its holder ends, by kill -9 too and also
// in another container, so that nothing is ever stale and nobody looks at process ids or clocks. The lock is SQLite's, since
// Node has none of its own (fcntl): on an empty database that nobody writes to, 16 µs for each time, no room on the disk. The
// file stays: one that was removed under its holder would be two locks. Two in one process exclude each other as well.
import { chmodSync, closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { isBusy } from './sqlite-failure.ts';

export interface FileLock {
  /** Takes it; false when somebody else has it. The system's errors, or SQLite's. */
  take(): boolean;
  /** Gives it back. */
  release(): void;
  /** Gives it back, if it is had, for good. May be called twice. */
  close(): void;
}

/** The lock of the file at `path`, which is made when it is missing (0600). The system's errors, or SQLite's. */
export function openFileLock(path: string): FileLock {
  // Never opened again by hand: closing any descriptor of a file drops this process's locks on it.
  makeIfMissing(path);
  const db = new DatabaseSync(path, { timeout: 0 });
  const begin = db.prepare('BEGIN IMMEDIATE');
  const rollback = db.prepare('ROLLBACK');
  let settled = false;
  return {
    take() {
      try {
        if (!settled) db.exec('PRAGMA journal_mode = MEMORY');
        settled = true;
        begin.run();
        return true;
      } catch (error) {
        if (isBusy(error)) return false;
        throw error;
      }
    },
    release: () => void rollback.run(),
    close() {
      if (db.isOpen) db.close();
    },
  };
}

function makeIfMissing(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
    chmodSync(path, 0o600);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}
