// Scopes: how those of several bindings come together, and what a policy's grants say of them.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readPolicy } from '../../src/config/policy-file.ts';
import { runTests } from '../../src/policy/explain.ts';
import { findOperation } from '../../src/policy/operation.ts';
import { type Policy, reachesToo } from '../../src/policy/policy.ts';
import {
  certified,
  holds,
  isPoolGroup,
  joined,
  met,
  poolGroup,
  poolsIn,
  type Scope,
  scopeKey,
  scopeWords,
} from '../../src/policy/scope.ts';

const pools = (...names: string[]): Scope => ({ pools: names, tag: null, torn: false });
const tag = (name: string): Scope => ({ pools: null, tag: name, torn: false });
const RUNS = findOperation('POST', '/api/flow_runs/filter');
const EVENTS = findOperation('POST', '/api/events');

function policyOf(text: string): Policy {
  const read = readPolicy(text, 'policy.yaml');
  if (!read.ok) throw new Error(JSON.stringify(read.problems));
  return read.policy;
}

describe('scopes', () => {
  test('of two bindings reach where either does, and where that cannot be said nowhere', () => {
    expect(joined(pools('a'), null)).toBeNull();
    expect(joined(pools('a'), pools('b', 'a'))).toEqual(pools('a', 'b'));
    expect(joined(tag('t'), tag('t'))).toEqual(tag('t'));
    for (const [a, b] of [
      [tag('t'), tag('u')],
      [tag('t'), pools('a')],
      [{ ...pools('a'), tag: 't' }, pools('a')],
    ] as const) {
      const scope = joined(a, b);
      expect(scope?.torn).toBe(true);
      expect(scope === null || holds(scope, 'a', ['t', 'u'])).toBe(false);
    }
  });

  test('of two permissions reach where both do', () => {
    expect(met(null, pools('a'))).toEqual(pools('a'));
    expect(met(pools('a', 'b'), pools('b', 'c'))).toEqual(pools('b'));
    expect(met(pools('a'), tag('t'))).toEqual({ pools: ['a'], tag: 't', torn: false });
    expect(met(tag('t'), tag('u'))?.torn).toBe(true);
  });

  const anyScope = fc.option(
    fc.record<Scope>({
      pools: fc.option(fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { minLength: 1 })),
      tag: fc.option(fc.constantFrom('t', 'u')),
      torn: fc.oneof({ arbitrary: fc.constant(false), weight: 5 }, fc.constant(true)),
    }),
  );
  const things = [null, 'a', 'b', 'c'].flatMap((pool) =>
    [[], ['t'], ['u'], ['t', 'u']].map((tags) => ({ pool, tags })),
  );
  const reached = (scope: Scope | null) => things.map(({ pool, tags }) => scope === null || holds(scope, pool, tags));

  test('that are joined or met are never more than what is said of them, and less only where that cannot be said', () => {
    fc.assert(
      fc.property(anyScope, anyScope, (a, b) => {
        const [one, other] = [reached(a), reached(b)];
        const either = one.map((is, i) => is || other[i] === true);
        const both = one.map((is, i) => is && other[i] === true);
        const [union, cut] = [joined(a, b), met(a, b)];
        const anyTorn = a?.torn === true || b?.torn === true;
        const [apart, lacking] = [a?.tag !== b?.tag, (a?.pools === null) !== (b?.pools === null)];
        if (union?.torn === true) expect(anyTorn || apart || lacking).toBe(true);
        else expect(reached(union)).toEqual(either);
        if (cut?.torn === true) expect(anyTorn || (apart && a?.tag !== null && b?.tag !== null)).toBe(true);
        else expect(reached(cut)).toEqual(both);
        if (a !== null && b !== null) expect(union?.torn === true || !anyTorn).toBe(true);
        if (anyTorn) expect(cut?.torn).toBe(true);
      }),
    );
  });

  test('have one key each, whatever the words in them', () => {
    const keys = [
      null,
      pools(),
      pools('a'),
      pools('a', 'b'),
      pools('a,b'),
      tag('a'),
      tag('b'),
      { ...pools('a'), torn: true },
    ];
    expect(new Set([...keys, ...keys.map((one) => structuredClone(one))].map(scopeKey)).size).toBe(keys.length);
  });

  test('are named by groups that begin with pool:', () => {
    expect([poolGroup('etl'), isPoolGroup('pool:etl'), isPoolGroup('my-pool:etl')]).toEqual(['pool:etl', true, false]);
    expect(poolsIn(['Data', 'pool:etl', 'my-pool:x', 'pool:a:b'])).toEqual(['etl', 'a:b']);
  });

  test('hold what is in a pool, carries the tag, or both', () => {
    expect([holds(pools('a'), 'a', []), holds(pools('a'), 'b', []), holds(pools('a'), null, [])]).toEqual([
      true,
      false,
      false,
    ]);
    expect([holds(tag('t'), null, ['s', 't']), holds(tag('t'), 'a', [])]).toEqual([true, false]);
    const both: Scope = { ...pools('a'), tag: 't' };
    expect([holds(both, 'a', ['t']), holds(both, 'a', []), holds(both, 'b', ['t'])]).toEqual([true, false, false]);
  });

  test('are said in words', () => {
    expect(scopeWords(pools('a', 'b'))).toBe('the pools a, b');
    expect(scopeWords({ ...pools('a'), tag: 't' })).toBe('the pool a and the tag t');
    expect(scopeWords(tag('t'))).toBe('the tag t');
    expect(scopeWords({ ...tag('t'), torn: true })).toBe('two scopes that cannot be joined');
    expect(scopeWords(certified(pools('a', 'b'), ['b']) ?? pools())).toBe('the pool b of its certificate');
  });

  test('that have nothing in common say what each is for, be one a certificate or a permission', () => {
    expect(scopeWords(certified(pools('a'), ['b', 'c']) ?? pools('x'))).toBe(
      'no pool, for its certificate is for the pools b, c, and the policy gives it the pool a',
    );
    const apart = 'no pool, for the permissions that it needs are given for different pools';
    expect(scopeWords(met(pools('a'), pools('b')) ?? pools('x'))).toBe(apart);
    expect(scopeWords(certified(met(pools('a'), pools('b')), ['a']) ?? pools('x'))).toBe(apart);
  });
});

describe('a policy', () => {
  test('says how far what it permits goes: not at all limited where any binding is not', () => {
    const policy = policyOf(`bindings:
  - {role: Worker, match: 'worker/.*', pools: [etl]}
  - {role: Viewer, identity: worker/two}
  - {role: Worker, identity: worker/three, pools: [ml]}
  - {role: Worker, identity: worker/four, tag: team-a}
`);
    const scope = (name: string, operation: typeof RUNS) => {
      const ruling = policy.grants(`worker/${name}`).rule(operation);
      return ruling.permit ? ruling.scope : 'refused';
    };
    expect(scope('one', RUNS)).toEqual(pools('etl'));
    expect([scope('two', RUNS), scope('two', EVENTS)]).toEqual([null, pools('etl')]);
    expect(scope('three', RUNS)).toEqual(pools('ml', 'etl'));
    expect(scope('four', RUNS)).toMatchObject({ torn: true });
    const viewer = policy.grants('worker/two').rule(RUNS);
    expect(viewer.permit && viewer.rule).toBe('policy.yaml:3:5');
  });

  test('lets what needs two permissions go only as far as both do', () => {
    const grants = policyOf(`roles:
  sees: {permissions: [see_flows]}
  runs: {permissions: [run_flows, see_events]}
bindings:
  - {role: sees, identity: user/a, pools: [etl, ml]}
  - {role: runs, identity: user/a, pools: [ml]}
`).grants('user/a');
    const reach = (...needs: ReadonlyArray<'see_flows' | 'run_flows' | 'see_events'>) => {
      const ruling = grants.rule({ needs });
      return ruling.permit ? ruling.scope?.pools : ruling.why;
    };
    expect([reach('see_flows'), reach('see_flows', 'run_flows')]).toEqual([['etl', 'ml'], ['ml']]);
    expect(reach('run_flows', 'see_flows', 'see_events')).toEqual(['ml']);
    // As far as another does: everywhere, or just as far.
    const too = (scope: Scope | null) => reachesToo(grants, { needs: ['run_flows'] }, scope);
    expect([too(pools('ml')), too(pools('etl')), too(pools('etl', 'ml')), too(null)]).toEqual([
      true,
      false,
      false,
      false,
    ]);
    const boss = policyOf('bindings: [{role: Owner, identity: user/a}]\n').grants('user/a');
    for (const scope of [null, pools('ml'), tag('t')]) {
      expect(reachesToo(boss, { needs: ['run_flows'] }, scope)).toBe(true);
      expect(reachesToo(policyOf('{}\n').grants('user/a'), { needs: ['run_flows'] }, scope)).toBe(false);
    }
  });

  test('binds groups, letter by letter, beside the names of their members, and keeps them apart', () => {
    const policy = policyOf(`bindings:
  - {role: Viewer, group: [Data, Ops]}
  - {role: Runner, group: Ops, identity: user/boss}
`);
    const roles = (name: string, ...groups: string[]) =>
      policy.grants(name, { groups, values: [] }).roles.map((one) => one.role);
    expect(roles('user/a')).toEqual([]);
    expect(roles('user/a', 'Data', 'Other')).toEqual(['Viewer']);
    expect(roles('user/a', 'Ops')).toEqual(['Viewer', 'Runner']);
    expect(roles('user/a', 'data', 'Dat', 'Data2')).toEqual([]);
    expect(roles('user/boss', 'Ops')).toEqual(['Runner', 'Viewer']);
    expect(roles('user/aOps')).toEqual([]);
    expect(roles('user/a')).toEqual([]);
  });

  test('binds what a certificate says: all that is asked, each by one whole value, beside names, and keeps them apart', () => {
    const policy = policyOf(`bindings:
  - {role: Viewer, certificate: {O: Data}}
  - {role: Runner, certificate: {O: ['Data', 'Ops'], DNS: '[a-z]+\\.etl\\.example'}}
  - {role: Developer, certificate: {issuer: aa}, identity: user/boss}
  - {role: Worker, group: '0', identity: user/c}
`);
    type Values = ReadonlyArray<readonly [string, string]>;
    const roles = (name: string, ...values: Values) =>
      policy.grants(name, { groups: [], values }).roles.map((one) => one.role);
    expect(roles('user/a', ['O', 'Data'])).toEqual(['Viewer']);
    expect(roles('user/a', ['O', 'data'], ['O', 'Data2'], ['OU', 'Data'])).toEqual([]);
    expect(roles('user/a', ['O', 'Data'], ['DNS', 'a.etl.example'])).toEqual(['Viewer', 'Runner']);
    expect(roles('user/a', ['O', 'Ops'], ['DNS', 'x'], ['DNS', 'a.etl.example'])).toEqual(['Runner']);
    expect(roles('user/a', ['DNS', 'a.etl.example'])).toEqual([]);
    expect(roles('user/a', ['O', 'Ops'], ['DNS', 'a.etl.example.org'])).toEqual([]);
    expect([roles('user/a', ['issuer', 'aa']), roles('user/boss')]).toEqual([['Developer'], ['Developer']]);
    expect(roles('user/boss', ['O', 'Data'], ['issuer', 'aa'])).toEqual(['Developer', 'Viewer']);
    expect(policy.grants('user/a', { groups: ['0'], values: [] }).roles.map((one) => one.role)).toEqual(['Worker']);
    const same = { groups: [], values: [['O', 'Data']] } as const;
    expect(policy.grants('user/a', same)).toBe(policy.grants('user/a', { ...same }));
    expect([policy.grants('user/boss', same), policy.grants('user/a', same)].map((one) => one.roles.length)).toEqual([
      2, 1,
    ]);
  });

  test.each([
    ['{}', 'certificate has no condition'],
    ['{o: Data}', 'there is no key o here'],
    ["{O: '('}", 'the pattern "(" cannot be used: Invalid regular expression: /(/u: Unterminated group'],
    ['{O: []}', 'O has no condition'],
    ['{O: [[a]]}', 'a pattern is wanted here'],
    ['Data', 'keys are wanted here'],
  ])('with certificate: %s is refused', (certificate, problem) => {
    const read = readPolicy(`bindings:\n  - {role: Worker, certificate: ${certificate}}\n`, 'p.yaml');
    expect(read.ok ? [] : read.problems.map((one) => one.problem)).toEqual([problem]);
  });

  test('asks its own tests with what a certificate says, a group among it', () => {
    const policy = (tests: string) => `bindings:
  - {role: Viewer, certificate: {O: Data, OU: Ops}}
  - {role: Runner, group: Dev}
tests:
${tests}`;
    const outcome = (words: string): boolean[] => {
      const read = readPolicy(policy(`  - {identity: user/a, ${words}, expect: allow}\n`), 'p.yaml');
      if (!read.ok) throw new Error(JSON.stringify(read.problems));
      return runTests(read.policy, read.tests).map((one) => one.passed);
    };
    expect(outcome('operation: read_flows, certificate: {O: Data, OU: Ops}')).toEqual([true]);
    expect(outcome('operation: read_flows, certificate: {O: Data}, groups: Ops')).toEqual([true]);
    expect(outcome('operation: read_flows, certificate: {O: Data}')).toEqual([false]);
    expect(outcome('operation: create_flow_run_from_deployment, certificate: {OU: Dev}')).toEqual([true]);
  });

  test('gives an Owner within a scope nothing that the table does not know', () => {
    const policy = policyOf('bindings: [{role: Owner, identity: user/a, tag: t}]\n');
    expect(policy.grants('user/a').rule(null)).toMatchObject({ permit: false, why: 'unknown' });
  });

  test.each([
    ['pools: []', 'this binding is for no pool'],
    ['pools:', 'this binding is for no pool'],
    ['tag:', 'one tag is wanted here'],
    ['tag: [a, b]', 'one tag is wanted here'],
    ['pool: etl', 'there is no key pool here'],
  ])('with %s is refused, never read as everywhere', (key, problem) => {
    const read = readPolicy(`bindings:\n  - role: Worker\n    identity: worker/a\n    ${key}\n`, 'p.yaml');
    expect(read.ok ? [] : read.problems.map((one) => one.problem)).toEqual([problem]);
  });

  test('has roles that only observe, which roles that extend them do not', () => {
    const policy = policyOf(`roles:
  trial: {extends: [Viewer], mode: observe}
  more: {extends: [trial]}
bindings:
  - {role: trial, identity: user/a}
  - {role: more, identity: user/b}
`);
    expect([policy.grants('user/a').observes, policy.grants('user/b').observes]).toEqual([true, false]);
  });
});
