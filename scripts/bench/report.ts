// What one run of the bench found, as plain data: the JSON file's content and what everything printed is made from.

import type { Form } from './build.ts';
import type { LoadResult } from './load.ts';
import type { WorkName } from './works.ts';

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

/** One run of the works under load: the contestants were started for it, with their access logs on or off. */
export interface Table {
  readonly accessLog: boolean;
  readonly contestants: readonly ContestantFacts[];
  readonly measured: readonly Measured[];
}

/** What a special work (special/) found. */
export interface SpecialResult {
  readonly name: string;
  readonly title: string;
  readonly rows: readonly Row[];
  /** Lines to be read with the figures: how many took part, what was not as it should be. */
  readonly notes: readonly string[];
  /** Why it was not done, or null. */
  readonly skipped: string | null;
}

export interface Out {
  readonly name: string;
  readonly reason: string;
}

export interface Report {
  readonly date: string;
  /** The checkout's commit, with `+` behind it when something was changed since; null without git. */
  readonly commit: string | null;
  readonly node: string;
  readonly cpuModel: string;
  readonly coreCount: number;
  readonly options: {
    readonly rounds: number;
    readonly seconds: number;
    readonly form: Form;
    readonly profiled: boolean;
    readonly cores: {
      readonly contestant: string | null;
      readonly load: string | null;
      readonly upstream: string | null;
    };
  };
  /** Name and version of all that were started. */
  readonly versions: Readonly<Record<string, string>>;
  readonly tables: readonly Table[];
  readonly specials: readonly SpecialResult[];
  /** Not on this machine. */
  readonly skipped: readonly Out[];
  /** Answered wrongly, or failed under load. */
  readonly excluded: readonly Out[];
}

export interface Row {
  /** Its name on the command line, in the history and in the aims, such as `small` or `small, logs off`. */
  readonly name: string;
  /** What is counted, with its unit: `CPU µs/request`. */
  readonly unit: string;
  readonly figures: readonly { readonly contestant: string; readonly values: readonly number[] }[];
}
