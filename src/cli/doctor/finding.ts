// What a check of `certgate doctor` or `certgate ca check` found, and how it is shown. A failure is something that does
// not work or is not safe now; a warning is something that will hurt later, or that only sometimes does; what was skipped
// could not be looked at, and says why.
import { printable } from '../escape.ts';

export interface Finding {
  /** What was looked at, e.g. `node`, `identity certificate`. */
  readonly check: string;
  readonly level: 'ok' | 'warn' | 'fail' | 'skip';
  readonly found: string;
  /** What to do about it: a command where one helps. Empty when nothing is to be done. */
  readonly remedy: string;
}

export function fine(check: string, found: string): Finding {
  return { check, level: 'ok', found, remedy: '' };
}

export function warning(check: string, found: string, remedy: string): Finding {
  return { check, level: 'warn', found, remedy };
}

export function failure(check: string, found: string, remedy: string): Finding {
  return { check, level: 'fail', found, remedy };
}

export function skipped(check: string, reason: string, remedy = ''): Finding {
  return { check, level: 'skip', found: reason, remedy };
}

interface Marks {
  readonly of: Readonly<Record<Finding['level'], string>>;
  readonly arrow: string;
}

const PLAIN: Marks = { of: { ok: 'ok  ', warn: 'warn', fail: 'fail', skip: 'skip' }, arrow: '→' };
const SIGNS: Marks = { of: { ok: '√', warn: '‼', fail: '×', skip: '-' }, arrow: '→' };
const ASCII: Marks = { ...PLAIN, arrow: '->' };

/** Words, as `doctor` has them. */
export function plainMarks(): Marks {
  return PLAIN;
}

/** Signs where the locale is UTF-8 and nobody asked for plain output (no-color.org); else words in ASCII. */
export function marksFor(env: NodeJS.ProcessEnv): Marks {
  const locale =
    [env['LC_ALL'], env['LC_CTYPE'], env['LANG']].find((value) => value !== undefined && value !== '') ?? '';
  return /utf-?8/i.test(locale) && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb' ? SIGNS : ASCII;
}

/** One or two lines: what was found, and below it what to do. */
export function findingLines({ check, level, found, remedy }: Finding, { of, arrow }: Marks): readonly string[] {
  const mark = of[level];
  const line = `${mark}  ${check}: ${printable(found)}`;
  return remedy === '' ? [line] : [line, `${' '.repeat(mark.length + 2)}${arrow} ${printable(remedy)}`];
}
