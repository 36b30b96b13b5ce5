// Before the first end-to-end test that needs no Prefect: certgate, built. After the last: nothing is left running.

import type { TestProject } from 'vitest/node';
import { openSession } from './harness/session.ts';

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const session = await openSession(project);
  return async () => await session.close();
}
