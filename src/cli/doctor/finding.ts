// What a check of `certgate doctor` found. A failure is something that does not work or is not safe now; a warning is
// something that will hurt later, or that only sometimes does.

export interface Finding {
  /** What was looked at, e.g. `node`, `identity certificate`. */
  readonly check: string;
  readonly level: 'ok' | 'warn' | 'fail';
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
