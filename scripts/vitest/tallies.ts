// The closing line of a run whose parts ran by themselves: `node scripts/vitest/tallies.ts FILE…` prints the sum of what
// closing-line.ts wrote. A part that left no file did not come to its end, and counts as one failure.

import { existsSync, readFileSync } from 'node:fs';
import { closingLine, type Tally } from './closing-line.ts';

const sum: Tally = { passed: 0, failed: 0, skipped: 0 };
for (const file of process.argv.slice(2)) {
  const part: Tally = existsSync(file)
    ? (JSON.parse(readFileSync(file, 'utf8')) as Tally)
    : { passed: 0, failed: 1, skipped: 0 };
  sum.passed += part.passed;
  sum.failed += part.failed;
  sum.skipped += part.skipped;
}
process.stdout.write(`${closingLine(sum)}\n`);
process.exitCode = sum.failed > 0 ? 1 : 0;
