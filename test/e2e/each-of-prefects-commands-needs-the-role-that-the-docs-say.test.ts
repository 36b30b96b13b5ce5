// Prefect's own commands by each role, with a real Prefect: which of them do what they promise, and what those who may not
// are told. scripts/prefect/commands.json, from which docs/commands.md is made, is what this measures. In CI each command is
// tried by the least role that may, and by those that may not where that tells more than the least one's permissions do.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, test } from 'vitest';
import { leastOf, MEASURED, type Measured, ROLES, readMeasured } from '../../scripts/docs-commands.ts';
import { BOUND, type BuiltInRole, type Permission } from '../../src/policy/permissions.ts';
import { API_ROUTES } from '../../src/policy/routes.ts';
import { attempt, type Case, type Ran, serverAt } from './commands/attempt.ts';
import { CHANGING } from './commands/changing.ts';
import { DEPLOYING_AND_POOLS } from './commands/deploying.ts';
import { namedIn, triedBy, wronglyBarred } from './commands/measured.ts';
import { READING } from './commands/reading.ts';
import { RUNNING } from './commands/running.ts';
import { eventually } from './harness/eventually.ts';
import { type House, logOf, type Serving } from './harness/house.ts';
import { type Commands, loadCommands } from './harness/prefect-commands.ts';
import { folder, house, sharedPrefect } from './harness/scenario.ts';

const CASES: readonly Case[] = [...READING, ...RUNNING, ...DEPLOYING_AND_POOLS, ...CHANGING];
/** `all`: every command by every role. `write`: that, and it is written down. A pattern: the commands that it matches. */
const MODE = process.env['CERTGATE_TEST_COMMANDS'] ?? '';
const WRITE = MODE === 'write';
const NEEDS = new Map(
  API_ROUTES.map(([, , , name, ...needs]) => [name, needs.filter((one) => one !== BOUND)] as const),
);

let home: House;
let gate: Serving;
let dir: string;
let commands: Commands;
/** Those that docs/policy.md and docs/commands.md make of built-in ones, for who deploys and for who serves. */
const OWN_ROLES = `roles:
  deployer: {extends: [Runner], permissions: [write_deployments, run_flows]}
  server: {extends: [Worker], permissions: [write_deployments]}
`;
type Role = BuiltInRole | 'deployer' | 'server';
const urls = new Map<Role, string>();
const url = (role: Role): string => urls.get(role) ?? '';
/** Of an Owner who prepares what others try: by one of those that make attempts it would count as what theirs need. */
let aside: string;

beforeAll(async () => {
  [home, dir] = await Promise.all([house(), folder()]);
  const policy = join(home.dir, 'policy.yaml');
  const roles: readonly Role[] = [...ROLES, 'deployer', 'server'];
  const bindings = roles.map((role) => `  - {role: ${role}, identity: user/${role.toLowerCase()}}\n`).join('');
  await writeFile(policy, `${OWN_ROLES}bindings:\n${bindings}  - {role: Owner, identity: user/aside}\n`);
  const loading = loadCommands(dir);
  gate = await home.serve({ upstream: sharedPrefect(), flags: ['--policy', policy] });
  for (const role of roles) {
    urls.set(role, (await home.connect(gate, await home.issue(`user/${role.toLowerCase()}`))).url);
  }
  aside = (await home.connect(gate, await home.issue('user/aside'))).url;
  commands = await loading;
}, 300_000);

interface Tried extends Ran {
  readonly role: Role;
  readonly command: string;
  /** The permissions of what the gate let through so far; a WebSocket is in its log once it is closed. */
  readonly needs: () => readonly string[];
}

async function tryAs(role: Role, one: Case): Promise<Tried> {
  const own = `${role.toLowerCase()}-${CASES.indexOf(one)}`;
  const identity = `user/${role.toLowerCase()}`;
  const from = gate.running.stderr().length;
  const began = Date.now();
  const at = { commands, url: url(role), aside, server: serverAt(sharedPrefect()), dir, own };
  const ran = await attempt(one, at);
  // What was answered before this stands before this in the log.
  await fetch(`${url(role)}/mark-${own}`);
  await gate.logged((line) => line['path'] === `/mark-${own}`);
  return {
    ...ran,
    role,
    command: one[0],
    needs: () => {
      const done = logOf(gate.running.stderr().slice(from)).filter(
        (line) =>
          line['identity'] === identity &&
          line['decision'] === 'permit' &&
          Date.parse(String(line['time'])) - Number(line['ms']) >= began - 1,
      );
      const named = done.flatMap((line): readonly string[] => NEEDS.get(String(line['operation'])) ?? []);
      return [...new Set([...named, ...(one[2] ?? [])])].toSorted();
    },
  };
}

/** For where results are kept: a client asks for that when it does not know it yet. */
const STORAGE = 'see_blocks';
const worked = ({ did, failed }: Ran): boolean => did && failed.length === 0;
/** Wrong things about an attempt that was made to compare it with what is written down. */
async function problemsOf(
  tried: Tried & { readonly role: BuiltInRole },
  measured: Measured,
): Promise<readonly string[]> {
  const { role, command, said } = tried;
  const about = `prefect ${command} by ${role}`;
  const tail = `\n${said.slice(-3000)}`;
  if (measured.may.includes(role) !== worked(tried)) {
    return [`${about} ${worked(tried) ? 'works' : `does not work (${tried.failed.join(', ')}; ${tried.did})`}${tail}`];
  }
  if (worked(tried)) {
    if (role !== leastOf(measured)) return [];
    const same = (): true | undefined => {
      const needs = tried.needs();
      const all = measured.needs.every((one) => needs.includes(one) || one === STORAGE);
      return all && needs.every((one) => measured.needs.some((other) => other === one)) ? true : undefined;
    };
    return await eventually(about, same).then(
      () => [],
      () => [`${about} needs ${tried.needs().join(' ')}, not ${measured.needs.join(' ')}`],
    );
  }
  const [named, deceived] = [namedIn(said), tried.failed.length === 0];
  // What goes on beside, such as sending events, may come to be refused before the command ends, and be named too.
  const wanted = measured.refused[role] ?? [];
  const told = wanted.length === 0 ? named.length === 0 : wanted.every((one) => named.includes(one));
  return [
    ...(tried.did ? [`${about} is refused, and has done it`] : []),
    ...(told ? [] : [`${about} names '${named.join(' ')}'${tail}`]),
    ...(deceived === measured.deceived.includes(role)
      ? []
      : [`${about} ${deceived ? 'says' : 'does not say'} that it worked${tail}`]),
  ];
}

/** Each role at its own work, one command after the other. */
async function inTurn<T>(work: (role: BuiltInRole) => ReadonlyArray<() => Promise<T>>): Promise<T[]> {
  const done = await Promise.all(
    ROLES.map(async (role) => {
      const results: T[] = [];
      for (const one of work(role)) results.push(await one());
      return results;
    }),
  );
  return done.flat();
}

test.runIf(WRITE)(
  'what each command needs is measured, and written down',
  async () => {
    const all = await inTurn((role) =>
      CASES.map((one) => async () => {
        const tried = await tryAs(role, one);
        await sleep(300);
        const needs = tried.needs();
        process.stderr.write(
          `${role} ${one[0]}: ${worked(tried) ? needs.join(' ') : `refused ${namedIn(tried.said).join(' ')}`}\n`,
        );
        if (role === 'Owner' && !worked(tried))
          process.stderr.write(`${JSON.stringify(tried.failed)} ${tried.did} ${tried.said}\n`);
        return { ...tried, role, needs };
      }),
    );
    const rows = CASES.map(([command]): Measured => {
      const tries = all.filter((one) => one.command === command);
      const may = ROLES.filter((role) => tries.some((one) => one.role === role && worked(one)));
      const barred = tries.filter((one) => !worked(one));
      return {
        command,
        needs: (tries.find((one) => one.role === leastOf({ command, may }))?.needs ?? []) as Permission[],
        may,
        refused: Object.fromEntries(barred.map((one) => [one.role, namedIn(one.said)])),
        deceived: barred.filter((one) => one.failed.length === 0).map((one) => one.role),
      };
    });
    await writeFile(MEASURED, `${JSON.stringify(rows, null, 2)}\n`);
  },
  3_600_000,
);

test.skipIf(WRITE)(
  'each of Prefect’s commands does what it promises for the least role that the docs name, and for none below',
  async () => {
    const known = new Map(readMeasured().map((one) => [one.command, one]));
    expect([...known.keys()]).toEqual(CASES.map(([command]) => command));
    const asked = (command: string): boolean => MODE === '' || MODE === 'all' || new RegExp(MODE).test(command);
    if (MODE !== 'all') {
      process.stderr.write(
        'by the least role that may, some by one that may not; by every role with CERTGATE_TEST_COMMANDS=all (minutes)\n',
      );
    }
    const withoutTrying = [...known.values()].flatMap(wronglyBarred);
    expect(withoutTrying).toEqual([]);
    let tries = 0;
    const problems = await inTurn((role) =>
      CASES.flatMap((one) => {
        const measured = known.get(one[0]);
        if (measured === undefined || !asked(one[0])) return [];
        if (MODE !== 'all' && !triedBy(measured, CASES.indexOf(one)).includes(role)) return [];
        tries++;
        return [async () => await problemsOf({ ...(await tryAs(role, one)), role }, measured)];
      }),
    );
    process.stderr.write(`${CASES.length} commands, ${tries} attempts\n`);
    expect(problems.flat()).toEqual([]);
  },
  3_600_000,
);

test.skipIf(WRITE)(
  'roles of one’s own deploy and serve without the right to make automations',
  async () => {
    const named = (command: string): Case => {
      const found = CASES.find((one) => one[0] === command);
      if (found === undefined) throw new Error(`no command ${command}`);
      return found;
    };
    const tried = await Promise.all([
      ...['deploy', 'flow.deploy()'].map(async (command) => await tryAs('deployer', named(command))),
      tryAs('server', named('flow.serve()')),
    ]);
    expect(tried.map((one) => [one.command, worked(one), worked(one) ? '' : one.said])).toEqual([
      ['deploy', true, ''],
      ['flow.deploy()', true, ''],
      ['flow.serve()', true, ''],
    ]);
  },
  600_000,
);
