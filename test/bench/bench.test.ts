// The bench itself: a run of a moment, whose figures mean nothing, measures every work and prints ratios. The work that needs a
// Prefect is in flow.test.ts.

import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import type { Entry } from '../../scripts/bench/history.ts';
import { readOptions, UsageError } from '../../scripts/bench/options.ts';
import type { Report } from '../../scripts/bench/report.ts';
import { works } from '../../scripts/bench/works.ts';

const dir = mkdtempSync(join(tmpdir(), 'cg-bench-test-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const root = resolve(import.meta.dirname, '../..');
const run = (...args: string[]): Promise<{ stdout: string; stderr: string }> =>
  promisify(execFile)(process.execPath, [join(root, 'scripts/bench/bench.ts'), ...args], {
    timeout: 220_000,
    maxBuffer: 1 << 24,
  });
const reportIn = (file: string): Report => JSON.parse(readFileSync(file, 'utf8')) as Report;
if (process.platform !== 'linux') process.stderr.write('skipped: scripts/bench reads /proc, which only Linux has\n');
const pair = ['--only', 'certgate,http-proxy', '--rounds', '1'];

describe.skipIf(process.platform !== 'linux')('scripts/bench', () => {
  it('checks the contestants, measures them at every work under load, prints ratios, records and compares them', {
    timeout: 240_000,
  }, async () => {
    const json = join(dir, 'report.json');
    const history = join(dir, 'history.jsonl');
    const { stdout } = await run(
      ...pair,
      '--seconds',
      '0.05',
      '--json',
      json,
      '--history',
      history,
      '--record',
      '--compare',
    );
    for (const work of works) {
      expect(stdout).toContain(work.title);
      const line = `^ratio ${work.name}: certgate's (CPU|p50) \\S+ is \\d+\\.\\d\\d × http-proxy`;
      expect(stdout).toMatch(new RegExp(line, 'm'));
    }
    expect(stdout).toContain('nothing of this run is in the history yet');
    const report = reportIn(json);
    expect(report.excluded).toEqual([]);
    expect(Object.keys(report.versions)).toEqual(['certgate', 'http-proxy']);
    expect(report.tables).toHaveLength(1);
    expect(report.tables[0]?.measured).toHaveLength(2 * works.length);
    for (const { rounds } of report.tables[0]?.measured ?? []) expect(rounds[0]?.requests).toBeGreaterThan(0);
    const entry = JSON.parse(readFileSync(history, 'utf8')) as Entry;
    expect(Object.keys(entry.rows)).toEqual(works.map((work) => work.name));
    expect(entry.rows['small']?.ratios['http-proxy']?.median).toBeGreaterThan(0);
  });

  it('gives a table with access logs on and one with them off, of the sources where that is asked', {
    timeout: 240_000,
  }, async () => {
    const json = join(dir, 'tables.json');
    const asked = ['--works', 'small,defaults', '--tables', 'on,off', '--seconds', '0.05', '--rounds', '1'];
    const { stdout } = await run('--only', 'certgate,httpxy', ...asked, '--from-src', '--json', json);
    expect(stdout).toMatch(/^ratio small: /m);
    expect(stdout).toMatch(/^ratio small, logs off: /m);
    expect(stdout).not.toContain('defaults, logs off');
    expect(reportIn(json).tables.map((table) => table.accessLog)).toEqual([true, false]);
    expect(reportIn(json).versions['certgate']).toContain('src/');
  });

  it('measures start, memory per connection, two workers and a revocation', { timeout: 240_000 }, async () => {
    const json = join(dir, 'special.json');
    const asked = ['--works', 'start,memory,workers,revoke', '--connections', '20', '--seconds', '0.2'];
    await run(...pair, ...asked, '--json', json);
    const report = reportIn(json);
    expect(report.excluded).toEqual([]);
    const rows = report.specials.flatMap((special) => special.rows);
    const namesOf = (row: string): string[] | undefined =>
      rows.find(({ name }) => name === row)?.figures.map((figure) => figure.contestant);
    expect(namesOf('start')).toEqual(['certgate', 'http-proxy', 'certgate from src/']);
    expect(namesOf('memory per connection')).toEqual(['certgate', 'http-proxy']);
    for (const row of ['one of many, last octet', 'one of many, end', 'of all, last octet', 'of all, end']) {
      expect(namesOf(`revoke ${row} p99`)).toEqual(['certgate']);
    }
    const workers = report.specials.find(({ name }) => name === 'workers');
    expect(workers?.skipped === null ? workers.rows.length > 0 : workers?.skipped).toSatisfy(
      (found) => found === true || String(found).includes('needs two cores'),
    );
    for (const { figures } of rows) for (const { values } of figures) expect(values.every(Number.isFinite)).toBe(true);
  });

  it('refuses an unknown contestant with the names of those there are', async () => {
    const names = 'certgate, nginx, haproxy, ghostunnel, httpxy, http-proxy, node-tls, nginx-tickets';
    await expect(run('--only', 'envoy')).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`--only envoy: not one of ${names}`) as unknown,
    });
  });
});

describe('the bench command line', () => {
  it('takes every contestant and every work under load, 3 rounds of 3 seconds and access logs on, when nothing is said', () => {
    const options = readOptions([], ['a', 'b'], ['memory']);
    expect(options).toMatchObject({ only: ['a', 'b'], rounds: 3, seconds: 3, tables: [true], form: 'dist' });
    expect(options).toMatchObject({ specials: [], jsonFile: null, record: false, compare: false });
    expect(options?.works).toEqual(works);
  });

  it('takes every special work and both tables with --all', () => {
    const options = readOptions(['--all'], ['a'], ['memory', 'start']);
    expect(options).toMatchObject({ specials: ['memory', 'start'], tables: [true, false], works });
  });

  it('takes only what --works names, whether it is under load or special', () => {
    const options = readOptions(['--works', 'memory,small', '--no-logs'], ['a'], ['memory', 'start']);
    expect(options).toMatchObject({ specials: ['memory'], tables: [false] });
    expect(options?.works.map((work) => work.name)).toEqual(['small']);
  });

  it.each([
    ['--rounds', 'many'],
    ['--seconds', '0'],
    ['--cores', 'all'],
    ['--tables', 'both'],
    ['--works', 'big'],
    ['--colour'],
  ])('refuses %s %s', (...argv) => {
    expect(() => readOptions(argv, ['a'], ['memory'])).toThrow(UsageError);
  });
});
