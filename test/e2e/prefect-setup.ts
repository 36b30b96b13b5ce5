// Before the first end-to-end scenario: one real Prefect server for all of them, and a copy of its migrated database
// for the scenarios that need a server of their own. After the last: nothing is left running, or the run fails.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { TestProject } from 'vitest/node';
import { startPrefect } from './harness/prefect.ts';
import { openSession } from './harness/session.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** `http://127.0.0.1:PORT` of the Prefect server that the scenarios share. */
    prefectUrl: string;
    /** A Prefect home with a migrated database, to copy. */
    prefectTemplate: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const session = await openSession(project);
  process.env['E2E_SESSION'] = session.dir;
  const home = join(session.dir, 'prefect');
  const template = join(session.dir, 'template');
  await Promise.all([mkdir(home), mkdir(template)]);
  try {
    const server = await startPrefect({ home });
    const database = new DatabaseSync(join(home, 'prefect.db'), { readOnly: true });
    database.exec(`VACUUM INTO '${join(template, 'prefect.db').replaceAll("'", "''")}'`);
    database.close();
    project.provide('prefectUrl', server.url);
    project.provide('prefectTemplate', template);
    return async () => {
      await server.stop();
      await session.close();
    };
  } catch (error) {
    await session.close().catch(() => {});
    throw error;
  }
}
