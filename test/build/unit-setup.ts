// Before the first of the unit tests: certgate is built for those that run it as a program.

import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { buildFor } from './built.ts';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dir = await mkdtemp(join(tmpdir(), 'certgate-unit-'));
  const end = async (): Promise<void> => await rm(dir, { recursive: true, force: true });
  try {
    await chmod(dir, 0o755); // some tests run it as nobody
    await buildFor(project, dir);
  } catch (error) {
    await end();
    throw error;
  }
  return end;
}
