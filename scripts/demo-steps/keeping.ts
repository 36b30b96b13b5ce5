// What --keep leaves running, written down in .cache/demo-kept.json, and how --stop ends it. The file holds pids with
// the moments at which the processes were started, so that a pid which the kernel has given away again is left alone.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CHECKOUT } from './place.ts';
import { endAll, type Known } from './processes.ts';

interface Kept {
  readonly dir: string;
  readonly processes: readonly Known[];
}

const file = join(CHECKOUT, '.cache/demo-kept.json');

function read(): readonly Kept[] {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Kept[];
  } catch {
    return [];
  }
}

/** Writes down what was left running in `dir`. */
export function keep(dir: string, processes: readonly Known[]): void {
  const entry: Kept = { dir, processes: processes.map(({ pid, started }) => ({ pid, started })) };
  writeFileSync(file, `${JSON.stringify([...read(), entry], null, 2)}\n`);
}

/** Ends all that was kept; answers the folders. */
export async function stopKept(): Promise<readonly string[]> {
  const kept = read();
  await endAll(kept.flatMap(({ processes }) => processes));
  rmSync(file, { force: true });
  return kept.map(({ dir }) => dir);
}
