// certgate as it is published: the built program, made from the checkout's sources into a folder of the run's own under
// .cache/bench/. It goes when the run ends.

import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
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

/** Builds what `mainOf('dist')` names; less than a second. @throws with what the build said */
export async function buildDist(): Promise<void> {
  removeDist();
  try {
    await promisify(execFile)(process.execPath, [join(root, 'scripts/build.ts'), '--out', join(home, 'dist')]);
  } catch (error) {
    const said = (error as { stderr?: unknown }).stderr;
    throw new Error(`certgate does not build (--from-src measures the sources):\n${String(said).slice(0, 2000)}`, {
      cause: error,
    });
  }
}
