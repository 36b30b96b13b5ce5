// The order of the test files: those that take long begin first, so that at the end of a group no core waits for one of them.
// Vitest knows how long a file took from the run before; where there was none, as in CI, it goes by the size of the file.

import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What takes more than eight seconds on two cores, the longest first: with Prefect (the second part) and without. */
const LONG = [
  'test/e2e/a-certificate-renews-itself.test.ts',
  'test/cli/golden.test.ts',
  'test/bench/bench.test.ts',
  'test/e2e/a-machine-enrols-with-an-identity-token.test.ts',
  'test/authority/issue-survives-kill.test.ts',
  'test/e2e/what-is-open-outlives-a-renewal.test.ts',
  'test/cli/passphrase.test.ts',
  'test/policy/routes-prefect.test.ts',
  'test/soak/soak.test.ts',
  'test/cli/export.test.ts',
  'test/proxy/upstream-breaks-at-every-stage.test.ts',
  'test/e2e/a-listener-for-enrolment-gives-out-nothing-else.test.ts',
  'test/e2e/renew-keeps-files-for-other-programs.test.ts',
  'test/policy/paths-uvicorn.test.ts',
  'test/enroll/login.test.ts',
  'test/outbound/renewal.test.ts',
  'test/authority/keeping-survives-kill.test.ts',
  'test/cli/audit-rotation.test.ts',
  'test/cli/audit-export.test.ts',
  'test/e2e/a-connection-ends-at-its-certificates-not-after.test.ts',
  'test/authority/change-passphrase.test.ts',
  'test/observe/audit-stopped.test.ts',
  'test/cli/audit-verify.test.ts',
  'test/outbound/trust-bundle.test.ts',
  'test/e2e/a-lock-cuts-what-is-open-and-unlock-lets-it-in-again.test.ts',
  'test/e2e/everybodys-software-learns-of-a-revocation.test.ts',

  'test/e2e/each-of-prefects-commands-needs-the-role-that-the-docs-say.test.ts',
  'test/e2e/roles-decide-what-each-may-do.test.ts',
  'test/bench/flow.test.ts',
  'test/e2e/a-root-is-rotated-under-a-running-worker.test.ts',
  'test/e2e/a-scope-lets-one-cancel-ones-own-run-and-no-others.test.ts',
  'test/e2e/a-scope-keeps-a-worker-to-its-pool-and-a-team-to-its-tag.test.ts',
  'test/e2e/pods-get-their-certificates-by-their-service-accounts.test.ts',
  'test/e2e/two-machines-by-the-commands-of-the-readme.test.ts',
  'test/e2e/the-ui-and-prefects-commands-work-through-the-sidecar.test.ts',
  'test/e2e/prefects-password-is-held-by-the-gate-alone.test.ts',
  'test/e2e/a-deployed-flow-run-goes-through-both-sidecars.test.ts',
  'test/e2e/a-flow-run-survives-a-restart-of-the-prefect-server.test.ts',
  'test/e2e/csrf-protection-works-through-both-sidecars.test.ts',
];

/** Vitest's own order, but for the long ones, which go first in their group. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const { root } = this.ctx.config;
    const gone = LONG.filter((file) => !existsSync(`${root}/${file}`));
    if (gone.length > 0) throw new Error(`scripts/vitest/longest-first.ts names what is not there: ${gone.join(', ')}`);
    const place = (file: TestSpecification): number => {
      const found = LONG.indexOf(relative(root, file.moduleId));
      return found < 0 ? LONG.length : found;
    };
    const group = (file: TestSpecification): number => file.project.config.sequence.groupOrder;
    // oxlint-disable-next-line no-array-sort -- this is no array
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => group(a) - group(b) || place(a) - place(b));
  }
}
