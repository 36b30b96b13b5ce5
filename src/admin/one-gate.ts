// One gate on a state folder, whoever starts a second, and however close together. A gate holds an exclusive lock on a file
// there for as long as it lives (store/lock-file.ts). It is not about the store: the CLI and any number of readers use that at
// the same time.
import { join } from 'node:path';
import { CertgateError } from '../errors.ts';
import { type HeldLock, holdLockFile } from '../store/lock-file.ts';
import { fileFailure } from '../store/sqlite-file.ts';

/**
 * Claims `stateDir` for a gate in this process.
 * @throws CG_GATE_RUNNING when another has it, CG_STORE_* when the lock's file cannot be made
 */
export function claimStateFolder(stateDir: string): HeldLock {
  const path = join(stateDir, 'gate.lock');
  const held = attempt(path);
  if (held === null) throw new CertgateError('CG_GATE_RUNNING', { socket: join(stateDir, 'control.sock') });
  return held;
}

function attempt(path: string): HeldLock | null {
  try {
    return holdLockFile(path);
  } catch (error) {
    throw fileFailure(error, path);
  }
}
