// certgate policy suggest: the least roles and bindings that cover what was done, by a gate's log or record, as YAML to paste
// into a policy, with tests of its own. It reads the log alone and changes nothing.
import { resolve } from 'node:path';
import { Command } from 'commander';
import { isCertgateError } from '../../errors.ts';
import { isIdentityName, kindOf, parseIdentityName } from '../../identity/name.ts';
import { auditLines } from '../../observe/audit-reader.ts';
import { canonicalPath, encodePath } from '../../policy/paths.ts';
import { isRecord } from '../../policy/strict-json.ts';
import { createSuggester, type Seen, type Suggestion } from '../../policy/suggest.ts';
import { printable, printableJson } from '../escape.ts';
import { usage } from '../flags.ts';
import { describe } from '../help.ts';
import type { CommandIo } from '../io.ts';
import { named } from '../named-file.ts';

interface Flags {
  readonly fromLog: string;
  readonly identity?: string;
  readonly json?: true;
}

export function suggestCommand(io: CommandIo): Command {
  return describe(new Command('suggest'), 'propose the least role that covers what was done, based on a log', {
    examples: [
      ['for everyone in the log of a gate', 'certgate policy suggest --from-log gate.log > policy.yaml'],
      ['for one worker', 'certgate policy suggest --from-log gate.log --identity worker/etl-1'],
    ],
    notes: [
      "the log is a gate's stderr (every request), or state/audit.jsonl (only writes and refusals). Refused requests do not count.",
      'run the gate in `mode: observe` until your clients have done all that they usually do; then check the proposal.',
    ],
  })
    .requiredOption('--from-log <FILE>', "a gate's log or record, JSON lines")
    .option('--identity <NAME>', 'only what this identity did')
    .option('--json', 'print JSON')
    .action(async ({ fromLog, identity, json }: Flags) => {
      const only = identity === undefined ? null : parseIdentityName(identity);
      const { suggestions, skipped } = await readLog(fromLog, io.cwd, only);
      if (skipped > 0) io.say(`left out, for they are no JSON: ${skipped} lines`);
      if (suggestions.length === 0) {
        const whose = only === null ? 'no permitted request' : `no permitted request of ${only}`;
        throw usage(
          `${fromLog} has ${whose}`,
          'use the log of a gate that runs with its access log on, and without a policy or in mode: observe',
        );
      }
      if (json === true) return io.out(printableJson(suggestions, 2));
      for (const line of yamlOf(suggestions)) io.out(printable(line));
    });
}

/** The system's errors, with the file as it was named. A line that is longer than any of a gate's is none. */
async function readLog(
  file: string,
  cwd: string,
  only: string | null,
): Promise<{ readonly suggestions: readonly Suggestion[]; readonly skipped: number }> {
  const suggester = createSuggester();
  let skipped = 0;
  try {
    for await (const { text } of auditLines(resolve(cwd, file))) {
      if (text === '' || text === '\r') continue;
      const seen = text === null ? 'odd' : seenIn(text);
      if (seen === 'odd') skipped++;
      else if (seen !== null && (only === null || seen.identity === only)) suggester.see(seen);
    }
  } catch (error) {
    throw named(file, isCertgateError(error, 'CG_AUDIT_UNREADABLE') ? error.cause : error);
  }
  return { suggestions: suggester.suggest(), skipped };
}

/** A permitted request; null for another line. */
function seenIn(line: string): Seen | null | 'odd' {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return 'odd';
  }
  if (!isRecord(value)) return null;
  const { identity, method, path, operation, decision } = value;
  if (decision !== 'permit' || typeof identity !== 'string') return null;
  if (!isIdentityName(identity) || kindOf(identity) === 'gate') return null;
  if (typeof method !== 'string' || !/^[A-Z]+$/.test(method) || typeof path !== 'string') return null;
  // Somebody has written there what no gate takes.
  if (!path.isWellFormed() || !canonicalPath(encodePath(path)).ok) return null;
  return { identity, method, path, operation: typeof operation === 'string' ? operation : null };
}

function yamlOf(suggestions: readonly Suggestion[]): readonly string[] {
  const own = suggestions.filter(({ role }) => role === null);
  const names = new Map(own.map(({ identity }, i) => [identity, roleName(identity, i + 1)]));
  const lines: string[] = [];
  if (own.length > 0) lines.push('roles:');
  for (const { identity, needs } of own) lines.push(`  ${names.get(identity)}: {permissions: [${needs.join(', ')}]}`);
  lines.push('bindings:');
  for (const { identity, role, pools, requests, samples, unknown } of suggestions) {
    lines.push(`  # requests: ${requests}, operations: ${samples.length}`);
    for (const one of unknown) lines.push(`  # for Owners only, unknown operation: ${one.replaceAll(/\s/g, ' ')}`);
    const scope = pools === null ? '' : `, pools: [${pools.map((one) => printableJson(one)).join(', ')}]`;
    lines.push(`  - {role: ${role ?? names.get(identity)}, identity: ${identity}${scope}}`);
  }
  lines.push('tests:');
  for (const { identity, samples } of suggestions) {
    for (const sample of samples) {
      lines.push(`  - {identity: ${identity}, request: ${printableJson(sample)}, expect: allow}`);
    }
  }
  return lines;
}

/** Names of identities have `/` and `.`, those of roles have not, and 64 characters at most; by its number it is another's never. */
function roleName(identity: string, number: number): string {
  return `own-${number}-${identity.replaceAll(/[^A-Za-z0-9_-]/g, '-')}`.slice(0, 64);
}
