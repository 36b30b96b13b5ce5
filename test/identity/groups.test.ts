import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isGroupName, MOST_GROUPS, parseGroups } from '../../src/identity/groups.ts';
import { attributesOf, compileRules, defaultRules, identify } from '../../src/identity/identify.ts';

const groupsOf = (units: readonly string[]) => {
  const subject = units.map((unit) => ['OU', unit] as const);
  const uri = { type: 'URI', value: 'spiffe://prefect.example/user/alice' } as const;
  const facts = {
    subject: [['CN', 'user/alice'] as const, ...subject],
    subjectAltNames: [uri],
    serial: '4f',
    issuer: 'aa',
  };
  return identify(facts, compileRules(defaultRules), 'prefect.example');
};

describe('the groups of an identity', () => {
  test('are the OUs of its certificate, each once, letter by letter', () => {
    expect(groupsOf(['data/etl', 'Admins', 'data/etl'])).toMatchObject({ ok: true, groups: ['data/etl', 'Admins'] });
    expect(groupsOf([])).toMatchObject({ ok: true, groups: [] });
  });

  test('are none of those OUs that no group can be called', () => {
    for (const odd of ['a,b', 'a\nb', ' a', 'a ', '', 'gr\u00fcn', 'a\u202eb', 'x'.repeat(65), '*'])
      expect([odd, groupsOf([odd, 'ok'])]).toMatchObject([odd, { ok: true, groups: ['ok'] }]);
  });

  test('are not cut off where they are too many: the certificate is refused', () => {
    const many = Array.from({ length: MOST_GROUPS + 1 }, (_, i) => `g${i}`);
    expect(groupsOf(many.slice(1))).toMatchObject({ ok: true });
    expect(groupsOf(many)).toMatchObject({ ok: false, code: 'CG_IDENTITY_ODD' });
  });

  test('are among the values that a role can be bound to, which are as they are written and not cut off either', () => {
    expect(groupsOf(['b', 'a\nb'])).toMatchObject({
      ok: true,
      values: [
        ['CN', 'user/alice'],
        ['OU', 'b'],
        ['OU', 'a\nb'],
        ['URI', 'spiffe://prefect.example/user/alice'],
        ['issuer', 'aa'],
      ],
    });
    expect(groupsOf(Array.from({ length: 97 }, () => '*'))).toMatchObject({ ok: true });
    expect(groupsOf(Array.from({ length: 98 }, () => '*'))).toMatchObject({ ok: false, code: 'CG_IDENTITY_ODD' });
  });

  test('are written sorted and each once, and refused with their value when they are no names', () => {
    expect(parseGroups(['b', 'a', 'b'])).toEqual(['a', 'b']);
    expect(() => parseGroups(['a\nb'])).toThrow(/the group "a\\u\{a\}b"/);
    const many = Array.from({ length: MOST_GROUPS + 1 }, (_, i) => `g${i}`);
    expect(() => parseGroups(many)).toThrow(/one of 33/);
    expect(parseGroups(many.slice(1))).toHaveLength(MOST_GROUPS);
  });

  test('are OUs of the certificate that is asked about, and its OUs are groups where they can be, each once', () => {
    const said = attributesOf(
      ['etl', 'data'],
      [
        ['CN', 'alice'],
        ['OU', 'data'],
        ['OU', 'ops'],
        ['OU', 'a, b'],
      ],
    );
    expect(said.groups).toEqual(['etl', 'data', 'ops']);
    expect(said.values).toEqual([
      ['CN', 'alice'],
      ['OU', 'data'],
      ['OU', 'ops'],
      ['OU', 'a, b'],
      ['OU', 'etl'],
    ]);
  });

  test('never hold what would be two in a list, or another line in a log', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 70 }), (text) => {
        if (isGroupName(text)) expect(text).toMatch(/^[\x20-\x7e]{1,64}$/);
        if (/[,;"'\\\n\0]/.test(text)) expect(isGroupName(text)).toBe(false);
      }),
    );
  });
});
