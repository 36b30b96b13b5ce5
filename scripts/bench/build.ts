// certgate as it is published: the compiled program, built from the checkout's sources into a folder of the run's own
// under .cache/bench/, so that it finds the checkout's packages. It goes when the run ends.

import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const root = resolve(import.meta.dirname, '../..');
const home = join(root, '.cache/bench', String(process.pid));

/** Which program is measured: what is published, or the sources with their types stripped at the start. */
export type Form = 'dist' | 'src';

/** The file to run with Node. */
export function mainOf(form: Form): string {
  return form === 'src' ? join(root, 'src/main.ts') : join(home, 'dist/main.js');
}

export function removeDist(): void {
  rmSync(home, { recursive: true, force: true });
}

/** Builds what `mainOf('dist')` names; about two seconds. @throws with what the compiler said */
export async function buildDist(): Promise<void> {
  removeDist();
  mkdirSync(home, { recursive: true });
  copyFileSync(join(root, 'package.json'), join(home, 'package.json'));
  const tsc = join(root, 'node_modules/.bin/tsc');
  const args = ['-p', 'tsconfig.build.json', '--outDir', join(home, 'dist')];
  try {
    await promisify(execFile)(tsc, args, { cwd: root });
  } catch (error) {
    const said = (error as { stdout?: unknown }).stdout;
    throw new Error(`certgate does not compile (--from-src measures the sources):\n${String(said).slice(0, 2000)}`, {
      cause: error,
    });
  }
}
