// One gate on a state folder, whoever starts a second, and however close together. A gate holds an exclusive lock on a file
// there for as long as it lives (store/lock-file.ts). It is not about the store: the CLI and any number of readers use that at
// the same time.
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { CertgateError } from '../errors.ts';
import { isHeldElsewhere, openLockFile } from '../store/lock-file.ts';
import { fileFailure } from '../store/sqlite-file.ts';

export interface StateFolderClaim {
  /** Lets the next gate have it. May be called twice. */
  release(): void;
}

/**
 * Claims `stateDir` for a gate in this process.
 * @throws CG_GATE_RUNNING when another has it, CG_STORE_* when the lock's file cannot be made
 */
export function claimStateFolder(stateDir: string): StateFolderClaim {
  const path = join(stateDir, 'gate.lock');
  let db: DatabaseSync | undefined;
  try {
    db = openLockFile(path);
    db.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    if (db?.isOpen === true) db.close();
    if (isHeldElsewhere(error)) {
      throw new CertgateError('CG_GATE_RUNNING', { socket: join(stateDir, 'control.sock') }, { cause: error });
    }
    throw fileFailure(error, path);
  }
  const held = db;
  return {
    release() {
      if (held.isOpen) held.close();
    },
  };
}
