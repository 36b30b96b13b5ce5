// Looks after the files of the record: has it go on in another one when the one that is written is long or old enough, and
// removes the oldest by the rule that was given, after it has verified them and has put on record, signed, what it removes
// (audit-retention.ts). What fails is told, and tried again; records are written on meanwhile, and nothing is removed.

import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { reasonOf } from '../errors.ts';
import type { Head } from './audit-chain.ts';
import { syncFolder } from './audit-file.ts';
import { type Retirement, type Retiring, retirementJson } from './audit-retirement.ts';
import { firstLine, type RotationRules } from './audit-rotation.ts';
import type { Judge } from './audit-verify.ts';
import { patientClock } from './patient-clock.ts';

/** How the files of a record are looked after. */
export interface Upkeep {
  readonly rules: RotationRules;
  /** Signs what is to be removed. Rejects with why not. */
  readonly sign: (retiring: Retiring) => Promise<Retirement>;
  /** Of what the record says of itself; as it is by now. */
  readonly judge: () => Promise<Judge>;
  /** It goes on, and what it was in before is `to`. */
  readonly rotated: (to: string) => void;
  readonly retired: (retirement: Retirement, files: readonly string[]) => void;
  readonly failed: (what: 'rotated' | 'retired', error: unknown) => void;
  /** How often it looks, ms. */
  readonly every: number;
}

/** The record that is looked after. */
export interface Tended {
  /** Of the file that is written, octets. */
  size(): number;
  /** The newest line, as the file has it. */
  head(): Promise<Head>;
  /** The newest line that a checkpoint covers which is kept elsewhere too. */
  saved(): number;
  /** Goes on in another file if, when nobody else writes, `due` says so. */
  moveOn(due: () => Promise<boolean>): Promise<void>;
  /** Puts a line on record. */
  add(body: string): Promise<void>;
}

export interface RecordUpkeep {
  /** More was written. */
  grown(): void;
  /** Resolves when what is under way is done. */
  stop(): Promise<void>;
}

/** How long after a failure to rotate it is tried again, ms. */
const AFTER_FAILURE = 10_000;
/** Octets that are kept on the disk for the line which says what goes: else a full disk would keep all that could make room on it. */
const RESERVE = 16_384;
/** How often it is told that nothing can be removed for the same reason, ms. */
const AGAIN = 3_600_000;

/** Beside the record, and no part of it. */
const RESERVE_NAME = 'audit.reserve';

/** Looks after the record at `path` until it is stopped. */
export function recordUpkeep(path: string, upkeep: Upkeep, record: Tended): RecordUpkeep {
  const { rules, failed } = upkeep;
  let working: Promise<void> | null = null;
  /** It was to begin while it was at it. */
  let again = false;
  let stopped = false;
  let notBefore = 0;
  /** Why nothing can be removed, and when that was said. */
  let told: { readonly words: string; readonly at: number } | null = null;
  const clock = patientClock(statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? null);
  let isBehind = false;
  let unfinished = true;
  const timer = setInterval(() => begin(), upkeep.every).unref();
  // What a gate that was killed has left undone.
  const first = setTimeout(() => begin(), 0).unref();

  async function due(): Promise<boolean> {
    if (record.size() === 0) return false;
    if (record.size() >= rules.rotateSize) return true;
    if (rules.rotateEvery === Number.POSITIVE_INFINITY) return false;
    const time = (await firstLine(path).catch(() => null))?.time ?? null;
    return time !== null && Date.now() - time >= rules.rotateEvery;
  }

  async function rotate(): Promise<void> {
    if (performance.now() < notBefore) return;
    try {
      if (await due()) await record.moveOn(due);
    } catch (error) {
      notBefore = performance.now() + AFTER_FAILURE;
      failed('rotated', error);
    }
  }

  const reserve = join(dirname(path), RESERVE_NAME);
  const retires = rules.keepFor !== Number.POSITIVE_INFINITY || rules.keepFiles !== Number.POSITIVE_INFINITY;

  /** Where there is room for it. */
  async function keepReserve(): Promise<void> {
    const file = await open(reserve, 'a', 0o600).catch(() => null);
    if (file === null) return;
    try {
      const { size } = await file.stat();
      if (size >= RESERVE) return;
      // No file system has less room for these.
      await file.appendFile(randomBytes(RESERVE - size));
      await file.sync();
    } catch {
      await rm(reserve, { force: true });
    } finally {
      await file.close();
    }
  }

  async function addWithReserve(body: string): Promise<void> {
    try {
      await record.add(body);
    } catch (error) {
      const had = await rm(reserve).then(
        () => true,
        () => false,
      );
      if (!had) throw error;
      await record.add(body);
    }
  }

  async function retire(): Promise<void> {
    try {
      for (let more = true; more && !stopped; ) more = await retireOnce();
      unfinished = stopped;
      told = null;
      if (retires) await keepReserve();
      sayBehind();
    } catch (error) {
      unfinished = true;
      // It may be so for days.
      const words = reasonOf(error);
      if (words === told?.words && performance.now() - told.at < AGAIN) return;
      told = { words, at: performance.now() };
      failed('retired', error);
    }
  }

  /** Once for each time that the clock is not believed. */
  function sayBehind(): void {
    const behind = rules.keepFor === Number.POSITIVE_INFINITY ? 0 : clock.behind();
    if (behind > 0 && !isBehind) {
      const hours = Math.round(behind / 3_600_000);
      failed(
        'retired',
        new Error(`the clock went ahead by ${hours} h at once: they count for keepFor when it has stayed so for a day`),
      );
    }
    isBehind = behind > 0;
  }

  /** False when there is nothing to remove. */
  async function retireOnce(): Promise<boolean> {
    // Loaded, with all that verifies a record, only where files are to go some day.
    if (rules.keepFor === Number.POSITIVE_INFINITY && rules.keepFiles === Number.POSITIVE_INFINITY) return false;
    const { retirable } = await import('./audit-retention.ts');
    const { judge } = upkeep;
    const going = await retirable(path, { rules, now: clock.now(), saved: record.saved(), judge, unfinished });
    if (going === null) return false;
    if (going.retiring !== null) {
      const retirement = await upkeep.sign({ ...going.retiring, record: await record.head() });
      // What could not be verified afterwards would leave a record that looks as if it had been cut.
      const { problem } = (await judge())(retirement);
      if (problem !== null) throw new Error(`what was signed is of no use: ${problem}`);
      await addWithReserve(
        retirementJson(
          retirement,
          going.files.map((file) => basename(file)),
        ),
      );
      upkeep.retired(retirement, going.files);
    }
    for (const file of going.files) {
      await rm(file, { force: true });
      // The oldest first, after a crash too: what is left begins where something was retired.
      await syncFolder(dirname(path));
    }
    return true;
  }

  function begin(): void {
    if (stopped) return;
    if (working !== null) {
      again = true;
      return;
    }
    again = false;
    working = rotate()
      .then(retire)
      .finally(() => {
        working = null;
        if (again) begin();
      });
  }

  return {
    grown() {
      if (record.size() >= rules.rotateSize && performance.now() >= notBefore) begin();
    },
    async stop() {
      stopped = true;
      clearInterval(timer);
      clearTimeout(first);
      await working;
    },
  };
}
