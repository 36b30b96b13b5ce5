// The flags and arguments that are no settings: how their text is read. Each function answers the value or throws
// CG_USAGE with the value, what it should be and an example. Pure.
import type { Command } from 'commander';
import { parseDuration } from '../config/duration.ts';
import { CertgateError, isCertgateError, shown } from '../errors.ts';

/** `24h`, `7d`, `1h30m` → ms, within `bounds`, written so too. */
export function durationFlag(flag: string, text: string, bounds?: { min: string; max: string }): number {
  const milliseconds = parseDuration(text);
  if (milliseconds === null) {
    throw usage(`${flag} is ${shown(text)}, not a duration`, `write it like 30s, 5m, 24h or 7d, e.g. ${flag} 24h`);
  }
  if (bounds === undefined) return milliseconds;
  const { min, max } = bounds;
  if (milliseconds >= (parseDuration(min) ?? 0) && milliseconds <= (parseDuration(max) ?? 0)) return milliseconds;
  throw usage(`${flag} is ${shown(text)}; it is ${min} to ${max}`, `for example ${flag} ${max}`);
}

/** A whole number of decimal digits, from `min` to `max`. */
export function countFlag(flag: string, text: string, { min, max }: { min: number; max: number }): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw usage(
      `${flag} is ${shown(text)}, not a whole number from ${min} to ${max}`,
      `for example ${flag} ${Math.min(100, max)}`,
    );
  }
  return value;
}

/** One of `choices`. */
export function choiceFlag<T extends string>(flag: string, text: string, choices: readonly T[]): T {
  const choice = choices.find((one) => one === text);
  if (choice === undefined) throw usage(`${flag} is ${shown(text)}`, `it is one of ${choices.join(', ')}`);
  return choice;
}

// RFC 3339, with the time or the seconds left out if one likes; without a zone it is UTC.
const MOMENT = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)(Z|[+-]\d\d:\d\d)?)?$/i;

/** A moment, ms since the epoch: a duration before `now` (`2h`), or a date with or without a time (RFC 3339). */
export function momentFlag(flag: string, text: string, now: number): number {
  const ago = parseDuration(text);
  if (ago !== null) return now - ago;
  const match = MOMENT.exec(text);
  const [, day = '', time = '00:00', zone = 'Z'] = match ?? [];
  // Of a day that its month does not have, Date.parse makes one of the next.
  const isDay = match !== null && new Date(Date.parse(day)).getUTCDate() === Number(day.slice(8));
  const moment = isDay ? Date.parse(`${day}T${time}${zone.toUpperCase()}`) : Number.NaN;
  if (Number.isNaN(moment)) {
    throw usage(
      `${flag} is ${shown(text)}, not a time`,
      `write ${flag} 2h for the last two hours, or ${flag} 2026-10-31T08:00Z`,
    );
  }
  return moment;
}

/** What all of `reads` answer; every problem of them at once, each an error of the catalogue. */
export function readAll<T extends readonly unknown[]>(...reads: { readonly [K in keyof T]: () => T[K] }): T {
  const problems: CertgateError[] = [];
  const values = reads.map((read) => {
    try {
      return read();
    } catch (error) {
      if (!isCertgateError(error)) throw error;
      problems.push(error);
      return undefined;
    }
  });
  const [first, ...more] = problems;
  if (first === undefined) return values as unknown as T;
  throw more.length === 0 ? first : new AggregateError(problems);
}

/** Options and arguments that name a file or a folder, where one is empty: so a variable that is not set ends up. CG_USAGE. */
export function requirePaths(command: Command): void {
  const isPath = (words: string): boolean => /\b(FILE|DIR|BACKUP)\b/.test(words);
  const empty = [
    ...command.options
      .filter((option) => isPath(option.flags) && [command.getOptionValue(option.attributeName())].flat().includes(''))
      .map((option) => option.long ?? option.flags),
    ...command.registeredArguments
      .filter((argument, i) => isPath(argument.name()) && command.args[i] === '')
      .map((argument) => argument.name()),
  ];
  if (empty.length === 0) return;
  const verb = empty.length === 1 ? 'is' : 'are';
  throw usage(`${empty.join(', ')} ${verb} empty`, 'is the variable of the shell set? name a path');
}

/** For flags that may be repeated. */
export function collect(text: string, all: readonly string[] | undefined): string[] {
  return [...(all ?? []), text];
}

/** A usage error with its remedy. */
export function usage(problem: string, remedy: string): CertgateError<'CG_USAGE'> {
  return new CertgateError('CG_USAGE', { problem, remedy });
}
