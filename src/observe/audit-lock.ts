// One process at a time adds to the record: a gate that still drains and the one that took its place both have it open.
// Held from the look at where the file ends until what follows is durable; the kernel drops it when its holder dies. The lock
// is that of store/lock-file.ts, on a file beside the record: 16 µs for each commit.

import { setTimeout as sleep } from 'node:timers/promises';
import { isHeldElsewhere, openLockFile } from '../store/lock-file.ts';

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
  const db = openLockFile(file);
  const begin = db.prepare('BEGIN IMMEDIATE');
  const rollback = db.prepare('ROLLBACK');

  async function take(): Promise<void> {
    const started = performance.now();
    for (;;) {
      try {
        begin.run();
        return;
      } catch (error) {
        if (!isHeldElsewhere(error)) throw error;
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
