// The schedule that each sidecar renews by, with a clock of the test's: alone, and ten thousand of them at one gate.
import { describe, expect, test } from 'vitest';
import { openGateClock } from '../../src/outbound/gate-clock.ts';
import { type Lifetime, openSchedule } from '../../src/outbound/renewal-schedule.ts';
import { quietLog } from '../observe/quiet-log.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A machine whose two clocks a test moves, with a certificate that was made now. */
function machine(ttl: number, random: () => number = () => 1) {
  const at = { wall: 1_000_000 * HOUR, steady: 0 };
  const clock = openGateClock(quietLog, { wall: () => at.wall, steady: () => at.steady });
  const pass = (ms: number): void => {
    at.wall += ms;
    at.steady += ms;
  };
  const made = (): Lifetime => ({ notBefore: clock.now() - MINUTE, notAfter: clock.now() + ttl });
  return { at, clock, pass, made, schedule: openSchedule(made(), clock, random) };
}

describe('a certificate', () => {
  test('is renewed at two thirds of its life, and the next one at two thirds of that', () => {
    const { pass, made, schedule } = machine(DAY, () => 0);
    for (let round = 0; round < 3; round++) {
      pass(15 * HOUR);
      expect(schedule.isTime()).toBe(false);
      pass(HOUR);
      expect(schedule.isTime()).toBe(true);
      schedule.take(made());
    }
  });

  test('is renewed at once when its machine wakes, also from within a wait for the next try', () => {
    const { at, pass, schedule } = machine(DAY);
    at.wall += 20 * HOUR;
    expect(schedule.isTime()).toBe(true);
    const wait = schedule.failed();
    expect(wait).toBeGreaterThan(10 * MINUTE);
    pass(1_000);
    expect(schedule.isTime()).toBe(false);
    at.wall += HOUR;
    expect(schedule.isTime()).toBe(true);
  });

  test('is renewed when it is due, and tried again after its wait, though the clock was set back meanwhile', () => {
    const { at, pass, schedule } = machine(DAY);
    at.wall -= 48 * HOUR;
    pass(16 * HOUR);
    expect(schedule.isTime()).toBe(true);
    // A wait that begins while the clock is a day ahead, which is then put right.
    at.wall += 24 * HOUR;
    const wait = schedule.failed();
    at.wall -= 24 * HOUR;
    pass(wait - 1);
    expect(schedule.isTime()).toBe(false);
    pass(1);
    expect(schedule.isTime()).toBe(true);
  });

  test('that somebody asks for is renewed at the next look, also from within a wait', () => {
    const { pass, schedule } = machine(DAY);
    expect(schedule.isTime()).toBe(false);
    schedule.atOnce();
    expect(schedule.isTime()).toBe(true);
    schedule.failed();
    expect(schedule.isTime()).toBe(false);
    schedule.atOnce();
    expect(schedule.isTime()).toBe(true);
    schedule.wait(2_000);
    pass(1_999);
    expect(schedule.isTime()).toBe(false);
    pass(1);
    expect(schedule.isTime()).toBe(true);
  });

  test('that was renewed is tried again as soon as if nothing had ever failed', () => {
    const { pass, schedule, made } = machine(HOUR);
    pass(45 * MINUTE);
    expect([1, 2, 3].map(() => schedule.failed())).toEqual([1, 2, 3].map((part) => (15 * MINUTE * part) / 4));
    schedule.take(made());
    pass(40 * MINUTE);
    expect(schedule.failed()).toBe((20 * MINUTE) / 4);
  });

  test('that has ended is not kept waiting for all that failed before: 16 s at most, 32 s, and a minute from then on', () => {
    const { pass, schedule, clock, made } = machine(5 * MINUTE);
    const { notAfter } = made();
    pass(4 * MINUTE);
    while (clock.now() < notAfter) pass(schedule.failed());
    expect([1, 2, 3, 4].map(() => schedule.failed())).toEqual([16_000, 32_000, 60_000, 60_000]);
  });

  test('is renewed as soon as the gate says that it has ended, and left alone when the gate says that it is young', () => {
    const behind = machine(5 * MINUTE);
    behind.clock.hear(new Date(behind.at.wall + 6 * MINUTE).toUTCString());
    expect(behind.schedule.isTime()).toBe(true);
    const ahead = machine(5 * MINUTE);
    ahead.pass(4 * MINUTE);
    expect(ahead.schedule.isTime()).toBe(true);
    ahead.clock.hear(new Date(ahead.at.wall - 4 * MINUTE).toUTCString());
    expect(ahead.schedule.isTime()).toBe(false);
  });

  test.each([
    ['has an hour left', HOUR, 20],
    // Each time in the middle of a window that grows to a minute.
    ['has ended', 0, 130],
  ])('that is due whenever it is new, and %s, is renewed ever more seldom', (_what, left, most) => {
    const { clock, pass, schedule } = machine(DAY, () => 0.5);
    const end = clock.now() + HOUR;
    let renewed = 0;
    schedule.atOnce();
    for (; clock.now() < end; pass(1_000)) {
      if (!schedule.isTime()) continue;
      renewed++;
      schedule.take({ notBefore: clock.now() - DAY, notAfter: clock.now() + left });
    }
    expect(renewed).toBeGreaterThan(3);
    expect(renewed).toBeLessThan(most);
  });
});

describe('ten thousand sidecars', () => {
  /** A generator of its own, so that the figures are the same each time (Park and Miller). */
  const chance = (): (() => number) => {
    let seed = 7;
    return () => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
  };

  /**
   * How many renewals a gate gets in its worst second, the last of them, and how many come after the end, when it was away for
   * `outage` ms from the moment on at which all are due: they have just started with certificates that are due.
   */
  function renewals(ttl: number, outage: number) {
    const random = chance();
    const life = ttl + MINUTE;
    const due = (life * 2) / 3;
    const back = due + outage;
    const perSecond = new Map<number, number>();
    let ended = 0;
    for (let sidecar = 0; sidecar < 10_000; sidecar++) {
      const at = { now: due };
      const clock = {
        now: () => at.now,
        hear: () => {},
        stopwatch: () => {
          const begun = at.now;
          return () => at.now - begun;
        },
      };
      const schedule = openSchedule({ notBefore: 0, notAfter: life }, clock, random);
      // It looks once a second, as followRenewal does.
      at.now += random() * 1_000;
      while (!schedule.isTime() || at.now < back) {
        const wait = schedule.isTime() ? schedule.failed() : 1_000;
        at.now += Math.ceil(wait / 1_000) * 1_000;
      }
      const second = Math.floor((at.now - back) / 1_000);
      perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
      if (at.now >= life) ended++;
    }
    return { peak: Math.max(...perSecond.values()), last: Math.max(...perSecond.keys()), ended };
  }

  test.each<[what: string, outage: string, ttl: number, outageMs: number, most: number, over: number]>([
    ['of 5 min', 'no time', 5 * MINUTE, 0, 500, 0],
    ['of 5 min', '3 s', 5 * MINUTE, 3_000, 500, 0],
    ['of 5 min', '10 s', 5 * MINUTE, 10_000, 500, 0],
    ['of 5 min', '60 s', 5 * MINUTE, MINUTE, 500, 0],
    // Ten seconds before the end of all of them: fewer at once would be too late.
    ['of 5 min', '110 s', 5 * MINUTE, 110_000, 2_000, 0],
    // All have ended by then: they have no time to lose, and come within a quarter of a minute at first, then within a minute.
    ['of 5 min', '124 s', 5 * MINUTE, 124_000, 2_000, 10_000],
    ['of 5 min', 'an hour', 5 * MINUTE, HOUR, 500, 10_000],
    ['of a day', 'no time', DAY, 0, 50, 0],
    ['of a day', '3 s', DAY, 3_000, 50, 0],
    ['of a day', '10 s', DAY, 10_000, 50, 0],
    ['of a day', '60 s', DAY, MINUTE, 50, 0],
    ['of a day', 'an hour', DAY, HOUR, 50, 0],
  ])(
    'with certificates %s, all due, do not come in one second after %s without the gate',
    (what, gone, ttl, outage, most, over) => {
      const { peak, last, ended } = renewals(ttl, outage);
      process.stdout.write(
        `renewals by 10000 sidecars, certificates ${what}, after ${gone} without the gate: peak ${peak}/s, last in second ${last}\n`,
      );
      expect(peak).toBeLessThan(most);
      expect(ended).toBe(over);
    },
  );
});
