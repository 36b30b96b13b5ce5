// Writes the five references that are made from the program itself: docs/cli.md from its commands, docs/configuration.md
// from the schema, docs/errors.md from the catalogue, docs/permissions.md from the table of operations,
// docs/commands.md from what was measured of Prefect's commands. `node scripts/docs-cli.ts` writes them; test/cli/docs.test.ts
// fails when they are not what this would write.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { exitCodes, formatHelp } from '../src/cli/help.ts';
import type { CommandIo } from '../src/cli/io.ts';
import { buildProgram } from '../src/cli/program.ts';
import { settingsOf } from '../src/cli/settings.ts';
import type { Leaf } from '../src/config/given.ts';
import { leaves } from '../src/config/leaves.ts';
import { catalogue } from '../src/errors.ts';
import { roleMatrix } from '../src/policy/matrix.ts';
import { BUILT_IN_ROLES, PERMISSIONS, type Permission } from '../src/policy/permissions.ts';
import { commandReference } from './docs-commands.ts';

const MADE = '<!-- made by `node scripts/docs-cli.ts`: change the program, not this file -->';

/** Path of each reference, from the repository's root, to its text. */
export async function references(): Promise<ReadonlyMap<string, string>> {
  const silent: CommandIo = {
    out: () => {},
    say: () => {},
    input: async () => new Uint8Array(),
    env: {},
    cwd: '/',
    isTerminal: false,
    program: 'certgate',
    setExitCode: () => {},
  };
  const program = await buildProgram(silent);
  return new Map([
    ['docs/cli.md', cliReference(program)],
    ['docs/configuration.md', configurationReference(program)],
    ['docs/errors.md', errorReference()],
    ['docs/permissions.md', permissionReference()],
    ['docs/commands.md', join(commandReference(MADE, table))],
  ]);
}

function cliReference(program: Command): string {
  return join([
    '# Command line',
    MADE,
    'What `--help` prints, for every command. Results go to stdout, messages to stderr; every command that prints data has `--json`.',
    ...commandSections(program),
    '## Exit codes',
    table(
      ['code', 'meaning'],
      exitCodes.map(([code, meaning]) => [code, meaning]),
    ),
    'The error codes, in brackets at the end of each message, are in [errors.md](errors.md).',
  ]);
}

/** A command and all below it, in the order of help. */
function allOf(command: Command): Command[] {
  return [command, ...command.commands.flatMap(allOf)];
}

function nameOf(command: Command): string {
  return command.parent === null ? command.name() : `${nameOf(command.parent)} ${command.name()}`;
}

function commandSections(command: Command): string[] {
  const text = `\`\`\`text\n${formatHelp(command, command.createHelp()).trimEnd()}\n\`\`\``;
  return [`## ${nameOf(command)}`, text, ...command.commands.flatMap(commandSections)];
}

function configurationReference(program: Command): string {
  return join([
    '# Configuration',
    MADE,
    'Settings come from defaults, `certgate.yaml`, `CERTGATE_…` variables and flags; later sources override earlier ones. The file is `./certgate.yaml`, or the one that `--config` or `CERTGATE_CONFIG` names; `certgate init` writes one with comments. All errors are reported at once, each with file:line:column and a remedy.',
    [
      '- Durations are text: `500ms`, `30s`, `5m`, `24h`, `7d`, `1h30m`.',
      "- Relative paths in the file are relative to the file's folder, those in variables and flags to the working directory.",
      '- An empty variable counts as unset. Lists in a variable are separated by commas; `identity.rules` and `enroll.issuers` are JSON there.',
      '- An unknown key or `CERTGATE_…` variable is an error. (The variables that Kubernetes sets for a service called `certgate` are ignored.)',
    ].join('\n'),
    ...sections().flatMap(([name, members]) => [
      `## ${name === '' ? 'top level' : name}`,
      table(
        ['key', 'variable', 'flag', 'default', 'meaning'],
        members.map((leaf) => settingRow(leaf, program)),
      ),
    ]),
  ]);
}

function sections(): Array<[name: string, members: Leaf[]]> {
  const found = new Map<string, Leaf[]>();
  for (const leaf of leaves) {
    const name = leaf.path.split('.').slice(0, -1).join('.');
    found.set(name, [...(found.get(name) ?? []), leaf]);
  }
  return [...found];
}

function settingRow({ path, variable, setting }: Leaf, program: Command): string[] {
  const { flag, fallback, about, wants, environmentOnly } = setting;
  const commands = allOf(program)
    .filter((command) => settingsOf(command).includes(path))
    .map((one) => nameOf(one).replace('certgate ', ''));
  const flags = flag === undefined || commands.length === 0 ? '' : `\`${flag}\` (${commands.join(', ')})`;
  const where = environmentOnly === true ? `${path} (variable only)` : `\`${path}\``;
  return [where, `\`${variable}\``, flags, fallback === null ? '' : `\`${fallback}\``, `${about} Must be ${wants}.`];
}

/** What Prefect Cloud says, and what is otherwise here. */
const FROM_CLOUD: ReadonlyArray<readonly [string, string, string]> = [
  [
    'permissions',
    'some include others: whoever may delete deployments may see, run and change them; whoever may change blocks may see their secrets',
    'none includes another, so that a policy states everything that it grants; a role can say `see_*`',
  ],
  ['own roles', 'what a role inherits cannot be taken away', '`deny` takes it away, whichever role grants it'],
  [
    'Viewer',
    'sees flow runs, deployments, work pools, blocks, automations, the workspace’s name',
    'also artifacts, variables, events, concurrency limits, work queues and workers, which the pages of Prefect’s UI show beside them; `deny: [see_variables]` and the like take one away',
  ],
  [
    'Runner',
    'runs deployments',
    'the same, as they were deployed: with their own job variables, they could run any command with the worker’s rights',
  ],
  [
    'Developer',
    'runs flows; deletes flow runs; makes, changes and deletes deployments, work pools, blocks and their secrets, automations; sees settings',
    'also variables, artifacts, concurrency limits, saved searches, and flows, which Cloud’s list does not mention: otherwise only an Owner could',
  ],
  [
    'Owner',
    'also members, their roles, and settings',
    'also settings, i.e. the default result storage; members are defined in the policy file. Also operations that this certgate does not know',
  ],
  [
    'Worker',
    'the minimum to poll for work and submit it; the exact list is not published',
    'also what flow runs do, because a process worker’s flow runs share its certificate. So it sees the secrets of blocks and variables, writes artifacts, logs and events, and runs other deployments',
  ],
  [
    '`run_flows`',
    'creates, updates and runs flows',
    'does not change an existing flow: that needs `manage_flows`, because every Worker has `run_flows`, and flows are shared by all',
  ],
  ['`manage_flows`', 'deletes flows', 'also deletes flow runs and task runs, which Cloud’s permissions do not mention'],
  ['`manage_events`', 'sends events', 'needs `run_flows` as well: this Prefect creates task runs from events'],
  [
    'access lists of objects',
    'for blocks, deployments and work pools (Enterprise)',
    '[scopes](policy.md#scopes): pools and a tag; blocks have none',
  ],
  [
    'without a counterpart',
    'notifications, webhooks, incidents, users, service accounts, teams, the workspace itself',
    'Prefect’s own server has no such operations',
  ],
];

function permissionReference(): string {
  const roles = Object.entries(BUILT_IN_ROLES);
  const mark = (has: boolean): string => (has ? 'yes' : '');
  return join([
    '# Permissions, roles and operations',
    MADE,
    'What a policy can permit ([policy.md](policy.md) says how). The names are those of Prefect Cloud. No permission includes another: each permits the operations whose rows list it.',
    '## The built-in roles',
    table(
      ['role', 'what it is'],
      roles.map(([name, { about }]) => [name, about]),
    ),
    table(
      ['permission', 'meaning', ...roles.map(([name]) => name)],
      Object.entries(PERMISSIONS).map(([name, about]) => [
        `\`${name}\``,
        about,
        ...roles.map(([, { permissions }]) => mark(permissions.includes(name as Permission))),
      ]),
    ),
    '## Where they differ from Prefect Cloud',
    'According to Cloud’s documentation of its workspace roles and permissions (2026-08). It does not publish the permissions of its built-in roles.',
    table(['', 'Prefect Cloud', 'here, and why'], FROM_CLOUD),
    '## Every operation',
    'Read from Prefect 3.8.3 and checked against the Prefect that the tests install. `WS` is a WebSocket. *any role*: whoever has a role may do it; without a role, nothing is permitted. Every other GET outside `/api`, and everything below `/api/static/`, is a file of the web interface: any role. What is not in this table is unknown, and only for Owners. The last column says how the operation is limited if its role is bound with a scope (pools, a tag): *open*, it concerns nothing that belongs to anybody; *refused*, it cannot be limited; otherwise, what the gate checks, which must be within the scope.',
    table(
      ['operation', 'name', 'needs', ...roles.map(([name]) => name), 'within a scope'],
      roleMatrix().map(({ method, path, name, needs, may, scope }) => [
        `${method} \`${path}\``,
        `\`${name}\``,
        needs.length === 0 ? '*any role*' : needs.map((one) => `\`${one}\``).join(' and '),
        ...roles.map(([role]) => mark(may.some((one) => one === role))),
        scope,
      ]),
    ),
  ]);
}

function errorReference(): string {
  const entries = Object.entries(catalogue).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return join([
    '# Errors',
    MADE,
    'Every error ends with its code in brackets. Codes never change their meaning, so scripts may rely on them. `exit` is the exit code of the command, `HTTP` the status where a peer sees the error.',
    ...entries.flatMap(([code, entry]) => {
      const words = exampleOf(entry);
      return [
        `## ${code}`,
        `${entry.about} exit ${entry.exit} · HTTP ${entry.status}`,
        ...(words === null ? [] : [`\`\`\`text\nerror: ${words.message} [${code}]\nhint: ${words.hint}\n\`\`\``]),
      ];
    }),
  ]);
}

/** The message with each fact's name in its place, and the hint where no case has one of its own; null when a fact is not a plain word. */
function exampleOf(entry: { message: unknown; hint: unknown }): { message: string; hint: string } | null {
  const factsBut = (left: string) =>
    new Proxy({}, { get: (_target, name) => (name === left ? undefined : `<${String(name)}>`) });
  const [message, hint] = [entry.message, entry.hint] as Array<(facts: object) => string | undefined>;
  try {
    const words = message?.(factsBut(''));
    const usual = hint?.(factsBut('remedy'));
    const remedy = usual === undefined || usual.includes('undefined') ? hint?.(factsBut('')) : usual;
    return words === undefined || remedy === undefined ? null : { message: words, hint: remedy };
  } catch {
    return null;
  }
}

function table(head: readonly string[], rows: ReadonlyArray<readonly string[]>): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function join(blocks: readonly string[]): string {
  return `${blocks.join('\n\n')}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [path, text] of await references()) {
    const file = fileURLToPath(new URL(`../${path}`, import.meta.url));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}
