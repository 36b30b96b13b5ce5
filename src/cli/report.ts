// The end of every command that fails: `error:` with what went wrong and its code, `hint:` with what to do, and the exit
// code. Never a stack trace. Messages may quote what a peer or a file said, so every line is made safe for the terminal.
import type { CommanderError } from 'commander';
import { nearest } from '../config/nearest.ts';
import { CertgateError, fileReason, isCertgateError, reasonOf, systemCode } from '../errors.ts';
import { isIdentityName } from '../identity/name.ts';
import { printable } from './escape.ts';
import type { Io } from './io.ts';

/** Says what failed on stderr; answers the exit code. */
export function report(error: unknown, io: Pick<Io, 'say'>): number {
  if (error instanceof AggregateError) {
    return error.errors.map((one) => report(one, io)).reduce((first) => first);
  }
  const failure = asCertgateError(error);
  if (isCertgateError(failure, 'CG_CONFIG') || isCertgateError(failure, 'CG_POLICY')) {
    for (const { place, problem, remedy } of failure.facts.problems)
      say(io, `${place}: ${problem}`, failure.code, remedy);
  } else if (isCertgateError(failure, 'CG_POLICY_TEST')) {
    const hints = failure.hint.split('\n');
    for (const [i, line] of failure.message.split('\n').entries()) say(io, line, failure.code, hints[i] ?? '');
  } else if (isCertgateError(failure, 'CG_IDENTITY_NAME')) {
    const { name } = failure.facts;
    const meant = nameMeant(name);
    // A pattern that is written well, where none is taken.
    const asked =
      meant === name ? 'a pattern is none: name one at a time; ' : meant === null ? '' : `did you mean ${meant}? `;
    say(io, failure.message, failure.code, `${asked}${failure.hint}`);
  } else {
    say(io, failure.message, failure.code, failure.hint);
  }
  return failure.exitCode;
}

function say(io: Pick<Io, 'say'>, message: string, code: string, hint: string): void {
  io.say(`error: ${printable(message)} [${code}]`);
  io.say(`hint: ${printable(hint)}`);
}

/** The name, or the pattern of names, that a mistyped one may be: its kind is nearly one, or only the case is wrong. */
function nameMeant(name: string): string | null {
  const [first = '', ...rest] = name.toLowerCase().split('/');
  const meant = [nearest(first, ['worker', 'user', 'service']), ...rest].join('/');
  return isIdentityName(meant.replace(/\*$/, '0')) ? meant : null;
}

function asCertgateError(error: unknown): CertgateError {
  if (isCertgateError(error)) return error;
  const fault = systemFault(error);
  if (fault !== null) return new CertgateError('CG_FILE', fault, { cause: error });
  return new CertgateError('CG_INTERNAL', { problem: reasonOf(error) }, { cause: error });
}

/** commander's words in our form: its "Did you mean" is the hint. `command` is the one that it parsed, `certgate issue`. */
export function commandLineError(error: CommanderError, command: string): CertgateError {
  if (error.code === 'commander.help') {
    return new CertgateError('CG_USAGE', { problem: 'no subcommand', remedy: `see ${command} --help` });
  }
  const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const suggestion = /\(Did you mean (.*)\?\)/.exec(rest.join(' '))?.[1];
  const isMore = error.code === 'commander.excessArguments';
  const help = `${isMore ? 'words that belong together go in quotes; ' : ''}see ${command} --help`;
  const remedy = suggestion === undefined ? help : `did you mean ${suggestion}? ${help}`;
  return new CertgateError('CG_USAGE', { problem: first.replace(/\.$/, ''), remedy }, { cause: error });
}

/** What the operating system refused, when it was about a file. */
function systemFault(error: unknown): { path: string; problem: string; remedy?: string } | null {
  if (!(error instanceof Error) || !('syscall' in error)) return null;
  // A read of a folder names no path.
  const path = 'path' in error ? String(error.path) : 'what was named as a file';
  if (!('path' in error) && systemCode(error) !== 'EISDIR') return null;
  const full = ['ENOSPC', 'EDQUOT'].includes(systemCode(error));
  const remedy = { remedy: 'free some space, and try again: df -h' };
  return { path, problem: `${fileReason(error)} (${String(error.syscall)})`, ...(full && remedy) };
}
