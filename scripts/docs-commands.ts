// docs/commands.md: which role each of Prefect's own commands needs, from what an end-to-end test has measured of them
// (scripts/prefect/commands.json, written by it with CERTGATE_TEST_COMMANDS=write).

import { readFileSync } from 'node:fs';
import { BUILT_IN_ROLES, type BuiltInRole, type Permission } from '../src/policy/permissions.ts';

export const MEASURED = new URL('prefect/commands.json', import.meta.url);
/** From the least to the most. */
const ORDER: readonly BuiltInRole[] = ['Viewer', 'Runner', 'Worker', 'Developer', 'Owner'];

/** What was measured of one command. */
export interface Measured {
  readonly command: string;
  /** Permissions of what it did in the least role, sorted. */
  readonly needs: readonly Permission[];
  readonly may: readonly BuiltInRole[];
  /** For the others: the permissions that the terminal names; empty where it names none. */
  readonly refused: Readonly<Partial<Record<BuiltInRole, readonly Permission[]>>>;
  /** The roles that are told that it worked, and it has not. */
  readonly deceived: readonly BuiltInRole[];
}

export const ROLES = Object.keys(BUILT_IN_ROLES) as readonly BuiltInRole[];

export function readMeasured(): readonly Measured[] {
  return JSON.parse(readFileSync(MEASURED, 'utf8')) as readonly Measured[];
}

/** The first of the roles that may. */
export function leastOf({ command, may }: Pick<Measured, 'command' | 'may'>): BuiltInRole {
  const least = ORDER.find((role) => may.includes(role));
  if (least === undefined) throw new Error(`nobody may ${command}, not even an Owner`);
  return least;
}

/** The blocks of the page; `table` makes one of Markdown. */
export function commandReference(
  made: string,
  table: (head: readonly string[], rows: ReadonlyArray<readonly string[]>) => string,
): readonly string[] {
  const measured = readMeasured();
  const silent = measured.filter(({ refused }) => Object.values(refused).some((named) => named.length === 0));
  const deceiving = measured.filter(({ deceived }) => deceived.length > 0);
  return [
    "# Prefect's commands, and the roles that they need",
    made,
    'Each command was run by an identity of each built-in role, through both sidecars, with Prefect 3.8.8; it counts as permitted if it succeeded *and* Prefect, queried afterwards, had the result. `test/e2e/each-of-prefects-commands-needs-the-role-that-the-docs-say.test.ts` measures this again: in CI, every command with the least role that may run it, and every fourth also with the most powerful role that may not. *needs* lists the permissions for what it did in its least role, for a role of your own ([policy.md](policy.md)).',
    table(
      ['command', 'least role', 'needs', ...ORDER],
      measured.map((one) => [
        wordsOf(one.command),
        leastOf(one),
        one.needs.length === 0 ? '*any role*' : one.needs.map((name) => `\`${name}\``).join(' '),
        ...ORDER.map((role) => (one.may.includes(role) ? 'yes' : '')),
      ]),
    ),
    [
      '- **Previews poll.** `work-pool preview`, `work-queue preview` and `work-queue read-runs` poll for work as a worker does, and Prefect records that a worker was there, so they need `write_workers`.',
      '- **Serving deploys.** `flow serve`, `shell serve` and `flow.serve()` create a deployment, which a Worker may not. A role for a machine that serves: `server: {extends: [Worker], permissions: [write_deployments]}`.',
      '- **`worker start` creates no pool** for a Worker: create it first (`prefect work-pool create`), as a Developer.',
      '- **Not in the table:** commands that use no server (`init`, `plugins`, `cloud`) or start one (`server start`); `prefect api`, which needs the permissions of the operation that it calls ([permissions.md](permissions.md)); `prefect transfer`, which reads everything, including secrets, and writes it elsewhere.',
    ].join('\n'),
    '## What who is refused sees',
    "Prefect's command ends with a traceback of its client, which contains the gate's answer, and exit code 1:",
    "```text\nprefect.exceptions.PrefectHTTPStatusError: Client error '403 Forbidden' for url 'http://127.0.0.1:4210/api/variables/'\nResponse: {'detail': 'certgate: user/alice (Viewer) may not do create_variable: it lacks write_variables; to permit it, add to bindings in the policy: - {role: Developer, identity: user/alice}'}\n```",
    ...(silent.length === 0
      ? []
      : [
          "Some of Prefect's commands do not show the answer, but a message of their own. The gate's record has it (`certgate audit --identity user/alice`):",
          silent.map(({ command }) => `- ${wordsOf(command)}`).join('\n'),
        ]),
    ...(deceiving.length === 0
      ? []
      : [
          'And some end with exit code 0, as if they had succeeded (in Prefect 3.8.8; a script has to check the result):',
          deceiving.map(({ command }) => `- ${wordsOf(command)}`).join('\n'),
        ]),
  ];
}

/** `prefect flow ls`; what is no command of it stands as it is. */
function wordsOf(command: string): string {
  const [, about, code] = /^(.*?:? ?)(\S+\(\))$/.exec(command) ?? [];
  if (code !== undefined) return `${about}\`${code}\``;
  const [, words, note = ''] = /^([^(]*?)( \(.*\))?$/.exec(command) ?? [];
  return `\`prefect ${words}\`${note}`;
}
