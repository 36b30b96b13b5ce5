import { describe, expect, test } from 'vitest';
import { renewalTime, retryDelay } from '../../src/enroll/renewal-time.ts';

const HOUR = 3_600_000;

describe('a renewal', () => {
  test('is due at two thirds of the lifetime less up to a twentieth', () => {
    expect(renewalTime(0, 60 * HOUR, 0)).toBe(40 * HOUR);
    expect(renewalTime(0, 60 * HOUR, 1)).toBe(37 * HOUR);
  });

  test('that failed is tried again after a random part of 1 s, 2 s, 4 s … 60 s, for ever', () => {
    const longest = [1, 2, 3, 4, 5, 6, 7, 8, 1_000_000].map((failures) => retryDelay(failures, 1));
    expect(longest).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    expect(retryDelay(8, 0)).toBe(0);
  });

  test('of ten thousand sidecars, all due while the gate was away, does not come in one second', () => {
    let seed = 7;
    // A generator of its own, so that the figures are the same each time (Park and Miller).
    const random = (): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    const [sidecars, back] = [10_000, 3_600_000];
    const perSecond = new Map<number, number>();
    for (let i = 0; i < sidecars; i++) {
      let [at, failures] = [random() * 60_000, 0];
      while (at < back) at += Math.max(100, retryDelay(++failures, random()));
      const second = Math.floor((at - back) / 1000);
      perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
    }
    const [peak, last] = [Math.max(...perSecond.values()), Math.max(...perSecond.keys())];
    process.stdout.write(
      `renewals of ${sidecars} sidecars after an hour without the gate: peak ${peak}/s, the last in second ${last}\n`,
    );
    // On average each waits half of 60 s: the first second has twice the mean of the minute.
    expect({ peak: peak < 450, lastSecond: last < 60 }, `peak ${peak}/s, last second ${last}`).toEqual({
      peak: true,
      lastSecond: true,
    });
  });
});
