// How the tests run: one process a file, or one for many files that neither change nor measure theirs. Unit tests and end-to-end
// tests without Prefect: four files at a time, for two cores, because many wait. Those with Prefect, one at a time: beside another,
// on a busy machine, their server's SQLite refuses more than Prefect's client tries again. The stress tests, which fill the
// machine, each alone. These three groups come one after another; scripts/test runs the first two at the same time. Long files go
// first.
// Run one: scripts/test test/pki   ·   scripts/test test/e2e/revoked.test.ts -t 'within a second'

import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { closingLineReporter } from './scripts/vitest/closing-line.ts';
import { LongestFirst } from './scripts/vitest/longest-first.ts';

const STRESS = 'test/e2e/stress-*.test.ts';
/** For what hangs: no test is to fail because the machine is busy. */
const LIMITS = { testTimeout: 300_000, hookTimeout: 300_000 };
/** A scenario says by what it asks for that it needs a Prefect: see test/e2e/harness/scenario.ts. */
const WITH_PREFECT = [
  ...globSync('test/e2e/*.test.ts', { cwd: import.meta.dirname }).filter((file) =>
    /\b(?:sharedPrefect|ownPrefect)\(|'prefectTemplate'/.test(readFileSync(join(import.meta.dirname, file), 'utf8')),
  ),
  'test/bench/flow.test.ts',
];

const ROOMS = 'admin,authority,config,enroll,http1,identity,inbound,observe,outbound,pki,policy,proxy,security,store';
/** What a file does to its process, or asks of it, or starts beside it. Such a file has a process of its own. */
const OF_ITS_PROCESS =
  /\b(?:vi|process|performance)\.|\bglobalThis\b|\.prototype\b|child_process|worker_threads|syncBuiltinESMExports|killedAt|startScript|inject\(/;
/** The others share processes: what starts a process and loads certgate into it costs as much as many of their tests. */
const TOGETHER = globSync(`test/{${ROOMS}}/*.test.ts`, { cwd: import.meta.dirname }).filter(
  (file) => !OF_ITS_PROCESS.test(readFileSync(join(import.meta.dirname, file), 'utf8')),
);

export default defineConfig({
  test: {
    pool: 'forks',
    reporters: ['default', closingLineReporter()],
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/e2e/**', ...WITH_PREFECT, ...TOGETHER, 'node_modules/**'],
          globalSetup: ['./test/build/unit-setup.ts'],
          pool: 'forks',
          maxWorkers: 4,
          sequence: { groupOrder: 0 },
          ...LIMITS,
        },
      },
      {
        test: {
          name: 'unit-together',
          include: TOGETHER,
          isolate: false,
          pool: 'forks',
          maxWorkers: 4,
          sequence: { groupOrder: 0 },
          ...LIMITS,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          exclude: [...WITH_PREFECT, STRESS],
          globalSetup: ['./test/e2e/session-setup.ts'],
          pool: 'forks',
          maxWorkers: 4,
          sequence: { groupOrder: 0 },
          ...LIMITS,
        },
      },
      {
        test: {
          name: 'prefect',
          include: WITH_PREFECT,
          globalSetup: ['./test/e2e/prefect-setup.ts'],
          pool: 'forks',
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
          ...LIMITS,
        },
      },
      {
        test: {
          name: 'stress',
          include: [STRESS],
          globalSetup: ['./test/e2e/session-setup.ts'],
          pool: 'forks',
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
          ...LIMITS,
        },
      },
    ],
  },
});
