// A public file of an identity's folder (a trust bundle, its number) is replaced whole or not at all, and is on the disk when
// this returns: whoever reads it meanwhile reads the old one, and a kill leaves no half.
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { draftName, PUBLIC_FILE } from '../authority/files.ts';

/** Node's errors; then `path` is what it was, and the draft beside it is gone. */
export function replaceFile(path: string, content: string): void {
  const draft = join(dirname(path), draftName(basename(path), 'writing'));
  try {
    const file = openSync(draft, 'wx', PUBLIC_FILE);
    try {
      writeFileSync(file, content);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}
