// One process at a time adds to the record: a gate that still drains and the one that took its place both have it open.
// Held from the look at where the file ends until what follows is durable, and kept from one commit to the next for a
// twentieth of a second, after which others have their turn; where others add too it is given back after each, so that nobody
// waits for a turn to end, nor for one who is stopped. The kernel drops it when its holder dies. The lock is that of
// store/lock-file.ts, on a file beside the record: a dozen system calls each time it is taken and given back.

import { setTimeout as sleep } from 'node:timers/promises';
import { holderOf, isHeldElsewhere, openLockFile } from '../store/lock-file.ts';

/** How long another process may hold it, ms. */
const PATIENCE = 10_000;
/** How long it is kept for further deeds, ms. */
const KEPT = 50;
/** How long it is left to others after that, ms: longer than they sleep between two attempts. */
const TURN = 4;
/** How long after it was heard of others it is given back after each deed, ms. */
const SHARED = 1000;

export interface AuditLock {
  /**
   * Does `deed` while nobody else may; one at a time. Throws what it throws; an Error when the lock can't be had within ten
   * seconds.
   */
  holding<T>(deed: () => Promise<T>): Promise<T>;
  /** Somebody else may add to the record too. */
  share(): void;
  close(): void;
}

/** The lock's file, for the record at `path`. */
export function auditLockFile(path: string): string {
  return `${path}.lock`;
}

/** The lock of the record at `path`, which is made when it is missing (0600). Throws the system's error, or SQLite's. */
export function openAuditLock(path: string): AuditLock {
  const file = auditLockFile(path);
  const db = openLockFile(file);
  const begin = db.prepare('BEGIN IMMEDIATE');
  const rollback = db.prepare('ROLLBACK');
  /** Gives it back when its time is over; null while it is not held. */
  let timer: NodeJS.Timeout | null = null;
  let isOver = false;
  let busy = false;
  let returned = Number.NEGATIVE_INFINITY;
  let shared = Number.NEGATIVE_INFINITY;

  async function take(): Promise<void> {
    if (timer !== null) return;
    const started = performance.now();
    if (started < returned + TURN) await sleep(returned + TURN - started);
    for (;;) {
      try {
        begin.run();
        break;
      } catch (error) {
        if (!isHeldElsewhere(error)) throw error;
        if (performance.now() - started > PATIENCE) throw new Error(heldWords(file), { cause: error });
      }
      await sleep(1 + Math.random() * 2);
    }
    isOver = false;
    timer = setTimeout(() => {
      isOver = true;
      if (!busy) giveBack();
    }, KEPT).unref();
  }

  function giveBack(): void {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    returned = performance.now();
    if (db.isTransaction) rollback.run();
  }

  return {
    async holding(deed) {
      await take();
      busy = true;
      try {
        return await deed();
      } finally {
        busy = false;
        if (isOver || performance.now() < shared + SHARED) giveBack();
      }
    },
    share() {
      shared = performance.now();
    },
    close() {
      if (timer !== null) clearTimeout(timer);
      timer = null;
      if (db.isOpen) db.close();
    },
  };
}

function heldWords(file: string): string {
  const holder = holderOf(file);
  if (holder === null) return `another process holds ${file}`;
  const stopped = holder.stopped ? ', which is stopped: have it go on (kill -CONT) or end it (kill -KILL)' : '';
  return `another process holds ${file}: ${holder.pid}${stopped}`;
}
