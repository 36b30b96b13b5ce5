// What the demo shows: one line a step with its time, and below it what there is to see. Ticks only on a UTF-8 terminal,
// colour only on a terminal and not with NO_COLOR. The same form as scripts/setup-steps/progress.sh.

import { performance } from 'node:perf_hooks';

const isTerminal = process.stdout.isTTY && process.env['TERM'] !== 'dumb';
const locale =
  ['LC_ALL', 'LC_CTYPE', 'LANG'].map((name) => process.env[name] ?? '').find((value) => value !== '') ?? '';
const isUtf8 = isTerminal && /utf-?8/i.test(locale);
const isColoured = isTerminal && (process.env['NO_COLOR'] ?? '') === '';
const TEXT_WIDTH = 58;

const paint = (code: number, text: string): string => (isColoured ? `\u001b[${code}m${text}\u001b[0m` : text);
const mark = (ok: boolean): string => {
  if (ok) return paint(32, isUtf8 ? '✓' : 'ok  ');
  return paint(31, isUtf8 ? '✗' : 'FAIL');
};
const print = (text: string): void => void process.stdout.write(`${text}\n`);
/** What stands under a step's text, not under its mark. */
const indent = isUtf8 ? '   ' : '      ';

/** A step that failed, with what a person needs to go on. */
export class StepFailed extends Error {
  readonly step: string;
  readonly remedy: string;

  constructor(name: string, problem: string, remedy: string) {
    super(problem);
    this.step = name;
    this.remedy = remedy;
  }
}

/** A heading above some steps. */
export function title(text: string): void {
  print(`\n${paint(1, text)}`);
}

/**
 * Does `work` and prints one line with the time that it took. On a terminal the line stands there from the start.
 * `text` may be completed by what the work answers: `done(answer)`.
 * Whatever fails becomes a StepFailed with `remedy`.
 */
export async function step<T>(
  text: string,
  work: () => Promise<T>,
  { done = () => text, remedy }: { done?: (answer: T) => string; remedy: string },
): Promise<T> {
  const since = performance.now();
  if (isTerminal) process.stdout.write(` ${isUtf8 ? '…' : '... '} ${text}`);
  const end = (ok: boolean, words: string): void => {
    const seconds = ((performance.now() - since) / 1000).toFixed(1);
    print(
      `${isTerminal ? '\r\u001b[K' : ''} ${mark(ok)} ${words.padEnd(TEXT_WIDTH)} ${paint(2, `${seconds.padStart(6)} s`)}`,
    );
  };
  try {
    const answer = await work();
    end(true, done(answer));
    return answer;
  } catch (error) {
    end(false, text);
    if (error instanceof StepFailed) throw error;
    throw new StepFailed(text, error instanceof Error ? error.message : String(error), remedy);
  }
}

/** Lines that belong to no step. */
export function list(lines: readonly string[]): void {
  for (const line of lines) print(` ${line}`.trimEnd());
}

/** Lines that belong to the step above: what somebody said. */
export function quote(lines: readonly string[]): void {
  for (const line of lines) print(`${indent}${paint(2, line)}`);
}

/** Columns as wide as their widest cell; the last one as it is. */
export function columns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  return rows.map((row) =>
    row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0))).join('  '),
  );
}

/** The first `most` characters of `text`, on one line. */
export function oneLine(text: string, most: number): string {
  const flat = text.replaceAll(/\s+/g, ' ').trim();
  return flat.length <= most ? flat : `${flat.slice(0, most - 3)}...`;
}

/** Words to stderr, for what went wrong. */
export function complain(text: string): void {
  process.stderr.write(`${text}\n`);
}
