// From the claims of a verified identity token (RFC 7519) to a name and its groups. Ordered rules: the first whose patterns
// all match decides, as with certificates (identify.ts), and what it makes of the claims is taken or refused, never passed
// on to the next rule: a later, wider rule must not catch what an earlier one found odd. A claim is chosen by its name, or,
// with a `/` in front, by a JSON pointer (RFC 6901) to what is inside of one: `/kubernetes.io/serviceaccount/name`. Pure.
import { isCertgateError, shown } from '../errors.ts';
import { isGroupName, MOST_GROUPS, namesPool } from './groups.ts';
import { isIdentityName, kindOf } from './name.ts';
import { compilePattern, type Pattern, PatternFault } from './pattern.ts';
import { fillTemplate, readTemplate, type Template } from './rules.ts';

export interface ClaimRule {
  /** Claim to pattern; each must match the whole value. Captures are numbered through all of them, as written. */
  readonly match: Readonly<Record<string, string>>;
  /** The name's template, as in identity.rules. */
  readonly as: string;
  readonly groups: readonly string[];
  /** A claim that holds further groups, a text or a list of them; null for none. */
  readonly groupsFrom: string | null;
  /** Which of those it is about; null for all. */
  readonly groupsMatch: string | null;
  /** Lifetime of the certificate, ms. */
  readonly ttl: number;
  /** Whether that may be renewed; null to leave it to the issuer's entry. */
  readonly renew: boolean | null;
}

export interface CompiledClaimRule {
  readonly label: string;
  readonly rule: ClaimRule;
  readonly matches: ReadonlyArray<{ readonly claim: string; readonly pattern: Pattern }>;
  readonly template: Template;
  readonly groupsMatch: Pattern | null;
}

export type Claims = Readonly<Record<string, unknown>>;

export interface Vouched {
  readonly ok: true;
  readonly identity: string;
  readonly groups: readonly string[];
  readonly ttlMs: number;
  /** See ClaimRule. */
  readonly renew: boolean | null;
  /** `rules[0]` */
  readonly rule: string;
}

/** Longer values are refused before any pattern sees them. */
const LONGEST_VALUE = 256;
/** Of a list that a rule looks into. */
const MOST_VALUES = 500;
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]/u;

/** Why a rule cannot be used; null when it can. */
export function claimRuleProblem(rule: ClaimRule): string | null {
  try {
    compileClaimRule(rule, 'rule');
    return null;
  } catch (error) {
    if (error instanceof PatternFault) return error.message;
    if (isCertgateError(error, 'CG_IDENTITY_RULE')) return error.facts.problem;
    throw error;
  }
}

/** PatternFault, CG_IDENTITY_RULE. */
export function compileClaimRule(rule: ClaimRule, label: string): CompiledClaimRule {
  const names = new Map<string, number>();
  let groups = 0;
  const matches = Object.entries(rule.match).map(([claim, source]) => {
    const pattern = patternOf(source, `match of ${shown(claim)}`);
    for (const [name, group] of pattern.names) {
      if (names.has(name)) throw new PatternFault(`two groups called ${name}`);
      names.set(name, groups + group);
    }
    groups += pattern.groups;
    return { claim, pattern };
  });
  if (matches.length === 0) throw new PatternFault('match is empty: every token of the issuer would have that name');
  const source = Object.values(rule.match).join(' ');
  const template = readTemplate(rule.as, { source, groups, names }, label);
  const odd = rule.groups.find((group) => !isGroupName(group));
  if (odd !== undefined) throw new PatternFault(`groups has ${shown(odd)}, which is no name of a group`);
  if (rule.groupsMatch !== null && rule.groupsFrom === null) throw new PatternFault('groupsMatch without groupsFrom');
  const groupsMatch = rule.groupsMatch === null ? null : patternOf(rule.groupsMatch, 'groupsMatch');
  return { label, rule, matches, template: { parts: template, source }, groupsMatch };
}

/** Who the claims are about, or why nobody: the reason names the offending value, escaped. Never throws. */
export function identifyClaims(
  claims: Claims,
  rules: readonly CompiledClaimRule[],
): Vouched | { readonly ok: false; readonly reason: string } {
  const passed: string[] = [];
  for (const rule of rules) {
    const found = captured(claims, rule);
    if (typeof found === 'string') passed.push(`${rule.label}: ${found}`);
    else return 'problem' in found ? refuse(`${rule.label}: ${found.problem}`) : vouch(claims, rule, found.captures);
  }
  return refuse(`no rule is about it: ${passed.slice(0, 5).join('; ')}`);
}

function vouch(claims: Claims, compiled: CompiledClaimRule, captures: ReadonlyArray<string | undefined>) {
  const { label, rule, template } = compiled;
  const filled = fillTemplate(template, captures);
  if ('problem' in filled) return refuse(`${label}: ${filled.problem}`);
  const identity = filled.name;
  if (!isIdentityName(identity)) return refuse(`${label}: ${shown(identity)} is no name of an identity`);
  if (kindOf(identity) === 'gate') return refuse(`${label}: ${shown(identity)} names a gate`);
  const groups = groupsOf(claims, compiled);
  if (typeof groups === 'string') return refuse(`${label}: ${groups}`);
  return { ok: true, identity, groups, ttlMs: rule.ttl, renew: rule.renew, rule: label } as const;
}

/** All captures, or why the rule is about somebody else; `problem` when nobody may have such a value. */
function captured(
  claims: Claims,
  { matches }: CompiledClaimRule,
): { captures: ReadonlyArray<string | undefined> } | { problem: string } | string {
  const captures: Array<string | undefined> = [undefined];
  let problem: string | null = null;
  for (const { claim, pattern } of matches) {
    const values = textsAt(claims, claim);
    if (values === null) return `there is no ${shown(claim)}`;
    if (typeof values === 'string') {
      problem = values;
      continue;
    }
    const odd = values.find(isOdd);
    const found = values.map((value) => (isOdd(value) ? null : pattern.match(value)));
    const hits = found.filter((hit) => hit !== null);
    const [hit] = hits;
    if (hit === undefined && odd !== undefined) problem = `${claim} ${shown(odd)} is too long or has unseen characters`;
    else if (hit === undefined) return `${shown(claim)} ${listed(values)} does not match ${shown(pattern.source)}`;
    else if (hits.length > 1 && pattern.groups > 0) {
      problem = `${hits.length} values of ${shown(claim)} match ${shown(pattern.source)}, which takes a part of one`;
    } else captures.push(...hit.slice(1));
  }
  return problem === null ? { captures } : { problem };
}

function groupsOf(claims: Claims, { rule, groupsMatch }: CompiledClaimRule): readonly string[] | string {
  const { groupsFrom } = rule;
  const said = groupsFrom === null ? [] : (textsAt(claims, groupsFrom) ?? []);
  if (typeof said === 'string') return said;
  const chosen = said.filter((value) => groupsMatch === null || (!isOdd(value) && groupsMatch.match(value) !== null));
  const odd = chosen.find((value) => !isGroupName(value));
  if (odd !== undefined) return `${shown(odd)} in ${shown(groupsFrom ?? '')} is no name of a group; see groupsMatch`;
  // Pools narrow, and several of them less than one: where the rule says which, no claim adds to them.
  const pooled = rule.groups.some(namesPool);
  const all = [...new Set([...rule.groups, ...chosen.filter((value) => !pooled || !namesPool(value))])];
  return all.length > MOST_GROUPS ? `${all.length} groups, more than ${MOST_GROUPS}; see groupsMatch` : all;
}

function isOdd(value: string): boolean {
  return value.length > LONGEST_VALUE || UNSEEN.test(value);
}

/**
 * The values of a claim as text, one where it is no list; null when there is none. Where it can't be read whole, why: what is
 * missing may be what a rule looks for, and who is in many groups can have it be missing.
 */
function textsAt(claims: Claims, claim: string): readonly string[] | string | null {
  const isPointer = claim.startsWith('/');
  const value = isPointer ? pointedAt(claims, claim) : own(claims, claim);
  if (value === undefined || value === null) {
    // Also what is too much for a token: Entra ID so leaves out the groups of who is in more than 200.
    const [holder = ''] = isPointer ? stepsOf(claim) : [claim];
    const isElsewhere = own(own(claims, '_claim_names'), holder) !== undefined;
    return isElsewhere ? `${shown(claim)} is kept elsewhere (_claim_names), so it is not known` : null;
  }
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (values.length > MOST_VALUES) return `${shown(claim)} has more than ${MOST_VALUES} values`;
  const texts = values.map(textOf);
  if (texts.every((text) => text !== null)) return texts;
  const odd = JSON.stringify(values[texts.indexOf(null)]) ?? '';
  return `${shown(claim)} has what is no text: ${shown(odd.slice(0, LONGEST_VALUE))}`;
}

function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value;
  return typeof value === 'boolean' || Number.isSafeInteger(value) ? String(value) : null;
}

function pointedAt(claims: Claims, pointer: string): unknown {
  return stepsOf(pointer).reduce<unknown>(own, claims);
}

function stepsOf(pointer: string): readonly string[] {
  const steps = pointer.slice(1).split('/');
  return steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** Never what every object has. */
function own(holder: unknown, key: string): unknown {
  if (typeof holder !== 'object' || holder === null || Array.isArray(holder)) return undefined;
  return Object.hasOwn(holder, key) ? (holder as Claims)[key] : undefined;
}

function patternOf(source: string, what: string): Pattern {
  try {
    return compilePattern(source);
  } catch (error) {
    if (error instanceof PatternFault) throw new PatternFault(`${what}: ${error.message}`, { cause: error });
    throw error;
  }
}

function listed(values: readonly string[]): string {
  const first = values.slice(0, 3).map((value) => shown(value.slice(0, LONGEST_VALUE)));
  return values.length > 3 ? `${first.join(', ')}, …` : first.join(', ');
}

function refuse(reason: string): { readonly ok: false; readonly reason: string } {
  return { ok: false, reason };
}
