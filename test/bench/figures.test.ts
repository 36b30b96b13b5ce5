// What the bench makes of its figures: spreads, ratios, rows, aims, the history and the comparison with it.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { aims, judge } from '../../scripts/bench/aims.ts';
import { changesSince, type Entry, entryOf, readHistory, record } from '../../scripts/bench/history.ts';
import type { Measured, Report, Row } from '../../scripts/bench/report.ts';
import { ratiosOf, rowsOf } from '../../scripts/bench/rows.ts';
import { specials } from '../../scripts/bench/special/specials.ts';
import { quantileOf, ratioOf, spreadOf } from '../../scripts/bench/statistics.ts';
import { align, changeBlock, tableOf } from '../../scripts/bench/table.ts';
import { works } from '../../scripts/bench/works.ts';

const dir = mkdtempSync(join(tmpdir(), 'cg-bench-figures-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

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

/** A report of `small` and of one special work. */
function reportWith(gate: readonly number[], nginx: readonly number[], extra: Partial<Report> = {}): Report {
  const measured: Measured[] = [
    { work: 'small', contestant: 'certgate', rounds: gate.map(round) },
    { work: 'small', contestant: 'nginx', rounds: nginx.map(round) },
  ];
  const revoke: Row = {
    name: 'revoke of all, last octet p99',
    unit: 'ms',
    figures: [{ contestant: 'certgate', values: [30, 40] }],
  };
  return {
    date: '2026-11-25T00:00:00.000Z',
    commit: 'abc',
    node: '26.10.0',
    cpuModel: 'a processor',
    coreCount: 2,
    options: {
      rounds: 2,
      seconds: 1,
      form: 'dist',
      profiled: false,
      cores: { contestant: '0', load: '1', upstream: '1' },
    },
    versions: { certgate: '0.1.0', nginx: '1.22.1' },
    tables: [{ accessLog: true, contestants: [], measured }],
    specials: [{ name: 'revoke', title: 'revoke', rows: [revoke], notes: [], skipped: null }],
    skipped: [{ name: 'ghostunnel', reason: 'no go' }],
    excluded: [],
    ...extra,
  };
}

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

  it('gives the value that a part of the values does not exceed', () => {
    const hundred = Array.from({ length: 100 }, (_, place) => 100 - place);
    expect([0.5, 0.99, 1].map((part) => quantileOf(hundred, part))).toEqual([50, 99, 100]);
    expect(quantileOf([], 0.5)).toBeNaN();
  });
});

describe('the rows of a report', () => {
  it('are one for each work of each table and each figure of the special works', () => {
    const [on] = reportWith([30], [20]).tables;
    const off = { accessLog: false, contestants: [], measured: on?.measured ?? [] };
    const report = reportWith([30], [20], { tables: on === undefined ? [] : [on, off] });
    expect(rowsOf(report).map((row) => row.name)).toEqual([
      'small',
      'small, logs off',
      'revoke of all, last octet p99',
    ]);
  });

  it('compare certgate with each other contestant, and with none where it was not measured', () => {
    const [small, revoke] = rowsOf(reportWith([30, 20], [20, 20]));
    expect(small === undefined ? null : ratiosOf(small)).toEqual({ nginx: { min: 1, median: 1.25, max: 1.5 } });
    expect(revoke === undefined ? null : ratiosOf(revoke)).toEqual({});
    expect(ratiosOf({ name: 'x', unit: 'ms', figures: [{ contestant: 'nginx', values: [1] }] })).toEqual({});
  });
});

describe('the aims', () => {
  it('name rows that the bench has', () => {
    const special = new Set(specials.map(({ name }) => name));
    const underLoad = new Set(works.flatMap((work) => [work.name as string, `${work.name}, logs off`]));
    for (const { row } of aims) expect(underLoad.has(row) || special.has(row.split(' ')[0] ?? '')).toBe(true);
  });

  it('are judged by the median, a gain from below and a cost from above', () => {
    const workers: Row = {
      name: 'workers',
      unit: '×',
      figures: [{ contestant: 'certgate', values: [1.9, 1.7, 1.85] }],
    };
    const verdicts = judge([...rowsOf(reportWith([30, 20], [20, 20])), workers]);
    const told = verdicts.map(({ row, against, reach, reached }) => [row, against, reach, reached]);
    expect(told).toEqual([
      ['small', 'nginx', 1, false],
      ['workers', null, 1.8, true],
      ['revoke of all, last octet p99', null, 100, true],
      ['revoke of all, last octet p99', null, 20, false],
    ]);
  });
});

describe('the history', () => {
  it('gets one line for a run, and the rows of a later run of the same commit and machine into the same line', () => {
    const file = join(dir, 'merged.jsonl');
    record(file, entryOf(reportWith([30], [20])));
    record(file, entryOf(reportWith([30], [20], { tables: [], versions: { haproxy: '2.6' } })));
    record(file, entryOf(reportWith([10], [20], { commit: 'def' })));
    expect(readFileSync(file, 'utf8').trimEnd().split('\n')).toHaveLength(2);
    const [first, second] = readHistory(file);
    expect(Object.keys(first?.rows ?? {})).toEqual(['small', 'revoke of all, last octet p99']);
    expect(first?.versions).toEqual({ certgate: '0.1.0', nginx: '1.22.1', haproxy: '2.6' });
    expect(first?.rows['small']?.ratios['nginx']).toEqual({ min: 1.5, median: 1.5, max: 1.5 });
    expect(second).toMatchObject({ commit: 'def', rows: { small: { value: { median: 10 } } } });
    expect(readHistory(join(dir, 'none.jsonl'))).toEqual([]);
  });

  const past = (gate: readonly number[], nginx: readonly number[], extra: Partial<Report> = {}): Entry =>
    entryOf(reportWith(gate, nginx, extra));

  it('says how a ratio has changed, and that it has not where the ranges overlap', () => {
    const before = past([30, 40], [20, 20]);
    const cheaper = changesSince([before], past([20, 22], [20, 20]));
    expect(cheaper.find((one) => one.what === '× nginx')?.change).toBeCloseTo(1.05 / 1.75 - 1);
    const dearer = changesSince([before], past([80, 60], [20, 20]));
    expect(dearer.find((one) => one.what === '× nginx')?.change).toBeCloseTo(3.5 / 1.75 - 1);
    expect(changeBlock(dearer)).toMatch(/small +× nginx .* \+100 %/);
    const alike = changesSince([before], past([20, 31], [20, 20]));
    expect(alike.find((one) => one.what === '× nginx')?.change).toBeNull();
    expect(changeBlock(alike)).toContain('no change (ranges overlap)');
    expect(changeBlock(cheaper)).toMatch(/small +× nginx .* -40 %/);
  });

  it('compares each row with the newest entry that has it', () => {
    const entries = [past([30], [20]), past([10], [10], { tables: [], commit: 'def' })];
    const changes = changesSince(entries, past([30], [20]));
    expect(changes.map(({ row, since }) => [row, since.commit])).toEqual([
      ['small', 'abc'],
      ['revoke of all, last octet p99', 'def'],
    ]);
    expect(changesSince([], past([30], [20]))).toEqual([]);
  });

  it('compares a figure without ratios only with one of the same processor', () => {
    const elsewhere = past([30], [20], { cpuModel: 'another processor' });
    expect(changesSince([elsewhere], past([30], [20])).map(({ row }) => row)).toEqual(['small']);
  });
});

describe('the tables', () => {
  it('name what was skipped and print ratios and aims', () => {
    const text = tableOf(reportWith([30, 20], [20, 20]));
    expect(text).toContain('skipped ghostunnel: no go');
    expect(text).toContain("ratio small: certgate's CPU µs/request is 1.25 × nginx (1.00-1.50)");
    expect(text).toMatch(/small +× nginx +≤ 1 +1\.25 +not reached/);
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
