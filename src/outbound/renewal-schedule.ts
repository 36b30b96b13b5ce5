// When a certificate is renewed, and when it is tried again: at its time by the gate's clock, after what fails at a random
// moment of a window (renewal-time.ts), and no sooner than that, whatever the gate answers: a certificate that is due the
// moment it is taken counts as a failure, so a gate that makes only such is asked ever more seldom, not in a loop. It
// starts nothing by itself.

import { renewalRetryDelay, renewalTime } from '../enroll/renewal-time.ts';
import type { GateClock } from './gate-clock.ts';

/** No wait is shorter, ms. */
const SHORTEST_WAIT = 100;
/** So many failures at most are counted while there is life left: what ends then is not kept waiting for all that failed before. */
const MOST_ALIVE = 4;

/** ms since the epoch */
export interface Lifetime {
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface RenewalSchedule {
  isTime(): boolean;
  /** From now on it is about another certificate. */
  take(next: Lifetime): void;
  /** A try has failed; answers how long it is until the next, ms. */
  failed(): number;
  /** The next look is for a try, due or not. */
  atOnce(): void;
  /** Nothing for so many ms. */
  wait(ms: number): void;
}

export function openSchedule(first: Lifetime, clock: GateClock, random: () => number = Math.random): RenewalSchedule {
  let { notAfter } = first;
  let dueAt = 0;
  let failures = 0;
  let isHeld = (): boolean => false;
  const wait = (ms: number): void => {
    const passed = clock.stopwatch();
    isHeld = () => passed() < ms;
  };
  const failed = (): number => {
    const left = notAfter - clock.now();
    failures = left > 0 ? Math.min(failures + 1, MOST_ALIVE) : failures + 1;
    const ms = Math.round(Math.max(SHORTEST_WAIT, renewalRetryDelay(failures, left, random())));
    wait(ms);
    return ms;
  };
  const take = (next: Lifetime): void => {
    ({ notAfter } = next);
    dueAt = renewalTime(next.notBefore, notAfter, random());
    isHeld = () => false;
    if (clock.now() >= dueAt) failed();
    else failures = 0;
  };
  take(first);
  return {
    isTime: () => !isHeld() && clock.now() >= dueAt,
    take,
    failed,
    atOnce() {
      dueAt = 0;
      isHeld = () => false;
    },
    wait,
  };
}
