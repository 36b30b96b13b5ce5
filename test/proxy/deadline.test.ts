// How long a client's connection may take, by a clock that the test turns.

import { expect, test } from 'vitest';
import { Deadline } from '../../src/proxy/deadline.ts';

const LIMITS = { headBytes: 32_768, headerLines: 100, head: 10_000, idle: 75_000, stall: 60_000 };

test('a new connection owes a head; a kept one has its time, and rests after five seconds of it', () => {
  const clock = { now: 1_000 };
  const deadline = new Deadline(LIMITS, clock);
  expect([deadline.passed(10_999), deadline.passed(11_000)]).toEqual([false, true]);
  clock.now = 20_000;
  deadline.expect('idle');
  expect([deadline.rests(24_999), deadline.rests(25_001)]).toEqual([false, true]);
  expect([deadline.passed(94_999), deadline.passed(95_000)]).toEqual([false, true]);
  deadline.expect('stall');
  expect([deadline.rests(60_000), deadline.passed(80_000)]).toEqual([false, true]);
  deadline.expect('linger');
  expect([deadline.rests(24_000), deadline.passed(24_999), deadline.passed(25_000)]).toEqual([false, false, true]);
});
