// What was measured of each of Prefect's commands is kept in scripts/prefect/commands.json, from which docs/commands.md is
// made: here, by which roles a command is tried again, and what a refused one's output names.

import { leastOf, type Measured, ROLES } from '../../../scripts/docs-commands.ts';
import { BUILT_IN_ROLES, type BuiltInRole, type Permission } from '../../../src/policy/permissions.ts';

/** The roles that decide it: the least that may, and of those that may not each that no other such role includes. */
export function deciding(measured: Measured): readonly BuiltInRole[] {
  const barred = ROLES.filter((role) => !measured.may.includes(role));
  const includes = (more: BuiltInRole, less: BuiltInRole): boolean =>
    more !== less && BUILT_IN_ROLES[less].permissions.every((one) => BUILT_IN_ROLES[more].permissions.includes(one));
  return [leastOf(measured), ...barred.filter((role) => !barred.some((other) => includes(other, role)))];
}

/** The permissions that a refused command's output names, sorted. */
export function namedIn(said: string): readonly Permission[] {
  const found = [...said.replaceAll(/\s+/g, ' ').matchAll(/it lacks ([a-z_]+(?: and [a-z_]+)*)/g)].flatMap(
    ([, names = '']) => names.split(' and '),
  );
  return [...new Set(found)].toSorted() as Permission[];
}
