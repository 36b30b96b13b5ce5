// A file that a person has named on the command line. What the system says of it names it, too: a read of a folder has an
// error without a path.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Io } from './io.ts';

/** What is in the file; the system's errors, with the path as it was named. */
export function readNamed(file: string, { cwd }: Pick<Io, 'cwd'>): Buffer {
  return naming(file, () => readFileSync(resolve(cwd, file)));
}

/** As `read`; an error of the system says of `file` what it says. */
export function naming<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw named(file, error);
  }
}

/** `error`, about `file` when it is the system's. */
export function named(file: string, error: unknown): unknown {
  return error instanceof Error && 'syscall' in error ? Object.assign(error, { path: file }) : error;
}
