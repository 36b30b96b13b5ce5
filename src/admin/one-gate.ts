// One gate on a state folder, whoever starts a second, and however close together. A gate holds a lock on a file there for as
// long as it lives; the kernel drops it when the process ends, by kill -9 too, so that nothing is ever stale. It is not
// about the store: the CLI and any number of readers use that at the same time.
import { join } from 'node:path';
import { CertgateError, reasonOf } from '../errors.ts';
import { type FileLock, openFileLock } from '../store/file-lock.ts';

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
  let lock: FileLock | undefined;
  let taken: boolean;
  try {
    lock = openFileLock(path);
    taken = lock.take();
  } catch (error) {
    lock?.close();
    throw new CertgateError('CG_STORE_READONLY', { location: path, problem: reasonOf(error) }, { cause: error });
  }
  const held = lock;
  if (taken) return { release: () => held.close() };
  held.close();
  throw new CertgateError('CG_GATE_RUNNING', { socket: join(stateDir, 'control.sock') });
}
