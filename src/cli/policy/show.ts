// certgate policy show: every role with what it permits and denies, and who has it; the built-in ones also without a policy.
import { Command } from 'commander';
import type { LoadedPolicy } from '../../config/policy-load.ts';
import { isCertgateError } from '../../errors.ts';
import { ALL_PERMISSIONS, BUILT_IN_ROLES, PERMISSIONS } from '../../policy/permissions.ts';
import { compilePolicy } from '../../policy/policy.ts';
import { printableJson } from '../escape.ts';
import { describe } from '../help.ts';
import type { CommandIo } from '../io.ts';
import { withSettings } from '../settings.ts';
import { table } from '../table.ts';
import { untestedPolicyAt } from './place.ts';

export function showCommand(io: CommandIo): Command {
  const command = describe(new Command('show'), 'show roles and the permissions that they grant', {
    examples: [
      ['a table: a line for each permission, a column for each role', 'certgate policy show'],
      ['what one role grants, for a script', "certgate policy show --json | jq '.roles.Worker.permissions'"],
    ],
    notes: ['without a policy, the five built-in roles.', 'x is granted, - is denied, . is neither.'],
  })
    .argument('[FILE]', 'the policy (default: serve.policy)')
    .option('--json', 'print JSON');
  return withSettings(command).action(async (file: string | undefined, flags: { json?: true }) => {
    const loaded = await loadedOrNone(() => untestedPolicyAt(file, command, io));
    const roles = rolesOf(loaded);
    if (flags.json === true) {
      const bindings = (loaded?.bindings ?? []).map(
        ({ place, roles: names, identities, matches, groups = [], certificate = null, scope = null }) => ({
          place,
          roles: names.map((one) => one.text),
          identities,
          groups,
          pattern: matches !== null,
          certificate: certificate !== null,
          scope: scope === null ? null : { pools: scope.pools, tag: scope.tag },
        }),
      );
      return io.out(printableJson({ mode: loaded?.policy.mode ?? null, roles, bindings }, 2));
    }
    const names = Object.keys(roles);
    const rows = ALL_PERMISSIONS.map((permission) => [
      permission,
      ...names.map((name) => {
        const role = roles[name];
        return role?.denied.includes(permission) === true ? '-' : role?.permissions.includes(permission) ? 'x' : '.';
      }),
      PERMISSIONS[permission],
    ]);
    for (const line of table(['permission', ...names, 'meaning'], rows)) io.out(line);
    if (loaded === null) io.say('there is no policy: every admitted client may do everything');
  });
}

async function loadedOrNone(load: () => Promise<LoadedPolicy>): Promise<LoadedPolicy | null> {
  try {
    return await load();
  } catch (error) {
    if (isCertgateError(error, 'CG_POLICY_NONE')) return null;
    throw error;
  }
}

interface RoleSaid {
  /** Less what is denied. */
  readonly permissions: readonly string[];
  readonly denied: readonly string[];
  /** Where it stands; null for one that is built in. */
  readonly place: string | null;
}

/** What each role comes to, extends and deny worked out. */
function rolesOf(loaded: LoadedPolicy | null): Readonly<Record<string, RoleSaid>> {
  const own = loaded?.roles ?? [];
  const places = new Map(own.map(({ name }) => [name.text, name.place]));
  const names = [...Object.keys(BUILT_IN_ROLES), ...places.keys()];
  const policy = compilePolicy({
    mode: 'enforce',
    secrets: 'refuse',
    roles: own,
    bindings: names.map((name) => ({
      place: '',
      roles: [{ text: name, place: '' }],
      identities: [name],
      matches: null,
    })),
  });
  return Object.fromEntries(
    names.map((name) => {
      const grants = policy.grants(name);
      const permissions = ALL_PERMISSIONS.filter((one) => grants.has(one));
      return [name, { permissions, denied: [...grants.denied.keys()], place: places.get(name) ?? null }];
    }),
  );
}
