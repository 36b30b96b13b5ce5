// One process at a time adds to the record: a gate that still drains and the one that took its place both have it open.
// Held from the look at where the file ends until what follows is durable; the kernel drops it when its holder dies. The lock
// is SQLite's, as in admin/one-gate.ts, on an empty file beside the record: 16 µs for each commit, and no room on the disk.

import { chmodSync, closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';

/** SQLite's primary result code for a lock that somebody else has. */
const BUSY = 5;
/** How long another process may hold it, ms. */
const PATIENCE = 10_000;

export interface AuditLock {
  /** Does `deed` while nobody else may. Throws what it throws; an Error when the lock can't be had within ten seconds. */
  holding<T>(deed: () => Promise<T>): Promise<T>;
  close(): void;
}

/** The lock of the record at `path`, which is made when it is missing (0600). Throws the system's error, or SQLite's. */
export function openAuditLock(path: string): AuditLock {
  const file = `${path}.lock`;
  makeIfMissing(file);
  const db = new DatabaseSync(file, { timeout: 0 });
  db.exec('PRAGMA journal_mode = MEMORY');
  const begin = db.prepare('BEGIN IMMEDIATE');
  const rollback = db.prepare('ROLLBACK');

  async function take(): Promise<void> {
    const started = performance.now();
    for (;;) {
      try {
        begin.run();
        return;
      } catch (error) {
        if (!(error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === BUSY)) throw error;
        if (performance.now() - started > PATIENCE) throw new Error(`another process holds ${file}`, { cause: error });
      }
      await sleep(1 + Math.random() * 2);
    }
  }

  return {
    async holding(deed) {
      await take();
      try {
        return await deed();
      } finally {
        rollback.run();
      }
    },
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
