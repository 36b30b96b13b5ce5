import { rmSync, utimesSync } from 'node:fs';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { Checkpoint } from '../../src/observe/audit-checkpoint.ts';
import { filesOf } from '../../src/observe/audit-files.ts';
import { openAuditLog } from '../../src/observe/audit-log.ts';
import { patientClock } from '../../src/observe/patient-clock.ts';
import { recordInFiles } from './in-files.ts';
import { newFolder } from './records.ts';
import { signingOf, upkeepOf } from './signed.ts';

const [HOUR, DAY] = [3_600_000, 86_400_000];
const START = 1_790_000_000_000;
let wall: number;
let steady: number;
const at = (last: number | null = null) =>
  patientClock(
    last,
    () => wall,
    () => steady,
  );
const pass = (ms: number): void => {
  wall += ms;
  steady += ms;
};

beforeEach(() => {
  wall = START;
  steady = 5;
});

describe('the time by which files get old', () => {
  test('is the clock’s, also where that is set by less than an hour, or back', () => {
    const clock = at();
    for (const step of [0, HOUR, -400 * DAY, HOUR - 1]) {
      wall += step;
      pass(60_000);
      expect([clock.now(), clock.behind()]).toEqual([wall, 0]);
    }
  });

  test('goes on as time passes when the clock jumps ahead, and takes the jump when it has held for a day', () => {
    const clock = at();
    clock.now();
    wall += 400 * DAY;
    for (let minutes = 0; minutes < 24 * 60; minutes++) {
      expect(clock.now()).toBe(START + minutes * 60_000);
      pass(60_000);
    }
    expect([clock.now(), clock.behind()]).toEqual([wall, 0]);
  });

  test('forgets a jump that was taken back', () => {
    const clock = at();
    clock.now();
    wall += 400 * DAY;
    pass(HOUR);
    expect(clock.behind()).toBe(400 * DAY);
    wall -= 400 * DAY;
    expect([clock.now(), clock.behind()]).toEqual([START + HOUR, 0]);
    wall += 400 * DAY;
    pass(DAY - 1);
    clock.now();
    expect(clock.now()).toBe(START + HOUR + DAY - 1);
  });

  test('begins with what was last written, where a gate starts with a clock that is far ahead of that', () => {
    expect(at(START - HOUR).now()).toBe(START);
    expect(at(START + DAY).now()).toBe(START);
    const clock = at(START - 400 * DAY);
    expect(clock.now()).toBe(START - 400 * DAY);
    pass(DAY);
    expect(clock.now()).toBe(START + DAY);
  });
});

test('a gate that starts with a clock far ahead of its record removes nothing by age, and says so; by number it does', async () => {
  const folder = newFolder();
  const made: Checkpoint[] = [];
  const files = await recordInFiles(folder, made);
  const path = files.at(-1) ?? '';
  const then = Date.now() / 1000 - 400 * 86_400;
  utimesSync(path, then, then);
  const open = async (rules: Parameters<typeof upkeepOf>[0], failures: string[] = []) =>
    await openAuditLog(path, {
      known: made.at(-1)?.record ?? null,
      signing: signingOf((checkpoint) => void made.push(checkpoint)),
      upkeep: upkeepOf(rules, { failed: (_what, error) => void failures.push(String(error)) }),
    });
  const failures: string[] = [];
  const log = await open({ keepFor: 1 }, failures);
  await vi.waitFor(() => expect(failures).toHaveLength(1));
  await log.close();
  expect(failures.join()).toMatch(/the clock went ahead by 9600 h at once/);
  expect(await filesOf(path)).toEqual(files);
  const other = await open({ keepFiles: 1 });
  await vi.waitFor(async () => expect(await filesOf(path)).toHaveLength(2));
  await other.close();
  rmSync(folder, { recursive: true });
});
