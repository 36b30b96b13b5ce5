// Makes identity.rules ready for use: each pattern compiled, each template taken apart, every mistake found while the
// configuration is read and not when a worker knocks. A template is an identity's name with captures in it, worker/$1
// or worker/$<name>; what it may become is checked again each time it is filled in (identify.ts).
import { CertgateError, isCertgateError, shown } from '../errors.ts';
import type { Captures } from './automaton.ts';
import { kindOf } from './name.ts';
import { compilePattern, type Pattern, PatternFault } from './pattern.ts';

/** The places a pattern may look at: subject attributes, or SANs of a type (`email` is the rfc822Name SAN only). */
export type PatternSource = 'CN' | 'OU' | 'O' | 'DNS' | 'URI' | 'email';

/** One way from a certificate to a name. `match` must match the whole value, in `compilePattern`'s syntax. */
export type IdentityRule =
  | { readonly from: 'spiffe' }
  | { readonly from: PatternSource; readonly match: string; readonly as: string };

/** What certgate does without configuration: the SPIFFE ID that it writes itself. */
export const defaultRules: readonly IdentityRule[] = [{ from: 'spiffe' }];

export interface SpiffeRule {
  readonly label: string;
  readonly from: 'spiffe';
}

export interface PatternRule {
  /** `identity.rules[0]` */
  readonly label: string;
  readonly from: PatternSource;
  readonly pattern: Pattern;
  readonly template: Template;
}

/** Literal text and group numbers in turn. */
export interface Template {
  readonly parts: ReadonlyArray<string | number>;
  /** The pattern that the numbers are about, for messages. */
  readonly source: string;
}

/** Rules ready for `identify`, in the order that decides. */
export interface CompiledRules {
  readonly rules: ReadonlyArray<SpiffeRule | PatternRule>;
}

/** Checks and compiles rules; their order is kept. CG_IDENTITY_RULE with the first one that cannot be used. */
export function compileRules(rules: readonly IdentityRule[]): CompiledRules {
  if (rules.length === 0) throw ruleFault('identity.rules', 'is empty: no certificate would be anybody');
  return { rules: rules.map((rule, index) => compileRule(rule, `identity.rules[${index}]`)) };
}

function compileRule(rule: IdentityRule, label: string): SpiffeRule | PatternRule {
  if (rule.from === 'spiffe') return { label, from: 'spiffe' };
  try {
    const pattern = compilePattern(rule.match);
    const template = { parts: readTemplate(rule.as, pattern, label), source: pattern.source };
    return { label, from: rule.from, pattern, template };
  } catch (error) {
    if (error instanceof PatternFault) throw ruleFault(label, `match ${shown(rule.match)}: ${error.message}`);
    throw error;
  }
}

/** The parts of a template with captures of `pattern`. CG_IDENTITY_RULE. */
export function readTemplate(text: string, pattern: Captured, label: string): Template['parts'] {
  const parts = text.split(/(\$\d+|\$<[^>]*>)/).filter((part) => part !== '');
  const template = parts.map((part) => (part.startsWith('$') ? groupOf(part, pattern, label) : part));
  for (const part of template) {
    if (typeof part === 'string' && !/^[a-z0-9._/-]+$/.test(part)) {
      throw ruleFault(
        label,
        `as ${shown(text)}: ${shown(part)} cannot stand in a name; captures are written $1 or $<name>`,
      );
    }
  }
  checkKind(text, template, label);
  return template;
}

type Captured = Pick<Pattern, 'source' | 'groups' | 'names'>;

function groupOf(reference: string, pattern: Captured, label: string): number {
  const group = reference.startsWith('$<') ? pattern.names.get(reference.slice(2, -1)) : Number(reference.slice(1));
  if (group === undefined || group < 1 || group > pattern.groups) {
    throw ruleFault(label, `as refers to ${shown(reference)}, but match ${shown(pattern.source)} has no such group`);
  }
  return group;
}

/** When the kind is written out, it must be one that a client can have. */
function checkKind(text: string, template: ReadonlyArray<string | number>, label: string): void {
  const [first] = template;
  if (first === undefined) throw ruleFault(label, 'as is empty');
  if (typeof first === 'number' || !(first.includes('/') || template.length === 1)) return;
  try {
    if (kindOf(first) !== 'gate') return;
  } catch (error) {
    if (!isCertgateError(error, 'CG_IDENTITY_NAME')) throw error;
  }
  throw ruleFault(label, `as ${shown(text)} does not begin with worker/, user/ or service/`);
}

function ruleFault(rule: string, problem: string): CertgateError {
  return new CertgateError('CG_IDENTITY_RULE', { rule, problem });
}

/**
 * The template filled in, or why it cannot be. A capture may hold a `/` only when it is the whole template: otherwise a
 * value such as CN=admin/x could choose more of its name than the place it was given.
 */
export function fillTemplate({ parts, source }: Template, captures: Captures): { name: string } | { problem: string } {
  let name = '';
  for (const part of parts) {
    const text = typeof part === 'number' ? captures[part] : part;
    if (text === undefined) return { problem: `group ${part} of ${shown(source)} is empty` };
    if (typeof part === 'number' && parts.length > 1 && text.includes('/')) {
      return { problem: `${shown(text)} would take more than one segment of the name` };
    }
    name += text;
  }
  return { name };
}
