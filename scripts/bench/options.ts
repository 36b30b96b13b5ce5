// The bench's command line. All problems end in one message that says how to write it right.

import { parseArgs } from 'node:util';
import { type Work, works } from './works.ts';

export interface Options {
  /** Contestants by name, in the order of their turns. */
  readonly only: readonly string[];
  readonly works: readonly Work[];
  readonly rounds: number;
  /** Seconds of each measurement. */
  readonly seconds: number;
  readonly accessLog: boolean;
  readonly jsonFile: string | null;
  readonly profileDir: string | null;
  readonly cores: readonly string[] | null;
}

export const usage = (contestants: readonly string[]): string => `examples:
  scripts/bench/run                                  all contestants, 3 rounds of 3 s each work (about 5 minutes)
  scripts/bench/run --no-logs                        the same with every access log off
  scripts/bench/run --works small --only certgate,nginx --rounds 5 --seconds 5
  scripts/bench/run --only certgate --works small --cpu-prof /tmp/profile

options:
  --only A,B         contestants, of: ${contestants.join(', ')}
  --works A,B        of: ${works.map((work) => work.name).join(', ')}
  --rounds N         turns of each contestant at each work (3)
  --seconds S        length of each measurement (3)
  --no-logs          access logs off
  --json FILE        everything measured, with versions, as JSON
  --cpu-prof DIR     the Node contestants write CPU profiles at their end; figures are then no longer comparable
  --cores A,B[,C]    cores of the contestants, of the load generator, of the upstream (0,1 or 0,1,2)

exit codes: 0 measured; 1 a contestant answered wrongly or failed; 2 usage`;

export class UsageError extends Error {}

function choose<T>(
  flag: string,
  text: string | undefined,
  all: readonly T[],
  nameOf: (one: T) => string,
): readonly T[] {
  if (text === undefined) return all;
  return text.split(',').map((name) => {
    const found = all.find((one) => nameOf(one) === name);
    if (found === undefined) throw new UsageError(`--${flag} ${name}: not one of ${all.map(nameOf).join(', ')}`);
    return found;
  });
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 3600)) throw new UsageError(`--${flag} ${text}: not a number above 0`);
  return value;
}

/** @throws UsageError; @returns null when help was asked for */
export function readOptions(argv: readonly string[], contestants: readonly string[]): Options | null {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  let values: ReturnType<typeof parse>['values'];
  const parse = () =>
    parseArgs({
      args: [...argv],
      options: {
        only: text,
        works: text,
        rounds: { type: 'string', default: '3' },
        seconds: { type: 'string', default: '3' },
        'no-logs': flag,
        json: text,
        'cpu-prof': text,
        cores: text,
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  try {
    ({ values } = parse());
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  if (values.help) return null;
  if (values.cores !== undefined && !/^\d+(,\d+){0,2}$/.test(values.cores)) {
    throw new UsageError(`--cores ${values.cores}: not core numbers like 0,1`);
  }
  return {
    only: choose('only', values.only, contestants, (name) => name),
    works: choose('works', values.works, works, (work) => work.name),
    rounds: Math.ceil(positive('rounds', values.rounds)),
    seconds: positive('seconds', values.seconds),
    accessLog: !values['no-logs'],
    jsonFile: values.json ?? null,
    profileDir: values['cpu-prof'] ?? null,
    cores: values.cores?.split(',') ?? null,
  };
}
