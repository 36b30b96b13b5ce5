import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseDuration, roughDuration } from '../../src/config/duration.ts';

describe('durations', () => {
  test('are numbers with units, from the longest unit to the shortest', () => {
    expect(parseDuration('500ms')).toBe(500);
    expect(parseDuration('30s')).toBe(30_000);
    expect(parseDuration('5m')).toBe(300_000);
    expect(parseDuration('24h')).toBe(86_400_000);
    expect(parseDuration('7d')).toBe(604_800_000);
    expect(parseDuration('1h30m')).toBe(5_400_000);
    expect(parseDuration('0s')).toBe(0);
  });

  test.each([
    '',
    '30',
    '-5m',
    '+5m',
    '1.5h',
    '5 m',
    ' 5m',
    '5m ',
    '30m1h',
    '5m5m',
    '5M',
    '1w',
    'ms',
    '１s',
    '1e3s',
    '0x5s',
  ])('are refused when they are odd: %j', (text) => expect(parseDuration(text)).toBeNull());

  test('are shown to people in two units at most, rounded down by less than the second of them', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10 ** 11 }), (milliseconds) => {
        const read = parseDuration(roughDuration(milliseconds)) ?? Number.NaN;
        const lost = milliseconds - read;
        expect(lost).toBeGreaterThanOrEqual(0);
        expect(lost).toBeLessThan(milliseconds < 3_600_000 ? 1000 : milliseconds < 86_400_000 ? 60_000 : 3_600_000);
      }),
    );
    expect(roughDuration(86_399_999)).toBe('23h59m');
    expect(roughDuration(40)).toBe('40ms');
    expect(roughDuration(0)).toBe('0s');
    expect(roughDuration(8 * 86_400_000 + 3_600_000 + 60_000)).toBe('8d1h');
  });
});
