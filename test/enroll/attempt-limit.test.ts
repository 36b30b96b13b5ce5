// How often something may be tried: bounded by key, and by all that share a bucket.

import { describe, expect, test } from 'vitest';
import { limitAttempts } from '../../src/enroll/attempt-limit.ts';

const RATE = { burst: 3, everyMs: 1_000 } as const;

describe('tries', () => {
  test('are so many at once, and one more from time to time', () => {
    const limit = limitAttempts(RATE);
    const tried = (now: number) => {
      const may = limit.may('a', now);
      if (may) limit.count('a', now);
      return may;
    };
    expect([0, 0, 0, 0, 999, 1_000, 1_000, 60_000].map(tried)).toEqual([
      true,
      true,
      true,
      false,
      false,
      true,
      false,
      true,
    ]);
    expect(limit.may('b', 0)).toBe(true);
  });

  test('of keys that share a bucket count for each of them, however long the chain', () => {
    const limit = limitAttempts(RATE);
    let done = 0;
    for (let n = 0; n < 100; n++) {
      if (!limit.may(`${n}`, 0)) break;
      limit.count(`${n}`, 0);
      limit.share(`${n}`, `${n + 1}`);
      done++;
    }
    expect(done).toBe(3);
    expect(['0', '1', '2', '3', 'other'].map((key) => limit.may(key, 0))).toEqual([false, false, false, false, true]);
    // One more comes for all of them together.
    limit.count('1', 1_000);
    expect(['0', '1', '2', '3'].map((key) => limit.may(key, 1_999))).toEqual([false, false, false, false]);
    expect(['0', '3'].map((key) => limit.may(key, 2_000))).toEqual([true, true]);
  });

  test('of who has made none share nothing', () => {
    const limit = limitAttempts(RATE);
    limit.share('a', 'b');
    for (let n = 0; n < 3; n++) limit.count('a', 0);
    expect(['a', 'b'].map((key) => limit.may(key, 0))).toEqual([false, true]);
  });
});
