// The bench itself: a run of a moment, whose figures mean nothing, measures every work and prints ratios.

import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { readOptions, UsageError } from '../../scripts/bench/options.ts';
import { compare, type Measured, type Report } from '../../scripts/bench/report.ts';
import { ratioOf, spreadOf } from '../../scripts/bench/statistics.ts';
import { align } from '../../scripts/bench/table.ts';
import { type Work, works } from '../../scripts/bench/works.ts';

const dir = mkdtempSync(join(tmpdir(), 'cg-bench-test-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const bench = join(import.meta.dirname, '..', '..', 'scripts', 'bench', 'bench.ts');
const run = (...args: string[]): Promise<{ stdout: string; stderr: string }> =>
  promisify(execFile)(process.execPath, [bench, ...args], { timeout: 170_000, maxBuffer: 1 << 24 });

describe.skipIf(process.platform !== 'linux')('scripts/bench', () => {
  it('checks certgate and http-proxy, measures both at every work and prints their ratio', {
    timeout: 120_000,
  }, async () => {
    const json = join(dir, 'report.json');
    const { stdout } = await run('--rounds', '1', '--seconds', '0.3', '--only', 'certgate,http-proxy', '--json', json);
    for (const work of works) {
      expect(stdout).toContain(work.title);
      expect(stdout).toMatch(new RegExp(`ratio ${work.name}: certgate's (CPU|p50) is \\d+\\.\\d\\d × http-proxy`));
    }
    const report = JSON.parse(readFileSync(json, 'utf8')) as Report;
    expect(report.excluded).toEqual([]);
    expect(report.contestants.map((one) => one.name)).toEqual(['certgate', 'http-proxy']);
    expect(report.measured).toHaveLength(2 * works.length);
    for (const { rounds } of report.measured) {
      expect(rounds).toHaveLength(1);
      expect(rounds[0]?.requests).toBeGreaterThan(0);
    }
  });

  it('refuses an unknown contestant with the names of those there are', async () => {
    await expect(run('--only', 'envoy')).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--only envoy: not one of certgate, nginx, haproxy, http-proxy') as unknown,
    });
  });
});

describe('the bench command line', () => {
  it('takes every contestant and work, 3 rounds of 3 seconds and access logs on, when nothing is said', () => {
    const options = readOptions([], ['a', 'b']);
    expect(options).toMatchObject({ only: ['a', 'b'], rounds: 3, seconds: 3, accessLog: true, jsonFile: null });
    expect(options?.works).toEqual(works);
  });

  it.each([['--rounds', 'many'], ['--seconds', '0'], ['--cores', 'all'], ['--colour']])('refuses %s %s', (...argv) => {
    expect(() => readOptions(argv, ['a'])).toThrow(UsageError);
  });
});

describe('the bench statistics', () => {
  it('gives minimum, median and maximum, and nothing of nothing', () => {
    expect(spreadOf([3, 1, 2])).toEqual({ min: 1, median: 2, max: 3 });
    expect(spreadOf([4, 1, 2, 3])).toEqual({ min: 1, median: 2.5, max: 4 });
    expect(spreadOf([])).toBeNull();
  });

  it('takes ratios round by round, over the rounds that both have', () => {
    expect(ratioOf([10, 40], [10, 20, 30])).toEqual({ min: 1, median: 1.5, max: 2 });
    expect(ratioOf([10], [])).toBeNull();
  });

  it('compares a contestant with the yardsticks that were measured, and none with itself', () => {
    const work = works.find((one): one is Work => one.name === 'small');
    const round = (cpuMicros: number): Measured['rounds'][number] => ({
      requests: 1,
      requestsPerSecond: 1,
      cpuMicros,
      p50Micros: 1,
      p99Micros: 1,
      contestantShare: 1,
      loadShare: 1,
      upstreamShare: 1,
      residentBytes: 1,
    });
    const measured: Measured[] = [
      { work: 'small', contestant: 'certgate', rounds: [round(30), round(20)] },
      { work: 'small', contestant: 'http-proxy', rounds: [round(120), round(100)] },
    ];
    const [gate, yardstick] = work === undefined ? [] : compare(work, measured);
    expect(gate?.against).toEqual({ 'http-proxy': { min: 0.2, median: 0.225, max: 0.25 } });
    expect(yardstick?.against).toEqual({});
  });

  it('aligns columns, the first to the left and the others to the right', () => {
    expect(
      align([
        ['name', 'µs'],
        ['a', '1000'],
      ]),
    ).toBe('  name     µs\n  a      1000');
  });
});
