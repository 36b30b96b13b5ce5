// A vitest reporter that ends the run with one plain line, `tests: N passed, N failed, N skipped`, counted from vitest's
// own results, and makes a run that executed no test fail. A file that could not be loaded, and an error outside of any
// test, count as one failure each, so the line never says less than the exit code. Of a run that is part of a larger one
// (scripts/test) it writes the count into the file that TESTS_TALLY_FILE names, and leaves the line to tallies.ts. A CERTGATE_…
// variable would be refused by each certgate that a test starts.

import { writeFileSync } from 'node:fs';
import type { SerializedError } from 'vitest';
import type { Reporter, TestModule } from 'vitest/node';

/** What the line is made of; a test that `test.todo` or a filter left out is skipped. */
export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

/** Counts every test of the run. */
export function tally(modules: Iterable<TestModule>, outsideOfTests: readonly SerializedError[]): Tally {
  const sum: Tally = { passed: 0, failed: outsideOfTests.length, skipped: 0 };
  for (const module of modules) {
    let failedHere = 0;
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === 'passed') sum.passed += 1;
      else if (state === 'failed') failedHere += 1;
      else sum.skipped += 1;
    }
    // A file whose import or whose hooks failed has no failed test, and is a failure nevertheless.
    sum.failed += failedHere === 0 && module.state() === 'failed' ? 1 : failedHere;
  }
  return sum;
}

/** `12 passed, 0 failed, 1 skipped`; the last part only when there is something to say. */
export function closingLine({ passed, failed, skipped }: Tally): string {
  return `tests: ${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/** The reporter; it prints to stdout after the other reporters. */
export function closingLineReporter(): Reporter {
  return {
    onTestRunEnd(modules, errors) {
      const sum = tally(modules, errors);
      if (sum.passed + sum.failed === 0) {
        process.stdout.write('no test was run: that is a failure\n');
        process.exitCode = 1;
      }
      const part = process.env['TESTS_TALLY_FILE'];
      if (part === undefined) process.stdout.write(`${closingLine(sum)}\n`);
      else writeFileSync(part, JSON.stringify(sum));
    },
  };
}
