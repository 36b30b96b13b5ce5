// What every run of end-to-end tests stands on: one folder, in which certgate is built as it is published, and which all
// processes of the run carry in their environment. When the run is over nothing of it is left, or the run fails.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { buildFor } from '../../build/built.ts';
import { reap } from './processes.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The folder of this run of the tests; every process that it starts carries its name. */
    session: string;
  }
}

export interface Session {
  readonly dir: string;
  /** Removes the folder; fails when the tests left processes, which it kills. */
  close(): Promise<void>;
}

/** Opens a session and tells the tests of `project` of it. */
export async function openSession(project: TestProject): Promise<Session> {
  const dir = await mkdtemp(join(tmpdir(), 'certgate-e2e-session-'));
  try {
    await buildFor(project, dir);
  } catch (error) {
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
  project.provide('session', dir);
  return {
    dir,
    async close() {
      const left = reap(dir);
      await rm(dir, { recursive: true, force: true });
      if (left.length > 0) throw new Error(`the scenarios left processes running, now killed: ${left.join(', ')}`);
    },
  };
}
