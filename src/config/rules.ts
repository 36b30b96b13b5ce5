// The rules of `identity.rules` are compiled once while the configuration is loaded, each on its own, so that every bad
// rule is reported at its line and not only the first. Pure.
import * as z from 'zod/mini';
import { isCertgateError } from '../errors.ts';
import { compileRules, type IdentityRule } from '../identity/identify.ts';
import type { Given, Problem } from './given.ts';

const SOURCES = ['CN', 'OU', 'O', 'DNS', 'URI', 'email'] as const;

/** What a rule may look like. */
export const identityRule = z.union([
  z.strictObject({ from: z.literal('spiffe') }),
  z.strictObject({
    from: z.enum(SOURCES),
    match: z.string().check(z.minLength(1)),
    as: z.string().check(z.minLength(1)),
  }),
]);

/** One problem for each rule that does not compile. `given` has already passed the schema. */
export function ruleProblems(given: Given): Problem[] {
  const rules = given.value as readonly IdentityRule[];
  return rules.flatMap((rule, index) => {
    try {
      compileRules([rule]);
      return [];
    } catch (error) {
      if (!isCertgateError(error, 'CG_IDENTITY_RULE')) throw error;
      const name = `${given.leaf.path}[${index}]`;
      return [{ place: given.placeOf([index]), problem: `${name}: ${error.facts.problem}`, remedy: error.hint }];
    }
  });
}
