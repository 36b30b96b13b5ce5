import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { renewalRetryDelay, renewalTime, retryDelay } from '../../src/enroll/renewal-time.ts';

const HOUR = 3_600_000;

describe('a renewal', () => {
  test('is due at two thirds of the lifetime less up to a twentieth', () => {
    expect(renewalTime(0, 60 * HOUR, 0)).toBe(40 * HOUR);
    expect(renewalTime(0, 60 * HOUR, 1)).toBe(37 * HOUR);
    const times = fc.tuple(
      fc.nat(2e12),
      fc.integer({ min: 300_000, max: 1e11 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
    );
    fc.assert(
      fc.property(times, ([notBefore, lifetime, random]) => {
        const share = (renewalTime(notBefore, notBefore + lifetime, random) - notBefore) / lifetime;
        expect(share).toBeLessThanOrEqual(2 / 3 + 1e-6);
        expect(share).toBeGreaterThanOrEqual(2 / 3 - 1 / 20 - 1e-6);
      }),
    );
  });

  test('or an enrolment that failed is tried again after a random part of 1 s, 2 s, 4 s … 60 s, for ever', () => {
    const longest = [1, 2, 3, 4, 5, 6, 7, 8, 1_000_000].map((failures) => retryDelay(failures, 1));
    expect(longest).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    expect(retryDelay(8, 0)).toBe(0);
  });

  test('of what has life left is tried again after a part of a quarter of that, a half, three quarters, and of 15 min at most', () => {
    const longest = (left: number) => [1, 2, 3, 4, 1_000].map((failures) => renewalRetryDelay(failures, left, 1));
    expect(longest(120_000)).toEqual([30_000, 60_000, 90_000, 90_000, 90_000]);
    expect(longest(8 * HOUR)).toEqual([900_000, 900_000, 900_000, 900_000, 900_000]);
    expect(longest(900)).toEqual([1_000, 1_000, 1_000, 1_000, 1_000]);
    expect(renewalRetryDelay(3, 8 * HOUR, 0)).toBe(0);
  });

  test('of what has ended is tried again as if nothing had been waited for', () => {
    for (const failures of [1, 4, 20]) expect(renewalRetryDelay(failures, -1, 1)).toBe(retryDelay(failures, 1));
  });
});
