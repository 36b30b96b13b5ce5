// Before the first end-to-end scenario: a real Prefect server for each file that runs at a time, and a copy of a migrated
// database for the scenarios that need a server of their own. After the last: nothing is left running, or the run fails.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { TestProject } from 'vitest/node';
import { startPrefect } from './harness/prefect.ts';
import { openSession } from './harness/session.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** `http://127.0.0.1:PORT` of each Prefect server that the scenarios share, one for each worker that runs them. */
    prefectUrls: readonly string[];
    /** A Prefect home with a migrated database, to copy. */
    prefectTemplate: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const session = await openSession(project);
  process.env['E2E_SESSION'] = session.dir;
  const template = join(session.dir, 'template');
  const files = project.vitest.state.getPaths().filter((path) => project.matchesTestGlob(path));
  const atATime = Math.min(project.config.maxWorkers, files.length);
  const homes = Array.from({ length: atATime }, (_, i) => join(session.dir, `prefect-${i + 1}`));
  try {
    await Promise.all([...homes, template].map(async (dir) => await mkdir(dir)));
    const servers = await Promise.all(homes.map(async (home) => await startPrefect({ home })));
    const database = new DatabaseSync(join(homes[0] ?? '', 'prefect.db'), { readOnly: true });
    database.exec(`VACUUM INTO '${join(template, 'prefect.db').replaceAll("'", "''")}'`);
    database.close();
    project.provide(
      'prefectUrls',
      servers.map(({ url }) => url),
    );
    project.provide('prefectTemplate', template);
    return async () => {
      await Promise.all(servers.map(async (server) => await server.stop()));
      await session.close();
    };
  } catch (error) {
    await session.close().catch(() => {});
    throw error;
  }
}
