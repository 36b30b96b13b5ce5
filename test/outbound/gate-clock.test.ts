import { describe, expect, test } from 'vitest';
import { openLog } from '../../src/observe/log.ts';
import { openGateClock } from '../../src/outbound/gate-clock.ts';

const HOUR = 3_600_000;
const NOON = Date.parse('2026-06-01T12:00:00Z');

function here() {
  const said: string[] = [];
  const log = openLog({ level: 'info', destination: { write: (line: string) => void said.push(line) } });
  const at = { wall: NOON, steady: 5_000 };
  const pass = (ms: number): void => {
    at.wall += ms;
    at.steady += ms;
  };
  const clock = openGateClock(log, { wall: () => at.wall, steady: () => at.steady });
  return { at, said, pass, clock };
}
const dateOf = (ms: number): string => new Date(ms).toUTCString();

describe('what time it is for the gate', () => {
  test('is what the clock here shows until the gate has answered, and goes by its Date from then on', () => {
    const { pass, clock } = here();
    pass(1_000);
    expect(clock.now()).toBe(NOON + 1_000);
    for (const off of [240_000, -25 * HOUR]) {
      clock.hear(dateOf(NOON + off));
      expect(clock.now()).toBe(NOON + off);
      pass(3_000);
      expect(clock.now()).toBe(NOON + off + 3_000);
    }
  });

  test.each([null, '', 'yesterday', '0x7e', '\0'])('is not changed by %o for a Date', (date) => {
    const { said, clock } = here();
    clock.hear(date);
    expect([clock.now(), said]).toEqual([NOON, []]);
  });

  test('is later by a whole sleep, in which one clock stands still, and by what passes while the other is set back', () => {
    const { at, pass, clock } = here();
    clock.hear(dateOf(NOON));
    const passed = clock.stopwatch();
    at.wall += 8 * HOUR;
    expect([clock.now(), passed()]).toEqual([NOON + 8 * HOUR, 8 * HOUR]);
    clock.hear(dateOf(NOON + 8 * HOUR));
    at.wall -= 48 * HOUR;
    const second = clock.stopwatch();
    pass(1_000);
    expect([clock.now(), second()]).toEqual([NOON + 8 * HOUR + 1_000, 1_000]);
  });

  test('is said to differ when it does, once for each time that it changes', () => {
    const { at, said, clock } = here();
    for (const off of [0, 1, 29_000, 240_000, 241_000, 239_000, 0, -240_000]) clock.hear(dateOf(at.wall + off));
    const lines = said.map((line) => JSON.parse(line) as { reason?: string; msg: string });
    expect(lines.map(({ reason, msg }) => reason ?? msg)).toEqual([
      'it is 240 s behind',
      'the clock of this machine agrees with the gate’s again',
      'it is 240 s ahead',
    ]);
  });
});
