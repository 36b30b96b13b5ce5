// What a special work has to work with. Special works are those that no request loop measures: memory, start, workers,
// revocation, a flow run. Each starts what it needs, and has ended it when it resolves.

import type { Contestant } from '../contestants/contestant.ts';
import type { Ground } from '../field.ts';
import type { Instruments } from '../instruments.ts';
import type { Options } from '../options.ts';
import type { Cores } from '../processes.ts';
import type { SpecialResult } from '../report.ts';

export interface Stage {
  readonly options: Options;
  readonly cores: Cores;
  /** With access logs on, as users have them. */
  readonly ground: Ground;
  readonly instruments: Instruments;
  /** Those that are here and were asked for. */
  readonly contestants: readonly Contestant[];
}

export interface SpecialWork {
  readonly name: string;
  readonly title: string;
  /** `notes` and `skipped` may be left out. @throws when certgate did wrong, or the bench could not go on */
  run(stage: Stage): Promise<Pick<SpecialResult, 'rows'> & Partial<Pick<SpecialResult, 'notes' | 'skipped'>>>;
}
