// bench/history.jsonl: one line per run that was told to --record, oldest first, and what --compare makes of it. Runs of
// one commit on one machine share a line: each adds its rows to it, so that a full run may be made in pieces.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Report } from './report.ts';
import { figureOf, OURS, ratiosOf, rowsOf } from './rows.ts';
import type { Spread } from './statistics.ts';

export const historyFile = join(import.meta.dirname, 'history.jsonl');

export interface PastRow {
  readonly unit: string;
  /** certgate's own figure. */
  readonly value: Spread;
  /** certgate's divided by each contestant's. */
  readonly ratios: Readonly<Record<string, Spread>>;
}

export interface Entry {
  readonly date: string;
  readonly commit: string | null;
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly form: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly rows: Readonly<Record<string, PastRow>>;
}

/** Three digits that count are enough: what follows them is noise. */
const rounded = ({ min, median, max }: Spread): Spread => {
  const round = (value: number): number => Number(value.toPrecision(4));
  return { min: round(min), median: round(median), max: round(max) };
};

export function entryOf(report: Report): Entry {
  const rows: Record<string, PastRow> = {};
  for (const row of rowsOf(report)) {
    const value = figureOf(row, OURS);
    if (value === null) continue;
    const ratios = Object.entries(ratiosOf(row)).map(([name, spread]) => [name, rounded(spread)] as const);
    rows[row.name] = { unit: row.unit, value: rounded(value), ratios: Object.fromEntries(ratios) };
  }
  const { date, commit, node, cpuModel, coreCount, options, versions } = report;
  return { date, commit, node, cpu: cpuModel, cores: coreCount, form: options.form, versions, rows };
}

/** @returns the entries, oldest first; none when there is no file */
export function readHistory(file: string): Entry[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Entry);
}

const isSameRun = (a: Entry, b: Entry): boolean =>
  a.commit !== null && a.commit === b.commit && a.node === b.node && a.cpu === b.cpu && a.form === b.form;

/** Adds `entry`: to the last line when that is of the same commit and machine, else as a new one. */
export function record(file: string, entry: Entry): void {
  const past = readHistory(file);
  const last = past.at(-1);
  if (last !== undefined && isSameRun(last, entry)) {
    const versions = { ...last.versions, ...entry.versions };
    past[past.length - 1] = { ...entry, versions, rows: { ...last.rows, ...entry.rows } };
  } else {
    past.push(entry);
  }
  writeFileSync(file, past.map((one) => `${JSON.stringify(one)}\n`).join(''));
}

export interface Change {
  readonly row: string;
  /** `× nginx`, or the unit of a figure that is compared with none. */
  readonly what: string;
  readonly before: Spread;
  readonly now: Spread;
  readonly since: Pick<Entry, 'date' | 'commit'>;
  /**
   * The median's change in parts (0.1: 10 % more); null when the ranges of the two overlap, which is no change that can
   * be told from noise.
   */
  readonly change: number | null;
}

function changeOf(before: Spread, now: Spread): number | null {
  return before.min <= now.max && now.min <= before.max ? null : now.median / before.median - 1;
}

/**
 * This run's rows beside the newest entry that has them. Ratios are compared; a figure that has none (memory, revoke) is
 * compared itself, and only with one of the same processor.
 */
export function changesSince(past: readonly Entry[], entry: Entry): Change[] {
  return Object.entries(entry.rows).flatMap(([name, row]): Change[] => {
    const since = past.findLast((one) => name in one.rows);
    const then = since?.rows[name];
    if (since === undefined || then === undefined) return [];
    const change = (what: string, before: Spread, now: Spread): Change => {
      const { date, commit } = since;
      return { row: name, what, before, now, since: { date, commit }, change: changeOf(before, now) };
    };
    const ratios = Object.entries(row.ratios).flatMap(([contestant, now]) => {
      const before = then.ratios[contestant];
      return before === undefined ? [] : [change(`× ${contestant}`, before, now)];
    });
    if (ratios.length > 0 || since.cpu !== entry.cpu) return ratios;
    return [change(row.unit, then.value, row.value)];
  });
}
