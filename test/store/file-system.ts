// A small file system of its own for a test, to be filled up or made read-only.
import { spawnSync } from 'node:child_process';
import { statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished, type TestContext } from 'vitest';
import { newFolder } from './fixture.ts';

/** A new tmpfs of `size` (as `mount` takes it); the test is skipped, with the reason, where none can be mounted. */
export function ownFileSystem(context: TestContext, size: string): string {
  const folder = newFolder();
  const options = `size=${size},mode=0755`;
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder], { encoding: 'utf8' });
  if (mounted.status !== 0) {
    const reason = `no tmpfs can be mounted here: ${mounted.stderr || String(mounted.error)}`;
    process.stderr.write(`skipped: ${context.task.name}: ${reason}\n`);
    context.skip(reason);
  }
  onTestFinished(() => void spawnSync('umount', ['-l', folder]));
  return folder;
}

/** Leaves no room in it; answers the file to remove for more. */
export function fill(folder: string): string {
  const path = join(folder, 'filler');
  const { bavail, bsize } = statfsSync(folder);
  writeFileSync(path, Buffer.alloc(bavail * bsize));
  return path;
}
