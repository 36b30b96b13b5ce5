// Go programs that the bench compares with, built once from the Go module proxy into .cache/NAME/VERSION/.

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { findProgram, reasonOf, say } from '../processes.ts';

export interface GoProgram {
  readonly name: string;
  readonly version: string;
  /** `github.com/…/cmd/NAME`, whose last part is the program's name. */
  readonly module: string;
  readonly env?: Readonly<Record<string, string>>;
}

const BUILD_LIMIT_MS = 900_000;

export function goProgram({ name, version }: GoProgram): string {
  return join(resolve(import.meta.dirname, '../../../.cache'), name, version, name);
}

/** Builds it unless it is there; answers why it can't be had, with the remedy, or null. */
export async function provideGoProgram(program: GoProgram): Promise<string | null> {
  const { name, version, module, env = {} } = program;
  const built = goProgram(program);
  if (existsSync(built)) return null;
  const go = findProgram('go') ?? (existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : null);
  if (go === null) return 'no go on this machine to build it with: apt-get install golang-go';
  const draft = `${built}.building`;
  try {
    say(`building ${name} ${version}, once (a minute or two)`);
    await rm(draft, { recursive: true, force: true });
    await mkdir(draft, { recursive: true });
    await promisify(execFile)(go, ['install', '-trimpath', `${module}@v${version}`], {
      env: { ...process.env, ...env, GOBIN: draft },
      timeout: BUILD_LIMIT_MS,
      maxBuffer: 1 << 26,
    });
    // last, so that a build that was killed is simply done again
    await rename(join(draft, name), built);
    await rm(draft, { recursive: true, force: true });
    return null;
  } catch (error) {
    return `it could not be built (go install ${module}@v${version}): ${reasonOf(error).slice(0, 600)}`;
  }
}
