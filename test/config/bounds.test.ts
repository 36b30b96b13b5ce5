// Each setting that has a least and a most, as its documentation names them: both are taken, and nothing beyond them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parseDuration } from '../../src/config/duration.ts';
import { leaves } from '../../src/config/leaves.ts';
import { loadConfig } from '../../src/config/load.ts';
import { isCertgateError } from '../../src/errors.ts';

const KIB: Readonly<Record<string, number>> = { KiB: 1, MiB: 1024, GiB: 1024 ** 2 };

/** What is just below and just above the bounds, as it would be written. */
function beyond(min: string, max: string): readonly [below: string | number, above: string | number] {
  const kib = (size: string): number => Number.parseInt(size, 10) * (KIB[size.replace(/^\d+/, '')] ?? Number.NaN);
  if (min.endsWith('iB')) return [`${kib(min) - 1}KiB`, `${kib(max) + 1}KiB`];
  if (/^\d+$/.test(min)) return [Number(min) - 1, Number(max) + 1];
  return [`${(parseDuration(min) ?? 0) - 1}ms`, `${(parseDuration(max) ?? 0) + 1}ms`];
}

/** The paths that are told of when the file sets `path` to `value`. */
function refusedWith(path: string, value: string | number): string[] {
  const dir = mkdtempSync(join(tmpdir(), 'certgate-bounds-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const tree = path.split('.').reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
  writeFileSync(join(dir, 'certgate.yaml'), JSON.stringify(tree));
  try {
    loadConfig({ env: {}, cwd: dir });
    return [];
  } catch (error) {
    if (!isCertgateError(error, 'CG_CONFIG')) throw error;
    return error.facts.problems.map(({ problem }) => problem.split(' ')[0] ?? '');
  }
}

const bounded = leaves.flatMap(({ path, setting }) => {
  const [, min, max] = /from (\w+) to (\w+)/.exec(setting.wants) ?? [];
  return min === undefined || max === undefined ? [] : [{ path, min, max, off: setting.wants.includes('off') }];
});

describe('a setting with bounds', () => {
  test('is one of many', () => expect(bounded.length).toBeGreaterThan(20));

  test.each(bounded)('$path is from $min to $max', ({ path, min, max, off }) => {
    const written = (bound: string): string | number => (/^\d+$/.test(bound) ? Number(bound) : bound);
    expect([min, max].flatMap((bound) => refusedWith(path, written(bound)))).toEqual([]);
    const [below, above] = beyond(min, max);
    expect(refusedWith(path, above)).toEqual([path]);
    // No limit at all.
    expect(refusedWith(path, below)).toEqual(off && below === 0 ? [] : [path]);
    expect(refusedWith(path, 'off')).toEqual(off ? [] : [path]);
  });
});
