// How `--help` looks: what the command does in a sentence, examples that can be pasted, then usage and options. The same
// for every command, and the source of docs/cli.md.
import type { Command, Help } from 'commander';
import { EXIT } from '../errors.ts';

/** An example: what it does, and the line to paste. */
export type Example = readonly [meaning: string, line: string];

interface Words {
  readonly examples: readonly Example[];
  readonly notes: readonly string[];
}

const words = new WeakMap<Command, Words>();

/** Gives a command its one-sentence description, its examples and notes to stand under the options. */
export function describe(
  command: Command,
  about: string,
  { examples, notes = [] }: { readonly examples: readonly Example[]; readonly notes?: readonly string[] },
): Command {
  words.set(command, { examples, notes });
  return command.description(about);
}

/** What `describe` was told about `command`. */
function wordsOf(command: Command): Words {
  return words.get(command) ?? { examples: [], notes: [] };
}

/** What each exit code means, for `certgate --help` and docs/cli.md. */
export const exitCodes: ReadonlyArray<readonly [code: string, meaning: string]> = [
  [`${EXIT.ok}`, 'done'],
  [`${EXIT.failure}`, 'failure that no other code covers; the message says what'],
  [`${EXIT.usage}`, 'error in the command line, or in a name given on it'],
  [`${EXIT.refused}`, 'refused: not allowed, or not safe'],
  [`${EXIT.notFound}`, 'not found'],
  [`${EXIT.configuration}`, 'error in the configuration'],
  [`${EXIT.storage}`, 'the store cannot be opened, read or written'],
  [`${EXIT.network}`, 'a peer cannot be reached, or does not answer as expected'],
  [`${EXIT.warnings}`, '`certgate ca check`: nothing failed, but there are warnings'],
  ['128+n', '`certgate run`: signal n ended the command; otherwise, `run` passes on the command’s exit code'],
];

/** commander's hook: the whole text of `--help`. */
export function formatHelp(command: Command, helper: Help): string {
  const { examples, notes } = wordsOf(command);
  const sections = [
    [helper.commandDescription(command)],
    section(
      'examples',
      examples.flatMap(([meaning, line]) => [`# ${meaning}`, line]),
    ),
    [`usage: ${helper.commandUsage(command)}`],
    section(
      'commands',
      columns(helper.visibleCommands(command).map((sub) => [sub.name(), helper.subcommandDescription(sub)])),
    ),
    section(
      'arguments',
      columns(
        helper.visibleArguments(command).map((one) => [helper.argumentTerm(one), helper.argumentDescription(one)]),
      ),
    ),
    section(
      'options',
      columns(helper.visibleOptions(command).map((one) => [helper.optionTerm(one), helper.optionDescription(one)])),
    ),
    command.parent === null ? section('exit codes', columns(exitCodes)) : [],
    notes,
  ];
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`${title}:`, ...lines.map((line) => `  ${line}`)];
}

function columns(rows: ReadonlyArray<readonly [string, string]>): string[] {
  const width = Math.max(0, ...rows.map(([term]) => term.length));
  return rows.map(([term, meaning]) => `${term.padEnd(width)}  ${meaning}`.trimEnd());
}
