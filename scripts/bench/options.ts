// The bench's command line. All problems end in one message that says how to write it right.

import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Form } from './build.ts';
import { historyFile } from './history.ts';
import { type Work, works } from './works.ts';

export interface Options {
  /** Contestants by name, in the order of their turns. */
  readonly only: readonly string[];
  /** Works under load, and special works by name. */
  readonly works: readonly Work[];
  readonly specials: readonly string[];
  /** One table for each: with access logs on (true), and off. */
  readonly tables: readonly boolean[];
  readonly rounds: number;
  /** Seconds of each measurement under load. */
  readonly seconds: number;
  /** Connections that memory and revoke hold open. */
  readonly connections: number;
  /** Tasks of the flow run. */
  readonly tasks: number;
  readonly form: Form;
  readonly jsonFile: string | null;
  readonly profileDir: string | null;
  readonly cores: readonly string[] | null;
  readonly record: boolean;
  readonly compare: boolean;
  readonly historyFile: string;
}

export const usage = (contestants: readonly string[], specials: readonly string[]): string => `examples:
  scripts/bench/run                                  the works under load, access logs on (about 10 minutes)
  scripts/bench/run --all --record --compare         both tables and every special work (about 40 minutes)
  scripts/bench/run --tables on,off                  the works under load, once with access logs on, once off
  scripts/bench/run --works small --only certgate,nginx --rounds 5 --seconds 5
  scripts/bench/run --works memory,start,revoke      special works
  scripts/bench/run --only certgate --works small --from-src --cpu-prof /tmp/profile

options:
  --only A,B         contestants, of: ${contestants.join(', ')}
  --works A,B        under load: ${works.map((work) => work.name).join(', ')};
                     special: ${specials.join(', ')} (all under load when nothing is said)
  --all              every work, both tables
  --tables A,B       of: on, off: access logs (on)
  --no-logs          the same as --tables off
  --rounds N         turns of each contestant at each work, pairs of flow runs, revocations (3)
  --seconds S        length of each measurement under load (3)
  --connections N    that memory and revoke hold open (10000)
  --tasks N          of the flow run (200)
  --json FILE        everything measured, with versions, as JSON
  --record           add this run's ratios to ${historyFile.split('/').slice(-3).join('/')}
  --compare          print this run's ratios beside the last recorded ones
  --history FILE     another file for both
  --from-src         certgate from src/ instead of a fresh build of what is published
  --cpu-prof DIR     the Node contestants write CPU profiles at their end; figures are then no longer comparable
  --cores A,B[,C,D]  cores of the contestants, of the load generator, of the upstream, of a second worker (0,1,…)

exit codes: 0 measured; 1 a contestant answered wrongly or failed; 2 usage`;

export class UsageError extends Error {}

function namesIn(flag: string, text: string | undefined, all: readonly string[]): readonly string[] {
  if (text === undefined) return all;
  const names = text.split(',');
  for (const name of names) {
    if (!all.includes(name)) throw new UsageError(`--${flag} ${name}: not one of ${all.join(', ')}`);
  }
  return names;
}

function positive(flag: string, text: string, most = 3600): number {
  const value = Number(text);
  if (!(value > 0 && value <= most)) throw new UsageError(`--${flag} ${text}: not a number above 0, at most ${most}`);
  return value;
}

const text = { type: 'string' } as const;
const flag = { type: 'boolean', default: false } as const;

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        only: text,
        works: text,
        all: flag,
        tables: { ...text, default: 'on' },
        'no-logs': flag,
        rounds: { ...text, default: '3' },
        seconds: { ...text, default: '3' },
        connections: { ...text, default: '10000' },
        tasks: { ...text, default: '200' },
        json: text,
        record: flag,
        compare: flag,
        history: { ...text, default: historyFile },
        'from-src': flag,
        'cpu-prof': text,
        cores: text,
        help: { ...flag, short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** @throws UsageError; @returns null when help was asked for */
export function readOptions(
  argv: readonly string[],
  contestants: readonly string[],
  specials: readonly string[],
): Options | null {
  const values = parse(argv);
  if (values.help) return null;
  if (values.cores !== undefined && !/^\d+(,\d+){0,3}$/.test(values.cores)) {
    throw new UsageError(`--cores ${values.cores}: not core numbers like 0,1`);
  }
  const underLoad = works.map((work) => work.name as string);
  const named = namesIn('works', values.works, [...underLoad, ...specials]);
  const isAsked = (name: string): boolean => values.all || named.includes(name);
  const tables = values.all ? 'on,off' : values['no-logs'] ? 'off' : values.tables;
  return {
    only: namesIn('only', values.only, contestants),
    works: works.filter((work) => isAsked(work.name)),
    specials: specials.filter((name) => values.all || (values.works !== undefined && named.includes(name))),
    tables: namesIn('tables', tables, ['on', 'off']).map((name) => name === 'on'),
    rounds: Math.ceil(positive('rounds', values.rounds)),
    seconds: positive('seconds', values.seconds),
    connections: Math.ceil(positive('connections', values.connections, 1_000_000)),
    tasks: Math.ceil(positive('tasks', values.tasks, 100_000)),
    form: values['from-src'] ? 'src' : 'dist',
    jsonFile: values.json ?? null,
    profileDir: values['cpu-prof'] === undefined ? null : resolve(values['cpu-prof']),
    cores: values.cores?.split(',') ?? null,
    record: values.record,
    compare: values.compare,
    historyFile: resolve(values.history),
  };
}
