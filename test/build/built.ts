// certgate as it is published, built once for a run of the tests into a folder of the run's own: what the tests run as a
// program is what users run, and it starts in a third of the time that the sources take.

import { execFile } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** The built certgate: main.js. */
    certgate: string;
  }
}

const BUILD = resolve(import.meta.dirname, '../../scripts/build.ts');

/** Builds into `dir`/certgate, and tells the tests of `project` where. Fails with what the build says. */
export async function buildFor(project: TestProject, dir: string): Promise<void> {
  const out = join(dir, 'certgate');
  await promisify(execFile)(process.execPath, [BUILD, '--out', out]);
  const main = join(out, 'main.js');
  await chmod(main, 0o755); // as npm links it
  // As the package says it: Node need not find out.
  await writeFile(join(out, 'package.json'), '{"type": "module"}\n');
  project.provide('certgate', main);
}
