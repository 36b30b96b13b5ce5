import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, expect, test } from 'vitest';

const dir = mkdtempSync(join(tmpdir(), 'cg-tallies-test-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function sumOf(...names: string[]): [status: number | null, said: string] {
  const files = names.map((name) => join(dir, name));
  const script = resolve(import.meta.dirname, '../../scripts/vitest/tallies.ts');
  const { status, stdout } = spawnSync(process.execPath, [script, ...files], { encoding: 'utf8' });
  return [status, stdout];
}

test('the closing line of a run in parts is their sum, and a part that did not come to its end is a failure', () => {
  writeFileSync(join(dir, 'one'), JSON.stringify({ passed: 10, failed: 0, skipped: 2 }));
  writeFileSync(join(dir, 'two'), JSON.stringify({ passed: 5, failed: 0, skipped: 0 }));
  writeFileSync(join(dir, 'bad'), JSON.stringify({ passed: 1, failed: 2, skipped: 0 }));
  expect(sumOf('one', 'two')).toEqual([0, 'tests: 15 passed, 0 failed, 2 skipped\n']);
  expect(sumOf('two', 'bad')).toEqual([1, 'tests: 6 passed, 2 failed\n']);
  expect(sumOf('two', 'gone')).toEqual([1, 'tests: 5 passed, 1 failed\n']);
});
