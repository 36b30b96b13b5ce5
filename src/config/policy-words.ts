// What a policy says once it has been read and checked, as plain data: it can go to another thread or process, which makes
// the policy of it without having to read YAML.
import { compilePattern, type Pattern } from '../identity/pattern.ts';
import type { PolicyTest } from '../policy/explain.ts';
import {
  type Attributes,
  type BindingSource,
  compilePolicy,
  type Policy,
  type PolicySource,
  type RoleSource,
} from '../policy/policy.ts';

/** A binding with its patterns as they are written, all good. */
export interface BindingWords extends Omit<BindingSource, 'matches' | 'certificate'> {
  /** None when it has none. */
  readonly patterns: readonly string[];
  readonly certificate: ReadonlyArray<{ readonly attribute: string; readonly patterns: readonly string[] }> | null;
}

export interface PolicyWords extends Omit<PolicySource, 'bindings'> {
  readonly bindings: readonly BindingWords[];
  readonly tests: readonly PolicyTest[];
}

export interface ReadPolicy {
  readonly policy: Policy;
  readonly roles: readonly RoleSource[];
  readonly bindings: readonly BindingSource[];
  readonly tests: readonly PolicyTest[];
  /** What it was made from. */
  readonly words: PolicyWords;
}

type Match = Pattern['match'];

/** Its patterns, as often as they stand in it. */
export function* patternsIn({ bindings }: PolicyWords): Generator<string> {
  for (const { patterns, certificate } of bindings) {
    yield* patterns;
    for (const asked of certificate ?? []) yield* asked.patterns;
  }
}

/** Makes the policy; `matches` has patterns that were compiled already. */
export function policyFrom(words: PolicyWords, matches: ReadonlyMap<string, Match> = new Map()): ReadPolicy {
  const matchOf = (pattern: string): Match => matches.get(pattern) ?? compilePattern(pattern).match;
  const bindings = words.bindings.map((one) => bindingFrom(one, matchOf));
  const { roles, tests } = words;
  return { policy: compilePolicy({ ...words, bindings }), roles, bindings, tests, words };
}

function bindingFrom(
  { patterns, certificate, ...rest }: BindingWords,
  matchOf: (pattern: string) => Match,
): BindingSource {
  const matchers = patterns.map(matchOf);
  return {
    ...rest,
    matches: matchers.length === 0 ? null : (identity) => matchers.some((match) => match(identity) !== null),
    certificate: certificate === null ? null : certificateFrom(certificate, matchOf),
  };
}

/** What a certificate has to say: of each attribute that is named, one value that one of its patterns matches. */
function certificateFrom(
  certificate: NonNullable<BindingWords['certificate']>,
  matchOf: (pattern: string) => Match,
): (says: Attributes['values']) => boolean {
  const asked = certificate.map(({ attribute, patterns }) => ({ attribute, matchers: patterns.map(matchOf) }));
  return (values) =>
    asked.every(({ attribute, matchers }) =>
      values.some(([name, value]) => name === attribute && matchers.some((match) => match(value) !== null)),
    );
}
