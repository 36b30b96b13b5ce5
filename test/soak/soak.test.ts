// The soak itself: a run of a moment ends with its verdict, all that was answered was right, and it leaves nothing
// running; and what it calls flat.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { type Sample, trendOf, trendWords } from '../../scripts/soak-steps/verdict.ts';

const main = join(import.meta.dirname, '../../scripts/soak-steps/main.ts');

if (process.platform !== 'linux') process.stderr.write('skipped: scripts/soak reads /proc, which only Linux has\n');
describe.skipIf(process.platform !== 'linux')('scripts/soak', () => {
  it('runs for as long as it was told, finds every answer right and every descriptor back, and ends what it started', {
    timeout: 170_000,
  }, () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, '--minutes', '0.06', '--rate', '25'], {
      encoding: 'utf8',
      timeout: 160_000,
    });
    expect({ status, stderr }, stdout).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/ok {3}answers: \d\d+ right, 0 wrong/);
    for (const name of ['gate', 'sidecar']) expect(stdout).toMatch(new RegExp(`ok {3}${name}: descriptors: `));
    const pids = /gate (\d+), sidecar (\d+)/.exec(stdout)?.slice(1) ?? [];
    expect(pids).toHaveLength(2);
    for (const pid of pids) expect(existsSync(`/proc/${pid}`)).toBe(false);
  });

  it('ends on Ctrl-C with a verdict about what it has', { timeout: 170_000 }, async () => {
    const child = spawn(process.execPath, [main, '--minutes', '60', '--rate', '5'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    for await (const line of createInterface({ input: child.stdout })) {
      if (said === '') child.kill('SIGINT');
      said += `${line}\n`;
    }
    if (child.exitCode === null) await once(child, 'exit');
    expect(said).toContain('faults logged: 0');
    expect(child.exitCode, said).toBe(0);
  });

  it('refuses a rate that is none', () => {
    const { status, stderr } = spawnSync(process.execPath, [main, '--rate', 'fast'], { encoding: 'utf8' });
    expect(status).toBe(2);
    expect(stderr).toMatch(/^error: --rate fast is not a number.*\nhint: scripts\/soak --help\n$/);
  });
});

describe('a trend', () => {
  const MIB = 1_048_576;
  const samples = (rss: (minute: number) => number, count = 60): Sample[] =>
    Array.from({ length: count }, (_, minute) => ({
      seconds: minute * 60,
      rssBytes: rss(minute) * MIB,
      descriptors: 0,
      heapBytes: null,
      loopP99: null,
      loopMax: null,
    }));

  it('is flat where memory rises while it warms up, and then wavers', () => {
    const trend = trendOf(
      samples((minute) => Math.min(60 + minute * 10, 120) + (minute % 3)),
      'rss',
    );
    expect(trend.flat).toBe(true);
    expect(Math.abs(trend.slope)).toBeLessThan(2 * MIB);
    expect(trendWords(trend)).toMatch(/^\d+\.\d, 121\.0, 121\.0, 121\.0 MiB a quarter, .*: flat$/);
  });

  it('is growing where a little is lost all the time', () => {
    const trend = trendOf(
      samples((minute) => 100 + minute),
      'rss',
    );
    expect(trend).toMatchObject({ flat: false });
    expect(trend.slope / MIB).toBeCloseTo(60);
    expect(trendWords(trend)).toMatch(/GROWING$/);
  });

  it('is nothing that a few samples could tell', () => {
    expect(
      trendOf(
        samples((minute) => 100 * minute, 8),
        'rss',
      ),
    ).toMatchObject({ quarters: null, flat: true });
  });
});
