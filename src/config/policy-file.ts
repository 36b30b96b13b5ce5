// The policy file: YAML in, a compiled policy and its own tests out. Everything wrong with it is told at once, each problem
// with file:line:column and its remedy, as for certgate.yaml; an unknown key, role or permission is an error, never
// a comment. It reads no file itself, so that whoever has the text (a worker of the gate, an editor) can ask the same.
import { reasonOf, shown } from '../errors.ts';
import { isGroupName } from '../identity/groups.ts';
import { ATTRIBUTES, attributesOf } from '../identity/identify.ts';
import { clientNames, isIdentityName } from '../identity/name.ts';
import { compilePattern, type Pattern } from '../identity/pattern.ts';
import { operationNames, type PolicyTest, requestParts } from '../policy/explain.ts';
import { ALL_PERMISSIONS, BUILT_IN_ROLES, type Permission, permissionsNamed } from '../policy/permissions.ts';
import type { Attributes, Placed, RoleSource } from '../policy/policy.ts';
import type { Scope } from '../policy/scope.ts';
import type { Problem } from './given.ts';
import { nearest } from './nearest.ts';
import { type Part, readPlacedYaml } from './placed-yaml.ts';
import { type BindingWords, policyFrom, type ReadPolicy } from './policy-words.ts';

const EXAMPLE = 'write certificate: {O: Data}';
const BUILT_IN = Object.keys(BUILT_IN_ROLES);
const ROLE_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;
/** Roles one above the other. */
const DEEPEST = 100;
/** Wrong words that another is looked for: it takes a look at each that there is, and a gate reads while it serves. */
const MOST_LOOKED_FOR = 100;
/** Steps of looking for a name that patterns match, all together: a second at most. */
const MOST_EFFORT = 200_000;
/** Roles that are told as those there are. */
const MOST_TOLD = 20;

/** Reads `text`; `file` is what places call it. */
export function readPolicy(
  text: string,
  file: string,
): ({ readonly ok: true } & ReadPolicy) | { readonly ok: false; readonly problems: readonly Problem[] } {
  const { root, problems } = readPlacedYaml(text, file);
  const wrong = (place: string, problem: string, remedy: string): void =>
    void problems.push({ place, problem, remedy });
  let lookedFor = 0;
  const near = (word: string, known: readonly string[], none: string): string => {
    const found = ++lookedFor > MOST_LOOKED_FOR ? null : nearest(word, known);
    return found === null ? none : `did you mean ${found}?`;
  };
  // What a full disk leaves of it, too.
  if (root.empty && problems.length === 0)
    wrong(`${file}:1:1`, 'it is empty', 'write bindings: [] for a policy that permits nobody anything');
  const top = root.entries(['mode', 'secrets', 'createdBy', 'roles', 'bindings', 'tests']);
  const choice = <T extends string>(key: string, choices: readonly [T, ...T[]]): T => {
    const part = top.get(key);
    if (part === undefined) return choices[0];
    const found = choices.find((one) => one === part.words());
    if (found === undefined) wrong(part.place, `${key} is ${said(part)}`, `it must be ${choices.join(' or ')}`);
    return found ?? choices[0];
  };
  const mode = choice('mode', ['enforce', 'observe']);
  const secrets = choice('secrets', ['refuse', 'hide']);
  const createdBy = choice('createdBy', ['prefect', 'identity']);

  const textsOf = (part: Part | undefined, wants: string): Placed[] =>
    (part?.items() ?? []).flatMap((item) => {
      const words = item.words();
      if (words === null || words === '') {
        wrong(item.place, `${wants} is wanted here`, 'write one, or a list in [brackets]');
        return [];
      }
      return [{ text: words, place: item.place }];
    });

  const roleParts = top.get('roles')?.entries(null) ?? new Map<string, Part & { keyPlace: string }>();
  const roleNames = new Set([...BUILT_IN, ...roleParts.keys()]);
  const knownRoles = (names: readonly Placed[]): Placed[] =>
    names.filter(({ text: name, place }) => {
      if (roleNames.has(name)) return true;
      const told = [...roleNames].slice(0, MOST_TOLD).join(', ');
      const others = roleNames.size > MOST_TOLD ? ` and ${roleNames.size - MOST_TOLD} others` : '';
      wrong(place, `there is no role ${shown(name)}`, near(name, [...roleNames], `the roles are ${told}${others}`));
      return false;
    });
  const permissionsIn = (part: Part | undefined): Placed<Permission>[] =>
    textsOf(part, 'a permission').flatMap(({ text: name, place }) => {
      const named = permissionsNamed(name);
      if (named.length === 0) {
        const remedy = near(name, ALL_PERMISSIONS, 'certgate policy show lists them all');
        wrong(place, `there is no permission ${shown(name)}`, remedy);
      }
      return named.map((permission) => ({ text: permission, place }));
    });

  const roles: RoleSource[] = [...roleParts].map(([name, part]) => {
    const taken = BUILT_IN.find((one) => one.toLowerCase() === name.toLowerCase());
    if (!ROLE_NAME.test(name))
      wrong(part.keyPlace, `${shown(name)} cannot name a role`, 'use letters, digits, - and _');
    else if (taken !== undefined)
      wrong(part.keyPlace, `${taken} is built in and cannot be changed`, `define another that has extends: [${taken}]`);
    const keys = part.entries(['extends', 'permissions', 'deny', 'mode']);
    const shadow = keys.get('mode');
    if (shadow !== undefined && !['enforce', 'observe'].includes(shadow.words() ?? ''))
      wrong(shadow.place, `mode is ${said(shadow)}`, 'it must be enforce or observe');
    if (roleIsEmpty(keys)) wrong(part.keyPlace, `the role ${name} says nothing`, 'give it permissions, or extends');
    return {
      name: { text: name, place: part.keyPlace },
      extends: knownRoles(textsOf(keys.get('extends'), 'the name of a role')),
      permissions: permissionsIn(keys.get('permissions')),
      deny: permissionsIn(keys.get('deny')),
      observe: shadow?.words() === 'observe',
    };
  });
  for (const { name, problem } of circlesIn(roles))
    wrong(name.place, `the role ${name.text} ${problem}`, 'remove one of these extends');

  const identityIn = ({ text: name, place }: Placed): boolean => {
    if (isIdentityName(name) && !name.startsWith('gate/')) return true;
    const remedy = /[*?[(]/.test(name) ? `for a pattern, use match: '${name.replace(/(?<!\.)\*/, '.*')}'` : NAMES;
    wrong(place, `${shown(name)} is not the name of a client`, remedy);
    return false;
  };
  const groupIn = ({ text: name, place }: Placed): boolean => {
    if (isGroupName(name)) return true;
    wrong(
      place,
      `${shown(name)} cannot be a group`,
      'groups are the OUs of certificates, as issue --group writes them',
    );
    return false;
  };
  const matches = new Map<string, Pattern['match']>();
  const effort = { left: MOST_EFFORT };
  const patternsIn = (part: Part | undefined, ofNames = false): string[] =>
    textsOf(part, 'a pattern').flatMap(({ text: source, place }) => {
      try {
        const { match, meets } = compilePattern(source);
        matches.set(source, match);
        // Its roles would be nobody's, and so would what they deny.
        if (ofNames && !meets(clientNames, effort)) {
          wrong(
            place,
            `the pattern ${shown(source)} matches no name of a client`,
            patternMeant(source, effort) ?? NAMES,
          );
        }
        return [source];
      } catch (error) {
        wrong(place, `the pattern ${shown(source)} cannot be used: ${reasonOf(error)}`, PATTERNS);
        return [];
      }
    });
  const certificateIn = (part: Part | undefined): BindingWords['certificate'] => {
    if (part === undefined) return null;
    const before = problems.length;
    const asked = [...part.entries(ATTRIBUTES)].map(([attribute, wanted]) => {
      const patterns = patternsIn(wanted);
      if (wanted.items().length === 0) wrong(wanted.keyPlace, `${attribute} has no condition`, EXAMPLE);
      return { attribute, patterns };
    });
    if (asked.length === 0 && problems.length === before) wrong(part.place, 'certificate has no condition', EXAMPLE);
    return asked;
  };
  /** How far a binding goes: what stands there is said, or it would go everywhere. */
  const scopeIn = (keys: ReadonlyMap<string, Part & { keyPlace: string }>): Scope | null => {
    const [pools, tag] = [keys.get('pools'), keys.get('tag')];
    if (pools === undefined && tag === undefined) return null;
    const names = textsOf(pools, 'the name of a work pool').map((one) => one.text);
    if (pools !== undefined && names.length === 0)
      wrong(pools.keyPlace, 'this binding is for no pool', 'write pools: [etl], or remove the key');
    const word = tag?.words() ?? '';
    if (tag !== undefined && word === '')
      wrong(tag.keyPlace, 'one tag is wanted here', 'write tag: team-a; a binding for each of several');
    return { pools: pools === undefined ? null : names, tag: tag === undefined ? null : word, torn: false };
  };
  const bindings: BindingWords[] = (top.get('bindings')?.items() ?? []).map((part) => {
    const keys = part.entries(['role', 'identity', 'match', 'group', 'certificate', 'pools', 'tag']);
    const names = textsOf(keys.get('role'), 'the name of a role');
    if (names.length === 0 && !part.empty) wrong(part.place, 'this binding has no role', 'write role: Viewer');
    const identities = textsOf(keys.get('identity'), 'the name of an identity').filter(identityIn);
    const patterns = patternsIn(keys.get('match'), true);
    const groups = textsOf(keys.get('group'), 'the name of a group').filter(groupIn);
    if (['identity', 'match', 'group', 'certificate'].every((key) => (keys.get(key)?.items().length ?? 0) === 0))
      wrong(part.place, 'this binding is for nobody', `write identity: user/alice, or match: 'user/.*'`);
    return {
      place: part.place,
      roles: knownRoles(names),
      identities: identities.map((one) => one.text),
      patterns,
      groups: groups.map((one) => one.text),
      certificate: certificateIn(keys.get('certificate')),
      scope: scopeIn(keys),
    };
  });

  const valuesIn = (part: Part | undefined): Attributes['values'] =>
    [...(part?.entries(ATTRIBUTES) ?? [])].flatMap(([attribute, values]) =>
      textsOf(values, 'a value').map(({ text: value }) => [attribute, value] as const),
    );
  const operations = operationNames();
  const tests: PolicyTest[] = (top.get('tests')?.items() ?? []).flatMap((part) => {
    const keys = part.entries(['identity', 'groups', 'certificate', 'request', 'operation', 'expect']);
    const groups = textsOf(keys.get('groups'), 'the name of a group').filter(groupIn);
    const [identity] = textsOf(keys.get('identity'), 'the name of an identity').filter(identityIn);
    const [request] = textsOf(keys.get('request'), 'METHOD /path');
    const [operation] = textsOf(keys.get('operation'), "Prefect's name of an operation");
    const expected = keys.get('expect');
    const expect = (['allow', 'deny'] as const).find((one) => one === expected?.words());
    if (expect === undefined)
      wrong(expected?.place ?? part.place, 'this test does not say what is expected', 'write expect: allow, or deny');
    if (!keys.has('identity')) wrong(part.place, 'this test is about nobody', 'write identity: user/alice');
    if ((request === undefined) === (operation === undefined))
      wrong(part.place, 'a test is about one request or one operation', 'write request: POST /api/flows/filter');
    if (request !== undefined && requestParts(request.text) === null)
      wrong(request.place, `${shown(request.text)} is not a request`, 'write a method and a path: GET /api/flows/…');
    if (operation !== undefined && !operations.includes(operation.text)) {
      const remedy = near(operation.text, operations, 'docs/permissions.md lists them all');
      wrong(operation.place, `Prefect has no operation ${shown(operation.text)}`, remedy);
    }
    const about = request ?? operation;
    if (identity === undefined || about === undefined || expect === undefined) return [];
    return [
      {
        place: part.place,
        identity: identity.text,
        attributes: attributesOf(
          groups.map((one) => one.text),
          valuesIn(keys.get('certificate')),
        ),
        request: about.text,
        expect,
      },
    ];
  });

  if (problems.length > 0) return { ok: false, problems: problems.toSorted(byPlace) };
  return { ok: true, ...policyFrom({ mode, secrets, createdBy, roles, bindings, tests }, matches) };
}

const NAMES = 'names are worker/…, user/… or service/… in lower case, e.g. user/alice';
const PATTERNS =
  "patterns are JavaScript's, match the whole name, and repeat nothing that repeats: 'worker/etl-[0-9]+'";

/** What was meant by a pattern in the way of a shell, where that would match; null else. */
function patternMeant(source: string, effort: { left: number }): string | null {
  const pattern = source.replace(/(?<![.\])])\*/g, '.*');
  try {
    return pattern !== source && compilePattern(pattern).meets(clientNames, effort)
      ? `did you mean '${pattern}'?`
      : null;
  } catch {
    return null;
  }
}

/** By line and column, which end a place. */
function byPlace(a: Problem, b: Problem): number {
  const [lineA = 0, columnA = 0] = a.place.split(':').slice(-2).map(Number);
  const [lineB = 0, columnB = 0] = b.place.split(':').slice(-2).map(Number);
  return lineA - lineB || columnA - columnB;
}

function said(part: Part): string {
  const words = part.words();
  return words === null || words === '' ? 'empty or no word' : shown(words);
}

function roleIsEmpty(keys: ReadonlyMap<string, Part>): boolean {
  return ['extends', 'permissions', 'deny'].every((key) => keys.get(key)?.empty ?? true);
}

/** Roles that extend themselves, each once, with the way around; and those that have too many above them. */
function circlesIn(roles: readonly RoleSource[]): Array<{ name: Placed; problem: string }> {
  const byName = new Map(roles.map((role) => [role.name.text, role]));
  const done = new Set<string>();
  const found: Array<{ name: Placed; problem: string }> = [];
  const visit = (role: RoleSource, way: readonly string[]): void => {
    const name = role.name.text;
    const before = way.indexOf(name);
    const circle = [...way.slice(before), name].join(' → ');
    if (before !== -1) found.push({ name: role.name, problem: `extends itself: ${circle}` });
    if (before !== -1 || done.has(name)) return;
    done.add(name);
    if (way.length === DEEPEST) {
      found.push({ name: role.name, problem: `is extended by ${DEEPEST} others, each by the next` });
      return;
    }
    for (const { text } of role.extends) {
      const above = byName.get(text);
      if (above !== undefined) visit(above, [...way, name]);
    }
  };
  for (const role of roles) visit(role, []);
  return found;
}
