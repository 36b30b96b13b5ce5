// A public file of an identity's folder (a trust bundle, its number) is replaced whole or not at all, and is on the disk under
// its name when this returns: whoever reads it meanwhile reads the old one, and neither a kill nor a power cut leaves a half.
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { draftName, PUBLIC_FILE } from '../authority/files.ts';

/** Node's errors; then the draft beside it is gone, and `path` is what it was, or, where only the folder refuses, the new one. */
export function replaceFile(path: string, content: string): void {
  const folder = dirname(path);
  const draft = join(folder, draftName(basename(path), 'writing'));
  try {
    withFile(draft, 'wx', (file) => {
      writeFileSync(file, content);
      fsyncSync(file);
    });
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
  withFile(folder, 'r', fsyncSync);
}

function withFile(path: string, flags: string, act: (file: number) => void): void {
  const file = openSync(path, flags, PUBLIC_FILE);
  try {
    act(file);
  } finally {
    closeSync(file);
  }
}
