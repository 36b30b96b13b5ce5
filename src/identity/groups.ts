// The groups that an identity belongs to, as its certificate says them: one OU each. They come from whoever vouches for the
// identity, a person at the CA or an identity provider, and roles can be given to them. Bounded and plain, so that a group
// can stand in a log, a list and a policy without a second reading; kept letter by letter, upper case too.
import { CertgateError } from '../errors.ts';

/** Of one identity. */
export const MOST_GROUPS = 32;
/** Characters: what an OU may have (ub-organizational-unit-name, RFC 5280 appendix A). */
const GROUP = /^[A-Za-z0-9_/](?:[A-Za-z0-9 ._:@/+-]{0,62}[A-Za-z0-9_])?$/;

export function isGroupName(text: string): boolean {
  return GROUP.test(text);
}

/** Whether a group keeps whoever has it to a work pool, by policy/scope.ts. */
export function namesPool(group: string): boolean {
  return group.startsWith('pool:');
}

/** The groups, each once, sorted. CG_GROUP when one is no group's name, or they are too many. */
export function parseGroups(groups: readonly string[]): readonly string[] {
  const odd = groups.find((group) => !isGroupName(group));
  if (odd !== undefined) {
    throw new CertgateError('CG_GROUP', { group: odd, problem: 'it is no name of a group' });
  }
  const each = [...new Set(groups)].toSorted();
  if (each.length > MOST_GROUPS) {
    const problem = `it is one of ${each.length}, and an identity has ${MOST_GROUPS} at most`;
    throw new CertgateError('CG_GROUP', { group: each[MOST_GROUPS] ?? '', problem });
  }
  return each;
}
