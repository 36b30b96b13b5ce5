// How the tests run. Unit tests: in parallel, one process a file at a time and core. End-to-end tests: after them, one
// file at a time, because each starts real servers: of two at once, a flow run beside a stress test did not end in its time.
// Run one: scripts/test test/pki   ·   scripts/test test/e2e/revoked.test.ts -t 'within a second'

import { existsSync } from 'node:fs';
import { defineConfig } from 'vitest/config';
import { closingLineReporter } from './scripts/vitest/closing-line.ts';

const endToEndSetup = './test/e2e/global-setup.ts';

export default defineConfig({
  test: {
    pool: 'forks',
    reporters: ['default', closingLineReporter()],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/e2e/**', 'node_modules/**'],
          pool: 'forks',
          maxWorkers: 2,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: existsSync(new URL(endToEndSetup, import.meta.url)) ? [endToEndSetup] : [],
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
