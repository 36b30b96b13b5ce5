// What a token's --pool comes to under the policy of the gate. The certificate itself keeps its holder to the pool, whatever
// the policy gives (policy/scope.ts); what it may do there is the policy's to say. Where that lets it poll nothing, the one
// line that is missing is told, with the place where it goes: a line that was put there and read before it is printed.
import { readFileSync } from 'node:fs';
import { shortName } from '../../config/load.ts';
import { parsePolicy } from '../../config/policy-load.ts';
import { isPattern } from '../../enroll/token.ts';
import { reasonOf, shown } from '../../errors.ts';
import { isGroupName } from '../../identity/groups.ts';
import { attributesOf } from '../../identity/identify.ts';
import { explain } from '../../policy/explain.ts';
import type { Policy } from '../../policy/policy.ts';
import { refusalWords } from '../../policy/refusal.ts';
import { poolGroup } from '../../policy/scope.ts';
import { usage } from '../flags.ts';

/** What Prefect takes in no name (its types/names.py, BANNED_CHARACTERS). */
const NO_NAME = /[/%&<>]/;

/** The groups that say so in a certificate. CG_USAGE for a name that no pool or no certificate can have. */
export function poolGroups(pools: readonly string[]): readonly string[] {
  return pools.map((pool) => {
    if (NO_NAME.test(pool)) {
      throw usage(`--pool is ${shown(pool)}, which no work pool is called`, 'see prefect work-pool ls');
    }
    const group = poolGroup(pool);
    if (isGroupName(group)) return group;
    const remedy = 'up to 59 letters, digits and `_ .:@+-`; keep others to their pools by the policy: docs/policy.md';
    throw usage(`--pool is ${shown(pool)}, which a certificate cannot contain`, remedy);
  });
}

/** What the policy makes of machines that are for a pool. */
export interface PoolStanding {
  /** In a sentence. */
  readonly words: string;
  /** The line that the policy lacks, and where it goes; null for none, or none that would help. */
  readonly binding: { readonly place: string; readonly line: string } | null;
}

/** `file`: the policy, absolute; null for none. `subject` as the token has it, `groups` with the pools. Never throws. */
export function poolStanding(
  file: string | null,
  cwd: string,
  { subject, pools, groups }: { subject: string; pools: readonly string[]; groups: readonly string[] },
): PoolStanding {
  const within = `within the ${pools.length === 1 ? 'pool' : 'pools'} ${pools.join(', ')}, and nothing beyond`;
  if (file === null) {
    return { words: `there is no policy: it may do everything ${within}`, binding: null };
  }
  const name = shortName(file, cwd);
  // What a name of a pattern may do stands for them all.
  const identity = isPattern(subject) ? `${subject.slice(0, -1)}1` : subject;
  const who = isPattern(subject) ? `${identity}, say,` : identity;
  try {
    const text = readFileSync(file, 'utf8');
    const { policy, bindings } = parsePolicy({ text, file: name });
    const refused = refusalIn(policy, identity, pools, groups);
    if (refused === null) {
      const roles = [
        ...new Set(
          policy
            .grants(identity, attributesOf(groups, []))
            .roles.map(({ role, binding }) => `${role}, bound at ${binding},`),
        ),
      ];
      return { words: `${who} has ${roles.join(' and ')} ${within}`, binding: null };
    }
    const added = withBinding(text, bindings[0]?.place ?? null, bindingFor(subject, pools));
    const helps =
      added !== null &&
      refusalIn(parsePolicy({ text: added.text, file: name }).policy, identity, pools, groups) === null;
    if (!helps) return { words: `the policy lets it poll nothing there: ${refused}`, binding: null };
    const binding = { place: `${name}:${added.at}`, line: added.line };
    return { words: `${who} may not poll there yet: ${refused.split(';')[0] ?? ''}`, binding };
  } catch (error) {
    const words = `what it may do there can't be said: ${reasonOf(error).split('\n')[0] ?? ''}`;
    return { words, binding: null };
  }
}

/** Why it may not work off one of `pools`; null when it may. */
function refusalIn(
  policy: Policy,
  identity: string,
  pools: readonly string[],
  groups: readonly string[],
): string | null {
  const poll = identity.startsWith('worker/')
    ? (['POST', '/get_scheduled_flow_runs'] as const)
    : (['GET', ''] as const);
  for (const pool of pools) {
    const target = `/api/work_pools/${encodeURIComponent(pool)}${poll[1]}`;
    const said = explain(policy, identity, poll[0], target, attributesOf(groups, []));
    if (said !== null && !said.permit) return refusalWords(said);
  }
  return null;
}

function bindingFor(subject: string, pools: readonly string[]): string {
  const role = subject.startsWith('worker/') ? 'Worker' : 'Viewer';
  const whom = isPattern(subject)
    ? `match: '${subject.slice(0, -1).replaceAll('.', '[.]')}[^/]+'`
    : `identity: ${subject}`;
  return `{role: ${role}, ${whom}, pools: [${pools.map(yamlWord).join(', ')}]}`;
}

/** As YAML reads it back, letter by letter. */
function yamlWord(word: string): string {
  return /^[A-Za-z][A-Za-z0-9_-]*$/.test(word) ? word : `'${word}'`;
}

/** `text` with a further binding before the one at `first` (a place; null for none); null where its form leaves no room for a line. */
function withBinding(
  text: string,
  first: string | null,
  binding: string,
): { readonly text: string; readonly line: string; readonly at: number } | null {
  const lines = text.replace(/\n$/, '').split('\n');
  const put = (at: number, line: string) => ({ text: lines.toSpliced(at - 1, 0, line).join('\n'), line, at });
  if (first === null) {
    const key = lines.findIndex((line) => line.startsWith('bindings:'));
    if (key === -1) return put(lines.length + 1, `bindings:\n  - ${binding}`);
    return /^bindings: *(?:#.*)?$/.test(lines[key] ?? '') ? put(key + 2, `  - ${binding}`) : null;
  }
  const at = Number(/:(\d+):\d+$/.exec(first)?.[1]);
  const indent = /^( *)- /.exec(lines[at - 1] ?? '')?.[1];
  return indent === undefined ? null : put(at, `${indent}- ${binding}`);
}
