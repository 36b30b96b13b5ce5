// How the tests run. Unit tests: in parallel, one process a file at a time and core. End-to-end tests: after them, two
// files at a time, because most of their time is waiting. None measures, so that two at once can only make each other slow.
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
          maxWorkers: 2,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
