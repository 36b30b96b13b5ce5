import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openBundleNumber } from '../../src/enroll/bundle-number.ts';
import { openLog } from '../../src/observe/log.ts';
import { newFolder } from '../store/fixture.ts';

function opened(ca: string | null) {
  const lines: string[] = [];
  return {
    number: openBundleNumber(ca, openLog({ level: 'warn', destination: { write: (line) => void lines.push(line) } })),
    lines,
  };
}

describe('the number of a trust bundle', () => {
  test('is kept beside the bundle, grows only, and is known after a restart and to another', () => {
    const dir = newFolder();
    const [one, other] = [opened(join(dir, 'ca.crt')).number, opened(join(dir, 'ca.crt')).number];
    expect(one.seen()).toBe(0);
    one.note(12);
    expect(other.seen()).toBe(12);
    other.note(15);
    one.note(13);
    expect([one.seen(), opened(join(dir, 'ca.crt')).number.seen()]).toEqual([15, 15]);
    expect(readdirSync(dir)).toEqual(['.ca.crt.number']);
    expect(readFileSync(join(dir, '.ca.crt.number'), 'utf8')).toBe('15\n');
    expect(statSync(join(dir, '.ca.crt.number')).mode & 0o777).toBe(0o644);
  });

  test.each(['', 'x', '-1\n', '1e99\n', '12'])('that is %o on the disk is none, and is written over', (content) => {
    const dir = newFolder();
    writeFileSync(join(dir, '.ca.crt.number'), content);
    const { number } = opened(join(dir, 'ca.crt'));
    expect(number.seen()).toBe(0);
    number.note(7);
    expect(opened(join(dir, 'ca.crt')).number.seen()).toBe(7);
  });

  test('holds while the process lives where it cannot be written, which is said once, or where nothing is ours', () => {
    const dir = newFolder();
    mkdirSync(join(dir, '.ca.crt.number'));
    const { number, lines } = opened(join(dir, 'ca.crt'));
    number.note(1);
    number.note(2);
    expect([number.seen(), lines.length]).toEqual([2, 1]);
    expect(lines[0]).toContain('.ca.crt.number');
    expect(readdirSync(dir)).toEqual(['.ca.crt.number']);
    rmSync(dir, { recursive: true });
    const own = opened(null).number;
    own.note(3);
    expect(own.seen()).toBe(3);
  });
});
