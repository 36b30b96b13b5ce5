// One gate on a state folder, whoever starts a second, and however close together. A gate holds an exclusive lock on a file
// there for as long as it lives; the kernel drops it when the process ends, by kill -9 too, so that nothing is ever stale.
// The lock is SQLite's, since Node has none of its own: an empty database that nobody writes to. It needs no room on the
// disk. It is not about the store: the CLI and any number of readers use that at the same time.
import { chmodSync, closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { CertgateError, reasonOf } from '../errors.ts';

/** SQLite's primary result code for a lock that somebody else has. */
const BUSY = 5;

export interface StateFolderClaim {
  /** Lets the next gate have it. May be called twice. */
  release(): void;
}

/**
 * Claims `stateDir` for a gate in this process.
 * @throws CG_GATE_RUNNING when another has it, CG_STORE_READONLY when the lock's file cannot be made
 */
export function claimStateFolder(stateDir: string): StateFolderClaim {
  const path = join(stateDir, 'gate.lock');
  let db: DatabaseSync | undefined;
  try {
    // Never opened again while it is locked: closing any descriptor of a file drops this process's locks on it.
    makeIfMissing(path);
    db = new DatabaseSync(path, { timeout: 0 });
    db.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    if (db?.isOpen === true) db.close();
    if (error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === BUSY) {
      throw new CertgateError('CG_GATE_RUNNING', { socket: join(stateDir, 'control.sock') }, { cause: error });
    }
    throw new CertgateError('CG_STORE_READONLY', { location: path, problem: reasonOf(error) }, { cause: error });
  }
  const held = db;
  return {
    release() {
      if (held.isOpen) held.close();
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
