// What the checks of `certgate ca check` look at: the configuration, the store as it was read once, and how a remedy is
// written so that it can be pasted.
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Command } from 'commander';
import { CERTIFICATES } from '../../authority/backup-manifest.ts';
import type { Config } from '../../config/schema.ts';
import { shellWord } from '../../errors.ts';
import type { RecordsLook } from '../../store/sqlite-look.ts';
import { configNamed } from '../given-config.ts';

export interface Subject {
  readonly config: Config;
  /** ms since the epoch */
  readonly now: number;
  /** Null when the store could not be read; a finding says why. */
  readonly records: RecordsLook | null;
  /** Whether a gate answers on the control socket; null when that could not be told. */
  readonly gateRuns: boolean | null;
  /** `certgate WORDS` as it is called here, with the configuration that was named. */
  readonly command: (words: string) => string;
}

/** `command` of a Subject, for the commands that `of` says; `file` is the configuration's, null for none. */
export function commandWriter(program: string, file: string | null, of: Command): Subject['command'] {
  const config = configNamed(of) !== undefined && file !== null ? ` --config ${shellWord(file)}` : '';
  return (words) => `${program} ${words}${config}`;
}

/** What brings a file of `certsDir` back from the last backup; null when that has none. */
export function copyBack(file: string, { config, records }: Pick<Subject, 'config' | 'records'>): string | null {
  const out = records?.backup?.out ?? '';
  const copy = join(out, CERTIFICATES, relative(config.certsDir, file));
  return out !== '' && existsSync(copy) ? `cp -p ${shellWord(copy)} ${shellWord(file)}` : null;
}

export const DAY = 86_400_000;

/** The first few of `names`, and how many more. */
export function someOf(names: readonly string[]): string {
  return names.length <= 5 ? names.join(', ') : `${names.slice(0, 5).join(', ')} and ${names.length - 5} more`;
}
