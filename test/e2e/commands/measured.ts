// What was measured of each of Prefect's commands is kept in scripts/prefect/commands.json, from which docs/commands.md is
// made: here, by which roles a command is tried again, and what a refused one's output names.

import { leastOf, type Measured, ROLES } from '../../../scripts/docs-commands.ts';
import { BUILT_IN_ROLES, type BuiltInRole, type Permission } from '../../../src/policy/permissions.ts';

/** Of those that may not, each that no other such role includes. */
function mostBarred(measured: Measured): readonly BuiltInRole[] {
  const barred = ROLES.filter((role) => !measured.may.includes(role));
  const includes = (more: BuiltInRole, less: BuiltInRole): boolean =>
    more !== less && BUILT_IN_ROLES[less].permissions.every((one) => BUILT_IN_ROLES[more].permissions.includes(one));
  return barred.filter((role) => !barred.some((other) => includes(other, role)));
}

/** Which command in how many is tried by those that may not, too. */
const SAMPLE = 4;

/**
 * The least role that may; and the most that may not, of each fourth command and of those that say they worked when they
 * were refused. The others are refused by what the least one is seen to need: see `wronglyBarred`, and the scenario of the
 * roles, which asks for every operation by every role.
 */
export function triedBy(measured: Measured, place: number): readonly BuiltInRole[] {
  const barred = mostBarred(measured).filter((role) => place % SAMPLE === 0 || measured.deceived.includes(role));
  return [leastOf(measured), ...barred];
}

/** What may not, though it has all that the least role was seen to need. */
export function wronglyBarred(measured: Measured): readonly string[] {
  return mostBarred(measured)
    .filter((role) => measured.needs.every((one) => BUILT_IN_ROLES[role].permissions.includes(one)))
    .map((role) => `${measured.command} by ${role}`);
}

/** The permissions that a refused command's output names, sorted. */
export function namedIn(said: string): readonly Permission[] {
  const found = [...said.replaceAll(/\s+/g, ' ').matchAll(/it lacks ([a-z_]+(?: and [a-z_]+)*)/g)].flatMap(
    ([, names = '']) => names.split(' and '),
  );
  return [...new Set(found)].toSorted() as Permission[];
}
