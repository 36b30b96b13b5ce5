// Decisions of a policy: what roles give and take, for whom, and the whole table of operations by built-in roles.

import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { roleMatrix } from '../../src/policy/matrix.ts';
import { findOperation } from '../../src/policy/operation.ts';
import { ALL_PERMISSIONS, BUILT_IN_ROLES, type Permission, permissionsNamed } from '../../src/policy/permissions.ts';
import {
  type Attributes,
  type BindingSource,
  compilePolicy,
  type Policy,
  type RoleSource,
} from '../../src/policy/policy.ts';
import { API_EXTRA_ROUTES, API_ROUTES, ROOT_ROUTES } from '../../src/policy/routes.ts';
import { holds, type Scope } from '../../src/policy/scope.ts';

const placed = <T extends string>(text: T) => ({ text, place: `policy.yaml:${text}` });

interface RoleWords {
  readonly extends?: readonly string[];
  readonly permissions?: readonly Permission[];
  readonly deny?: readonly Permission[];
}

function role(name: string, words: RoleWords): RoleSource {
  const { extends: above = [], permissions = [], deny = [] } = words;
  return {
    name: placed(name),
    extends: above.map(placed),
    permissions: permissions.map(placed),
    deny: deny.map(placed),
  };
}

function bound(identity: string, ...roles: string[]): BindingSource {
  return { place: `binding of ${identity}`, roles: roles.map(placed), identities: [identity], matches: null };
}

function policy(roles: readonly RoleSource[], bindings: readonly BindingSource[]): Policy {
  return compilePolicy({ mode: 'enforce', secrets: 'refuse', roles, bindings });
}

/** Permissions that one identity with these roles has. */
function held(roles: readonly RoleSource[], ...names: string[]): readonly Permission[] {
  const grants = policy(roles, [bound('user/a', ...names)]).grants('user/a');
  return ALL_PERMISSIONS.filter((one) => grants.has(one));
}

const CREATE_FLOW = findOperation('POST', '/api/flows/');
const HEALTH = findOperation('GET', '/api/health');

describe('the operations', () => {
  test('by built-in roles are those that a person has looked at', async () => {
    const letter = { Viewer: 'V', Runner: 'R', Developer: 'D', Worker: 'W', Owner: 'O' };
    const lines = roleMatrix().map(({ method, path, name, needs, may }) => {
      const who = Object.entries(letter).map(([one, sign]) => (may.some((other) => other === one) ? sign : '.'));
      return `${who.join('')} ${method.padEnd(6)} ${path} ${name}: ${needs.join(' + ') || 'any role'}`;
    });
    expect(lines).toHaveLength(API_ROUTES.length + API_EXTRA_ROUTES.length + ROOT_ROUTES.length);
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot(join(import.meta.dirname, 'golden/operations.txt'));
  });

  test('that only read need a permission to see, and those that do not need another', () => {
    for (const [method, path, cls, , ...needs] of API_ROUTES) {
      const sees = needs.every((one) => one.startsWith('see_'));
      const free = needs[0] === 'bound';
      // Whoever only sees must not be able to stop Prefect by a schema of their own.
      if (path === '/ui/schemas/validate') continue;
      const reads = cls === 'read' || cls === 'ws-read' || cls === 'admin-read';
      if (!free) expect(sees, `${method} ${path}`).toBe(reads);
      else expect(['probe', 'session', 'admin-read'], `${method} ${path}`).toContain(cls);
    }
  });

  test('name every permission there is', () => {
    const named = new Set([...API_ROUTES, ...API_EXTRA_ROUTES].flatMap(([, , , , ...needs]) => needs));
    expect(ALL_PERMISSIONS.filter((one) => !named.has(one))).toEqual([]);
  });
});

describe('the built-in roles', () => {
  const of = (name: keyof typeof BUILT_IN_ROLES) => BUILT_IN_ROLES[name].permissions;
  test('Viewer only sees, and neither secrets nor settings', () => {
    expect(of('Viewer').every((one) => one.startsWith('see_'))).toBe(true);
    expect(of('Viewer')).not.toContain('see_secret_blocks');
    expect(of('Viewer')).not.toContain('see_workspace_settings');
  });
  test('Runner is Viewer and may run deployments', () => {
    expect(of('Runner')).toEqual([...of('Viewer'), 'run_deployments']);
  });
  test('Developer has all but the changing of settings', () => {
    expect(ALL_PERMISSIONS.filter((one) => !of('Developer').includes(one))).toEqual(['write_workspace_settings']);
  });
  test('Worker deletes nothing, and changes no deployment, pool, block, variable or automation', () => {
    const changes = of('Worker').filter((one) => /^(write|manage)_/.test(one));
    expect(changes).toEqual(['write_workers', 'write_artifacts', 'manage_events']);
  });
  test('Owner has everything', () => expect(of('Owner')).toEqual(ALL_PERMISSIONS));
});

describe('an identity', () => {
  test('that is bound to nothing may do nothing, not even ask for health', () => {
    const grants = policy([], [bound('user/a', 'Owner')]).grants('user/b');
    expect(grants.rule(HEALTH)).toEqual({ permit: false, why: 'unbound', missing: [] });
    expect(grants.rule(CREATE_FLOW)).toEqual({ permit: false, why: 'unbound', missing: ['run_flows'] });
    expect(grants.rule(null)).toEqual({ permit: false, why: 'unbound', missing: [] });
  });

  test('with any role may ask for health, and is told what it lacks otherwise', () => {
    const grants = policy([], [bound('user/a', 'Viewer')]).grants('user/a');
    expect(grants.rule(HEALTH)).toEqual({ permit: true, role: 'Viewer', rule: 'binding of user/a', scope: null });
    expect(grants.rule(CREATE_FLOW)).toEqual({ permit: false, why: 'missing', missing: ['run_flows'] });
  });

  test('is bound by its name and by every pattern that matches', () => {
    const all: BindingSource = {
      place: 'all',
      roles: [placed('Viewer')],
      identities: [],
      matches: (identity) => identity.startsWith('user/'),
    };
    const some = policy([], [all, bound('user/a', 'Runner')]);
    expect(some.grants('user/a').roles.map((one) => one.role)).toEqual(['Runner', 'Viewer']);
    expect(some.grants('user/b').roles.map((one) => one.role)).toEqual(['Viewer']);
    expect(some.grants('worker/a').roles).toEqual([]);
  });
});

describe('bindings', () => {
  test('that name one identity twice, or several, each count', () => {
    const two = { ...bound('user/a', 'Viewer'), identities: ['user/a', 'user/b'] };
    const some = policy([], [two, bound('user/a', 'Runner'), bound('user/c', 'Owner')]);
    const roles = (name: string) => some.grants(name).roles.map((one) => one.role);
    expect([roles('user/a'), roles('user/b'), roles('user/c')]).toEqual([['Viewer', 'Runner'], ['Viewer'], ['Owner']]);
  });

  test('to what a certificate says hold in a policy that names no group', () => {
    const data = { certificate: (says: Attributes['values']) => says.some(([, value]) => value === 'Data') };
    const some = policy([], [{ place: 'data', roles: [placed('Viewer')], identities: [], matches: null, ...data }]);
    const of = (...values: string[]) =>
      some.grants('user/a', { groups: [], values: values.map((one) => ['O', one]) }).roles.length;
    expect([of('Data'), of('Ops'), of('Data', 'Ops'), of()]).toEqual([1, 0, 1, 0]);
  });

  test('to a role that is not there, or that extends itself, are no policy', () => {
    expect(() => policy([], [bound('user/a', 'nobody')]).grants('user/a')).toThrow('the role nobody was not checked');
    expect(() => policy([role('a', { extends: ['nobody'] })], [])).toThrow('the role nobody was not checked');
    const circle = [role('a', { extends: ['b'] }), role('b', { extends: ['a'] })];
    expect(() => policy(circle, [])).toThrow(TypeError);
  });

  test('are worked out again for whoever has not been seen for 20,000 others', () => {
    const some = policy([], [bound('user/a', 'Viewer')]);
    const before = some.grants('user/a');
    for (let i = 1; i < 20_000; i++) some.grants(`user/${i}`);
    expect(some.grants('user/a')).toBe(before);
    some.grants('user/20000');
    expect(some.grants('user/a')).not.toBe(before);
    expect(some.grants('user/a')).toMatchObject({ roles: before.roles });
  });
});

describe('an operation that the table does not know', () => {
  test('is for Owner alone', () => {
    for (const name of Object.keys(BUILT_IN_ROLES)) {
      const ruling = policy([], [bound('user/a', name)])
        .grants('user/a')
        .rule(null);
      expect(ruling.permit, name).toBe(name === 'Owner');
    }
  });
  test('is not for a role with every permission that is not Owner, nor for an Owner who is denied anything', () => {
    const every = role('every', { permissions: ALL_PERMISSIONS });
    const less = role('less', { extends: ['Owner'], deny: ['see_events'] });
    const owner = role('boss', { extends: ['Owner'] });
    const rules = (...names: string[]) =>
      policy([every, less, owner], [bound('user/a', ...names)])
        .grants('user/a')
        .rule(null).permit;
    expect([rules('every'), rules('less'), rules('Owner', 'less'), rules('boss')]).toEqual([false, false, false, true]);
  });
});

describe('roles', () => {
  test('extend others, built in or not, at any depth, and say who gave what', () => {
    const roles = [
      role('a', { extends: ['b'] }),
      role('b', { extends: ['Viewer'], permissions: ['run_flows'], deny: ['see_events'] }),
    ];
    const grants = policy(roles, [bound('user/a', 'a')]).grants('user/a');
    expect(grants.allowed.get('run_flows')).toEqual({
      role: 'a',
      binding: 'binding of user/a',
      holder: 'b',
      place: 'policy.yaml:run_flows',
    });
    expect(grants.allowed.get('see_flows')).toMatchObject({ role: 'a', holder: 'Viewer', place: null });
    expect(grants.denied.get('see_events')).toMatchObject({ role: 'a', holder: 'b' });
    expect(grants.rule(findOperation('POST', '/api/events/filter'))).toEqual({
      permit: false,
      why: 'denied',
      missing: ['see_events'],
    });
    // One that is taken is told of before those that are not given.
    expect(grants.rule({ needs: ['manage_events', 'see_events'] })).toMatchObject({ why: 'denied' });
  });
  test('extend several, and have all that these give and take', () => {
    const roles = [
      role('x', { permissions: ['run_flows', 'manage_artifacts'], deny: ['see_flows', 'see_blocks'] }),
      role('y', { permissions: ['manage_events'], deny: ['run_flows'] }),
      role('z', { extends: ['x', 'Viewer', 'y'] }),
    ];
    const has = held(roles, 'z');
    for (const one of ['manage_artifacts', 'manage_events', 'see_deployments'] as const) expect(has).toContain(one);
    for (const one of ['see_flows', 'see_blocks', 'run_flows'] as const) expect(has).not.toContain(one);
  });
  test('name permissions by a beginning too', () => {
    expect(permissionsNamed('manage_work*')).toEqual(['manage_work_pools', 'manage_work_queues', 'manage_workers']);
    expect(permissionsNamed('*')).toEqual(ALL_PERMISSIONS);
    expect(permissionsNamed('nothing*')).toEqual([]);
    expect(permissionsNamed('see_')).toEqual([]);
  });

  const permission = fc.constantFrom(...ALL_PERMISSIONS);
  const some = fc.uniqueArray(permission, { maxLength: 8 });
  const words = fc.record({ permissions: some, deny: some });
  // Each may extend those before it, so that no circle is made.
  const anyRoles = fc
    .array(fc.tuple(words, fc.array(fc.nat(), { maxLength: 3 })), { minLength: 1, maxLength: 5 })
    .map((made) =>
      made.map(([said, above], i) =>
        role(`r${i}`, { ...said, extends: i === 0 ? [] : [...new Set(above.map((n) => `r${n % i}`))] }),
      ),
    );

  test('that deny win over all that permit, in whatever order they are bound', () => {
    fc.assert(
      fc.property(anyRoles, some, (roles, taken) => {
        const names = roles.map((one) => one.name.text);
        const all = [...roles, role('no', { permissions: ['see_flows'], deny: taken })];
        const first = held(all, 'no', 'Owner', ...names);
        expect(first.filter((one) => taken.includes(one))).toEqual([]);
        expect(held(all, ...names, 'Owner', 'no')).toEqual(first);
      }),
    );
  });
  test('that get one more permission never permit less', () => {
    fc.assert(
      fc.property(anyRoles, permission, fc.nat(), (roles, added, n) => {
        const names = roles.map((one) => one.name.text);
        const more = roles.map((one, i) =>
          i === n % roles.length ? { ...one, permissions: [...one.permissions, placed(added)] } : one,
        );
        const after = held(more, ...names);
        expect(held(roles, ...names).filter((one) => !after.includes(one))).toEqual([]);
      }),
    );
  });
  test('that are bound besides and deny nothing never permit less', () => {
    fc.assert(
      fc.property(anyRoles, some, (roles, given) => {
        const names = roles.map((one) => one.name.text);
        const all = [...roles, role('more', { permissions: given })];
        const after = held(all, ...names, 'more');
        expect(held(all, ...names).filter((one) => !after.includes(one))).toEqual([]);
      }),
    );
  });
});

describe('what was worked out', () => {
  const workers = { ...bound('none', 'Worker'), identities: [], matches: (name: string) => name.startsWith('worker/') };
  const of = (groups: readonly string[]): Attributes => ({ groups, values: [] });

  test('holds for all who have the same bindings and pools, and for nobody else', () => {
    const data = { ...bound('worker/2', 'Developer'), groups: ['data'] };
    const fleet = policy([], [workers, bound('worker/1', 'Viewer'), data]);
    const plain = fleet.grants('worker/a');
    for (let n = 3; n < 100; n++) expect(fleet.grants(`worker/${n}`)).toBe(plain);
    expect(fleet.grants('worker/b', of(['other']))).toBe(plain);
    const each = [
      plain,
      fleet.grants('worker/1'),
      fleet.grants('worker/2'),
      fleet.grants('user/a'),
      fleet.grants('worker/a', of(['data'])),
      fleet.grants('worker/a', of(['pool:etl'])),
      fleet.grants('worker/a', of(['pool:etl', 'pool:ml'])),
      fleet.grants('worker/a', of(['data', 'pool:etl'])),
    ];
    expect(new Set(each).size).toBe(each.length);
    expect(fleet.grants('worker/b', of(['pool:etl']))).toBe(each[5]);
  });

  test('says the same as where it is worked out for one alone', () => {
    const names = ['worker/1', 'worker/2', 'user/a'];
    const bindings = fc.array(
      fc.oneof(
        fc.constantFrom(...names).map((name) => bound(name, 'Viewer')),
        fc.constantFrom('Worker', 'Developer').map((one) => ({ ...workers, roles: [placed(one)] })),
        fc.constantFrom('data', 'ops').map((group) => ({ ...bound('nobody', 'Runner'), groups: [group] })),
      ),
      { maxLength: 5 },
    );
    const asked = fc.array(
      fc.tuple(
        fc.constantFrom(...names),
        fc.subarray(['data', 'ops', 'pool:etl', 'pool:ml']).map((groups) => of(groups)),
      ),
      { maxLength: 8 },
    );
    const told = (by: Policy, name: string, attributes: Attributes) => {
      const { roles, allowed, denied } = by.grants(name, attributes);
      const rulings = ALL_PERMISSIONS.map((one) => by.grants(name, attributes).rule({ needs: [one] }));
      return { roles, allowed: [...allowed], denied: [...denied], rulings };
    };
    fc.assert(
      fc.property(bindings, asked, (all, questions) => {
        const many = policy([], all);
        for (const [name, attributes] of questions) {
          const alone = policy([], all);
          expect(told(many, name, attributes)).toEqual(told(alone, name, attributes));
        }
      }),
    );
  });
});

describe('a pool in the certificate', () => {
  const said = (...groups: string[]) => ({ groups, values: [] });
  const anyScope = fc.option(
    fc.record({
      pools: fc.option(fc.uniqueArray(fc.constantFrom('etl', 'ml', 'web'), { minLength: 1 })),
      tag: fc.option(fc.constantFrom('a', 'b')),
      torn: fc.constant(false),
    }),
  );
  const anyBindings = fc.array(fc.record({ name: fc.constantFrom('Viewer', 'Worker', 'Owner'), scope: anyScope }), {
    maxLength: 4,
  });
  const operations = [
    CREATE_FLOW,
    HEALTH,
    findOperation('POST', '/api/work_pools/etl/get_scheduled_flow_runs'),
    findOperation('POST', '/api/events/filter'),
    null,
  ];
  const reaches = (scope: Scope | null, pool: string, tag: string): boolean =>
    scope === null || holds(scope, pool, [tag]);

  test('never gives more than the policy does, and nothing outside of it', () => {
    fc.assert(
      fc.property(
        anyBindings,
        fc.uniqueArray(fc.constantFrom<string>('etl', 'ml'), { minLength: 1 }),
        (made, pools) => {
          const compiled = policy(
            [],
            made.map(({ name, scope }) => ({ ...bound('worker/a', name), scope })),
          );
          for (const operation of operations) {
            const before = compiled.grants('worker/a', said('Data')).rule(operation);
            const after = compiled
              .grants('worker/a', said('Data', ...pools.map((pool) => `pool:${pool}`)))
              .rule(operation);
            if (!after.permit) continue;
            if (!before.permit) throw new Error('the certificate widened the policy');
            expect(after.scope?.certified?.pools).toEqual(pools);
            for (const pool of ['etl', 'ml', 'web']) {
              for (const tag of ['a', 'b', 'none']) {
                const [was, is] = [reaches(before.scope, pool, tag), reaches(after.scope, pool, tag)];
                expect(is).toBe(was && pools.includes(pool));
              }
            }
          }
        },
      ),
    );
  });
  test('leaves no Owner: what nobody knows could be about any', () => {
    const compiled = policy([], [bound('worker/a', 'Owner')]);
    expect(compiled.grants('worker/a', said('pool:etl')).rule(null).permit).toBe(false);
    // Nor is what was worked out for one certificate of an identity another's.
    expect(compiled.grants('worker/a').rule(null).permit).toBe(true);
    expect(compiled.grants('worker/a', said('pool:ml')).rule(CREATE_FLOW)).toMatchObject({ scope: { pools: ['ml'] } });
    expect(compiled.grants('worker/a', said('pool:etl')).rule(CREATE_FLOW)).toMatchObject({
      scope: { pools: ['etl'] },
    });
  });
});
