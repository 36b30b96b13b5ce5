// The number of the newest trust bundle that was seen here, kept beside the bundle, so that an old one is known for what it
// is after a restart too. It only grows. Where it cannot be written it holds until this process ends, and is said once.
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { bundleNumberFile } from '../authority/output-folder.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import { replaceFile } from './replace-file.ts';

export interface BundleNumber {
  /** 0 when none was seen. Reads the file anew: another sidecar may share it. */
  seen(): number;
  /** Keeps `number`, on the disk when this returns, unless a larger one is known. Never fails. */
  note(number: number): void;
}

/** Beside the trust bundle `caFile`; null where that is not certgate's to write: then for this process only. */
export function openBundleNumber(caFile: string | null, log: Log): BundleNumber {
  const path = caFile === null ? null : join(dirname(caFile), bundleNumberFile(basename(caFile)));
  let known = 0;
  let isTold = false;
  const seen = (): number => {
    known = Math.max(known, path === null ? 0 : numberIn(path));
    return known;
  };
  return {
    seen,
    note(number) {
      if (number <= seen()) return;
      known = number;
      if (path === null) return;
      try {
        replaceFile(path, `${number}\n`);
      } catch (error) {
        if (!isTold)
          log.warn({ file: path, reason: reasonOf(error) }, "the trust bundle's number could not be written");
        isTold = true;
      }
    },
  };
}

// What is no number says nothing, as if it were not there.
function numberIn(path: string): number {
  try {
    return Number(/^([1-9]\d{0,15})\n$/.exec(readFileSync(path, 'latin1'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
