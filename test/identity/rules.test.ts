import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isCertgateError } from '../../src/errors.ts';
import { compileRules, type IdentityRule } from '../../src/identity/identify.ts';

function problemOf(rules: readonly IdentityRule[]): string {
  try {
    compileRules(rules);
  } catch (error) {
    if (isCertgateError(error, 'CG_IDENTITY_RULE')) return error.message;
    throw error;
  }
  return expect.unreachable('compiled');
}

const rule = (match: string, as: string): IdentityRule => ({ from: 'CN', match, as });

describe('rules', () => {
  test('are compiled in their order, each under the name it has in the configuration', () => {
    const { rules } = compileRules([rule('(a)', 'worker/$1'), { from: 'spiffe' }]);
    expect(rules.map(({ label, from }) => `${label} ${from}`)).toEqual([
      'identity.rules[0] CN',
      'identity.rules[1] spiffe',
    ]);
  });

  test('must be at least one', () => {
    expect(problemOf([])).toContain('identity.rules: is empty');
  });

  test.each([
    ['worker/$1', '(a)'],
    ['worker/$<n>', '(?<n>a)'],
    ['$1', '(a)'],
    ['$<kind>/$<n>', '(?<kind>a)(?<n>b)'],
    ['worker/$2-$1', '(a)(b)'],
    ['worker/everybody', 'a'],
    ['work$1', '(er/x)'],
  ])('may have the template %s', (as, match) => {
    expect(compileRules([rule(match, as)]).rules).toHaveLength(1);
  });

  test.each([
    ['worker/$2', '(a)', 'no such group'],
    ['worker/$0', '(a)', 'no such group'],
    ['worker/$<n>', '(a)', 'no such group'],
    ['worker/$<__proto__>', '(?<n>a)', 'no such group'],
    ['worker/$', '(a)', 'cannot stand in a name'],
    ['worker/$x', '(a)', 'cannot stand in a name'],
    ['worker/$'.concat('{1}'), '(a)', 'cannot stand in a name'],
    ['worker/A$1', '(a)', 'cannot stand in a name'],
    ['worker/ $1', '(a)', 'cannot stand in a name'],
    ['worker', '(a)', 'does not begin with'],
    ['gate/$1', '(a)', 'does not begin with'],
    ['root/$1', '(a)', 'does not begin with'],
    ['/worker/$1', '(a)', 'does not begin with'],
    ['', '(a)', 'is empty'],
  ])('may not have the template %s for %s', (as, match, reason) => {
    expect(problemOf([{ from: 'spiffe' }, rule(match, as)])).toContain(reason);
    expect(problemOf([{ from: 'spiffe' }, rule(match, as)])).toContain('identity.rules[1]');
  });

  test('name the pattern that cannot be used', () => {
    expect(problemOf([rule('(a+)+', 'worker/$1')])).toBe(
      'identity.rules[0]: match "(a+)+": nested quantifiers: + repeats a group that has one inside',
    );
  });

  test('of arbitrary text are compiled or refused with their code', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (match, as) => {
        try {
          compileRules([rule(match, as)]);
        } catch (error) {
          expect(isCertgateError(error, 'CG_IDENTITY_RULE')).toBe(true);
        }
      }),
    );
  });
});
