// Before the first end-to-end scenario: one real Prefect server for all of them, and a copy of its migrated database
// for the scenarios that need a server of their own. After the last: nothing is left running, or the run fails.

import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { TestProject } from 'vitest/node';
import { startPrefect } from './harness/prefect.ts';
import { reap } from './harness/processes.ts';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dir = await mkdtemp(join(tmpdir(), 'certgate-e2e-session-'));
  process.env['E2E_SESSION'] = dir;
  const home = join(dir, 'prefect');
  const template = join(dir, 'template');
  await Promise.all([mkdir(home), mkdir(template)]);
  try {
    const server = await startPrefect({ home });
    const database = new DatabaseSync(join(home, 'prefect.db'), { readOnly: true });
    database.exec(`VACUUM INTO '${join(template, 'prefect.db').replaceAll("'", "''")}'`);
    database.close();
    project.provide('prefectUrl', server.url);
    project.provide('prefectTemplate', template);
    project.provide('session', dir);
    return async () => {
      await server.stop();
      const left = reap(dir);
      await rm(dir, { recursive: true, force: true });
      if (left.length > 0) throw new Error(`the scenarios left processes running, now killed: ${left.join(', ')}`);
    };
  } catch (error) {
    reap(dir);
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
}
