// A CA that `certgate init` made, looked at as `certgate ca check` looks at it, now or later; for each test of a file.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeEach, expect } from 'vitest';
import { examineCa } from '../../src/cli/check/examine.ts';
import { loadConfig } from '../../src/config/load.ts';
import { newFolder } from '../store/fixture.ts';
import { type Ran, runIn } from './run-in.ts';

export const DAY = 86_400_000;

export interface CheckedCa {
  readonly dir: string;
  path(...names: string[]): string;
  /** Runs certgate in this process and in the CA's folder. */
  ran(argv: readonly string[], env?: NodeJS.ProcessEnv): Promise<Ran>;
  /** What is not well, as `level check: found → remedy`, `later` ms from now. */
  found(later?: number): Promise<readonly string[]>;
  /** Pastes what a finding says: certgate's own commands in this process, others into a shell. */
  paste(remedy: string): Promise<void>;
  /** Goes on in an empty folder. */
  moveOut(): void;
}

export function checkedCa(): CheckedCa {
  let dir: string;
  const ran = (argv: readonly string[], env?: NodeJS.ProcessEnv): Promise<Ran> => runIn(dir, argv, env);
  beforeEach(async () => {
    dir = newFolder();
    await ran(['init', '--dir', '.']);
  });
  return {
    get dir() {
      return dir;
    },
    path: (...names) => join(dir, ...names),
    ran,
    async found(later = 0) {
      const config = loadConfig({ file: undefined, env: {}, flags: {}, cwd: dir });
      const sections = await examineCa(config, Date.now() + later, (words) => `certgate ${words}`);
      return sections
        .flatMap(({ findings }) => findings)
        .filter(({ level }) => level !== 'ok')
        .map(({ level, check, found: what, remedy }) => `${level} ${check}: ${what} → ${remedy}`);
    },
    async paste(remedy) {
      const words = remedy.split(' ');
      if (words[0] === 'certgate') expect(await ran(words.slice(1))).toMatchObject({ code: 0 });
      else execFileSync('sh', ['-c', remedy], { cwd: dir });
    },
    moveOut() {
      dir = newFolder();
    },
  };
}
