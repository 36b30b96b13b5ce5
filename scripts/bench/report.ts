// What one run of the bench found, as plain data: the JSON file's content, what the table is printed from, and what
// an entry of bench/history.jsonl will be made of.

import type { LoadResult } from './load.ts';
import { ratioOf, type Spread, spreadOf } from './statistics.ts';
import type { Work, WorkName } from './works.ts';

/** The contestants that the others are compared with. */
export const YARDSTICKS = ['nginx', 'http-proxy'] as const;

export interface ContestantFacts {
  readonly name: string;
  readonly version: string;
  /** ms from its start to its first answer. */
  readonly startMs: number;
  /** bytes, before any load. */
  readonly idleResidentBytes: number;
}

export interface Measured {
  readonly work: WorkName;
  readonly contestant: string;
  readonly rounds: readonly LoadResult[];
}

export interface Report {
  readonly date: string;
  readonly node: string;
  readonly cpuModel: string;
  readonly coreCount: number;
  readonly options: {
    readonly rounds: number;
    readonly seconds: number;
    readonly accessLog: boolean;
    readonly profiled: boolean;
    readonly cores: {
      readonly contestant: string | null;
      readonly load: string | null;
      readonly upstream: string | null;
    };
  };
  readonly contestants: readonly ContestantFacts[];
  readonly measured: readonly Measured[];
  /** Not on this machine. */
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
  /** Answered wrongly, or failed under load. */
  readonly excluded: readonly { readonly name: string; readonly reason: string }[];
}

export interface Comparison {
  readonly work: WorkName;
  readonly contestant: string;
  readonly figure: Work['figure'];
  readonly value: Spread;
  /** By yardstick; absent for the yardstick itself and where it was not measured. */
  readonly against: Readonly<Partial<Record<(typeof YARDSTICKS)[number], Spread>>>;
}

const figuresOf = (work: Work, measured: Measured | undefined): number[] =>
  (measured?.rounds ?? []).map((round) => (work.figure === 'cpu' ? round.cpuMicros : round.p50Micros));

/** Each contestant's figure of a work with its ratios to the yardsticks, in the order of their turns. */
export function compare(work: Work, measured: readonly Measured[]): Comparison[] {
  const ofWork = measured.filter((one) => one.work === work.name);
  return ofWork.flatMap((one): Comparison[] => {
    const ours = figuresOf(work, one);
    const value = spreadOf(ours);
    if (value === null) return [];
    const against: Partial<Record<(typeof YARDSTICKS)[number], Spread>> = {};
    for (const yardstick of YARDSTICKS) {
      const theirs = figuresOf(
        work,
        ofWork.find((other) => other.contestant === yardstick),
      );
      const ratio = yardstick === one.contestant ? null : ratioOf(ours, theirs);
      if (ratio !== null) against[yardstick] = ratio;
    }
    return [{ work: work.name, contestant: one.contestant, figure: work.figure, value, against }];
  });
}
