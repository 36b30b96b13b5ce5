// The configuration that a command line names, in the commands that are printed for people to paste: in hints, next steps
// and remedies. Without it they would miss the CA, or find another one, wherever there is another certgate.yaml or none.
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { shellWord } from '../errors.ts';
import { printable } from './escape.ts';
import type { Io } from './io.ts';

/** Commands on a CA that read its configuration; a sidecar's is not that of the CA that its hints are about. */
const ABOUT_THE_CA =
  'issue revoke lock unlock unflag locks crl list token ca policy backup audit serve signer health'.split(' ');
/** Followed, on its line, by no --config of its own and no --help. */
const COMMAND = new RegExp(
  `(?<![\\w./-])certgate (?=(?:${ABOUT_THE_CA.join('|')})\\b(?!.* --config )(?![^\`;,]* --help))`,
  'g',
);

/** The file that `--config` names for this command or one above it, as it was given; undefined when it was not. */
export function configNamed(command: Command): string | undefined {
  for (let one: Command | null = command; one !== null; one = one.parent) {
    const named: unknown = one.opts()['config'];
    if (typeof named === 'string') return named;
  }
  return undefined;
}

/** How what `command` prints is to be said: with its `--config`, absolute, in each command on the same CA. */
export function carryConfig(command: Command, { cwd }: Pick<Io, 'cwd'>): (text: string) => string {
  const named = configNamed(command);
  const isOnCa = pathOf(command).some((name) => ABOUT_THE_CA.includes(name));
  if (named === undefined || !isOnCa) return (text) => text;
  const file = printable(shellWord(resolve(cwd, named)));
  return (text) => text.replaceAll(COMMAND, () => `certgate --config ${file} `);
}

function pathOf(command: Command): string[] {
  return command.parent === null ? [] : [...pathOf(command.parent), command.name()];
}
