// The bench's one work that needs a Prefect: it starts its own, so this runs among the tests with Prefect.

import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import type { Report } from '../../scripts/bench/report.ts';

const root = resolve(import.meta.dirname, '../..');
const dir = mkdtempSync(join(tmpdir(), 'cg-bench-flow-test-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const noFlow =
  process.env['CI'] === 'true'
    ? existsSync(join(root, '.cache/prefect/bin/prefect'))
      ? null
      : 'Prefect is not installed in .cache/prefect'
    : 'half a minute, most of it Prefect’s start: CI=true runs it';
if (noFlow !== null) process.stderr.write(`skipped: the bench of a flow run: ${noFlow}\n`);

describe.skipIf(noFlow !== null || process.platform !== 'linux')('scripts/bench', () => {
  it('compares a flow run through both sidecars with a direct one', async () => {
    const json = join(dir, 'flow.json');
    const asked = ['--only', 'certgate,http-proxy', '--rounds', '1', '--works', 'flow', '--tasks', '2', '--json', json];
    await promisify(execFile)(process.execPath, [join(root, 'scripts/bench/bench.ts'), ...asked], {
      timeout: 280_000,
      maxBuffer: 1 << 24,
    });
    const report = JSON.parse(readFileSync(json, 'utf8')) as Report;
    expect(report.excluded).toEqual([]);
    expect(report.specials[0]?.rows[0]).toMatchObject({ name: 'flow', unit: '× wall time of direct' });
    expect(report.specials[0]?.rows[0]?.figures[0]?.values[0]).toBeGreaterThan(0);
  });
});
