// Who a verified certificate speaks for. Ordered rules, first one that finds a name wins; everything doubtful is refused,
// never repaired and never passed on to the next rule: two SPIFFE IDs, several values where a rule looks for one, a name
// of another trust domain, a name that is not exactly one (SPIFFE X509-SVID §2, §5.2; name.ts). Pure: it trusts that the
// TLS layer verified the chain and that the facts were read exactly (src/pki/facts.ts), and looks at nothing else.
import { shown } from '../errors.ts';
import { isGroupName, MOST_GROUPS } from './groups.ts';
import { isIdentityName, kindOf } from './name.ts';
import { type CompiledRules, fillTemplate, type PatternRule, type PatternSource } from './rules.ts';

export { type CompiledRules, compileRules, defaultRules, type IdentityRule, type PatternSource } from './rules.ts';

/** What a certificate says, as `factsOf` in src/pki reads it: strings exactly as written. */
export interface CertificateFacts {
  /** In the certificate's order. */
  readonly subject: ReadonlyArray<readonly [attribute: string, value: string]>;
  readonly subjectAltNames: ReadonlyArray<{
    readonly type: 'URI' | 'DNS' | 'email' | 'IP' | 'other';
    readonly value: string;
  }>;
  /** Lower-case hex. */
  readonly serial: string;
  /** Key identifier of its issuer, lower-case hex. */
  readonly issuer: string;
}

export interface Identified {
  readonly ok: true;
  /** A name that `parseIdentityName` accepts, never of kind `gate`. */
  readonly identity: string;
  /** The rule that found it: `identity.rules[0]`. */
  readonly rule: string;
  /** The OUs of its subject that are names of groups, each once; the others are no groups. */
  readonly groups: readonly string[];
  /** What roles can be bound to besides, exactly as it is written. */
  readonly values: ReadonlyArray<readonly [attribute: Attribute, value: string]>;
}

/** Of a certificate: where a pattern of identity.rules may look, and who signed it (key identifier, lower-case hex). */
export type Attribute = PatternSource | 'issuer';
export const ATTRIBUTES: readonly Attribute[] = ['CN', 'O', 'OU', 'DNS', 'email', 'URI', 'issuer'];

/** What a certificate with these groups and values says: a group is an OU, and an OU that can be one is a group. */
export function attributesOf(
  groups: readonly string[],
  values: ReadonlyArray<readonly [attribute: string, value: string]>,
): { readonly groups: readonly string[]; readonly values: ReadonlyArray<readonly [string, string]> } {
  const units = values
    .filter(([attribute, value]) => attribute === 'OU' && isGroupName(value))
    .map(([, value]) => value);
  const more = groups.filter((group) => !units.includes(group));
  return {
    groups: [...new Set([...groups, ...units])],
    values: [...values, ...more.map((one) => ['OU', one] as const)],
  };
}

export type UnidentifiedCode =
  | 'CG_IDENTITY_NONE'
  | 'CG_IDENTITY_AMBIGUOUS'
  | 'CG_IDENTITY_FOREIGN'
  | 'CG_IDENTITY_ODD'
  | 'CG_IDENTITY_RESERVED';

export interface Unidentified {
  readonly ok: false;
  /** `new CertgateError(code, { reason })` makes the error of the catalogue. */
  readonly code: UnidentifiedCode;
  /** Names the offending value, escaped: fit for a log and a terminal. */
  readonly reason: string;
}

/** What one rule makes of a certificate; a string says why it had nothing to say. */
type Finding = Named | Unidentified | string;
type Named = Omit<Identified, 'groups' | 'values'>;

/** Each is looked at by every binding that asks for one. */
const MOST_VALUES = 100;
/** Longer values are refused before any pattern sees them; a name has 128 characters at most. */
const LONGEST_VALUE = 256;
/** Control, formatting (bidi too), private and unassigned characters, lone surrogates, line and paragraph separators. */
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]/u;

/** The identity of a verified certificate, or why it has none. Never throws. Some microseconds. */
export function identify(
  facts: CertificateFacts,
  { rules }: CompiledRules,
  trustDomain: string,
): Identified | Unidentified {
  const spiffeIds = valuesOf(facts, 'URI').filter((uri) => /^spiffe:/i.test(uri));
  if (spiffeIds.length > 1) {
    return refuse('CG_IDENTITY_AMBIGUOUS', `it has ${spiffeIds.length} SPIFFE IDs, ${listed(spiffeIds)}`);
  }
  const passed: string[] = [];
  for (const rule of rules) {
    const finding =
      rule.from === 'spiffe'
        ? bySpiffeId(spiffeIds[0], valuesOf(facts, 'URI'), trustDomain, rule.label)
        : byPattern(facts, rule);
    if (typeof finding !== 'string') return finding.ok ? withAttributes(finding, facts) : finding;
    passed.push(`${rule.label}: ${finding}`);
  }
  return refuse('CG_IDENTITY_NONE', passed.slice(0, 5).join('; '));
}

function withAttributes(named: Named, facts: CertificateFacts): Identified | Unidentified {
  const groups = [...new Set(valuesOf(facts, 'OU').filter(isGroupName))];
  const values = ATTRIBUTES.flatMap((attribute) =>
    (attribute === 'issuer' ? [facts.issuer] : valuesOf(facts, attribute)).map((value) => [attribute, value] as const),
  );
  const many =
    groups.length > MOST_GROUPS
      ? `${groups.length} groups (OU), more than ${MOST_GROUPS}`
      : values.length > MOST_VALUES
        ? `${values.length} names, more than ${MOST_VALUES}`
        : null;
  return many === null ? { ...named, groups, values } : refuse('CG_IDENTITY_ODD', `it has ${many}`);
}

function bySpiffeId(id: string | undefined, uris: readonly string[], trustDomain: string, rule: string): Finding {
  if (id === undefined) return 'no SPIFFE ID';
  if (uris.length > 1)
    return refuse('CG_IDENTITY_AMBIGUOUS', `a SPIFFE ID stands alone among URIs, here are ${listed(uris)}`);
  const own = `spiffe://${trustDomain}/`;
  if (id.startsWith(own)) return nameOrRefusal(id.slice(own.length), id, rule);
  const other = /^spiffe:\/\/([a-z0-9._-]{1,255})\//.exec(id)?.[1];
  if (other === undefined) return refuse('CG_IDENTITY_ODD', `${shown(id)} is not a SPIFFE ID`);
  return refuse('CG_IDENTITY_FOREIGN', `${shown(id)}, where ${shown(trustDomain)} is this one's`);
}

function byPattern(facts: CertificateFacts, rule: PatternRule): Finding {
  const values = [...new Set(valuesOf(facts, rule.from))];
  const [value] = values;
  if (value === undefined) return `no ${rule.from}`;
  if (values.length > 1)
    return refuse('CG_IDENTITY_AMBIGUOUS', `it has ${values.length} values of ${rule.from}, ${listed(values)}`);
  if (value.length > LONGEST_VALUE || UNSEEN.test(value)) {
    return refuse(
      'CG_IDENTITY_ODD',
      `${rule.from} ${shown(value)} is longer than ${LONGEST_VALUE} or has unseen characters`,
    );
  }
  const captures = rule.pattern.match(value);
  if (captures === null) return `${rule.from} ${shown(value)} does not match ${shown(rule.pattern.source)}`;
  const filled = fillTemplate(rule.template, captures);
  if ('problem' in filled) return refuse('CG_IDENTITY_ODD', `${rule.from} ${shown(value)}: ${filled.problem}`);
  return nameOrRefusal(filled.name, `${rule.from} ${value}`, rule.label);
}

function nameOrRefusal(name: string, from: string, rule: string): Named | Unidentified {
  if (!isIdentityName(name)) return refuse('CG_IDENTITY_ODD', `${shown(name)}, from ${shown(from)}`);
  if (kindOf(name) === 'gate') return refuse('CG_IDENTITY_RESERVED', `${shown(name)} names a gate`);
  return { ok: true, identity: name, rule };
}

function valuesOf(facts: CertificateFacts, from: PatternSource): readonly string[] {
  if (from === 'CN' || from === 'OU' || from === 'O') {
    return facts.subject.filter(([attribute]) => attribute === from).map(([, value]) => value);
  }
  return facts.subjectAltNames.filter(({ type }) => type === from).map(({ value }) => value);
}

function listed(values: readonly string[]): string {
  return values.length > 3 ? `${values.slice(0, 3).map(shown).join(', ')}, …` : values.map(shown).join(', ');
}

function refuse(code: UnidentifiedCode, reason: string): Unidentified {
  return { ok: false, code, reason };
}
