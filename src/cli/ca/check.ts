// certgate ca check: whether the CA is well, in the manner of `linkerd check` and `vault pki health-check`: each finding
// with its value, and a command that mends it. It changes nothing, asks for no passphrase and needs no gate.
import { Command } from 'commander';
import { EXIT } from '../../errors.ts';
import { examineCa, levelled, type Section } from '../check/examine.ts';
import { commandWriter } from '../check/subject.ts';
import { type Finding, findingLines, marksFor } from '../doctor/finding.ts';
import { checkNode } from '../doctor/node.ts';
import { printableJson } from '../escape.ts';
import { describe } from '../help.ts';
import type { CommandIo } from '../io.ts';
import { configOf, withSettings } from '../settings.ts';

export function checkCommand(io: CommandIo): Command {
  const command = describe(new Command('check'), 'check the CA, and say what to do about each problem', {
    examples: [
      ['everything, with a command below each problem', 'certgate ca check'],
      ['only problems', 'certgate ca check --quiet'],
      [
        'for monitoring: what failed, and what to do',
        'certgate ca check --json | jq -r \'.findings[] | select(.level == "fail") | .found + ": " + .remedy\'',
      ],
    ],
    notes: [
      'exit code 0 if all is well, 8 if there are only warnings, 1 if something failed. What could not be checked',
      "(an encrypted key, another user's file) is skipped with the reason, and counts as well.",
      'nothing is changed, no passphrase is asked for, and no gate has to run. certgate doctor checks this machine instead:',
      'its configuration, and whether it reaches the gate and Prefect.',
    ],
  })
    .option('--quiet', 'show only problems')
    .option('--json', 'print JSON');
  return withSettings(command).action(async (flags: { readonly quiet?: true; readonly json?: true }) => {
    const config = configOf(command, io);
    const now = Date.now();
    const sections = [
      ...(await examineCa(config, now, commandWriter(io.program, config.file, command))),
      { title: 'this machine', findings: [checkNode(process.version)] },
    ];
    const all = sections.flatMap(({ findings }) => findings);
    const status = statusOf(all);
    if (flags.json === true) io.out(printableJson(jsonOf(sections, status, now, config.trustDomain), 2));
    else tell(sections, flags.quiet === true, io);
    if (status === 'fail') io.setExitCode(EXIT.failure);
    if (status === 'warn') io.setExitCode(EXIT.warnings);
  });
}

function statusOf(findings: readonly Finding[]): 'ok' | 'warn' | 'fail' {
  if (levelled(findings, 'fail').length > 0) return 'fail';
  return levelled(findings, 'warn').length > 0 ? 'warn' : 'ok';
}

function jsonOf(sections: readonly Section[], status: string, now: number, trustDomain: string): object {
  const findings = sections.flatMap(({ title, findings: found }) => found.map((one) => ({ section: title, ...one })));
  return { checkedAt: new Date(now).toISOString(), trustDomain, status, findings };
}

function tell(sections: readonly Section[], quiet: boolean, io: CommandIo): void {
  const marks = marksFor(io.env);
  for (const { title, findings } of sections) {
    const shown = quiet ? findings.filter(({ level }) => level === 'warn' || level === 'fail') : findings;
    if (shown.length === 0) continue;
    io.out(title);
    io.out('-'.repeat(title.length));
    for (const finding of shown) for (const line of findingLines(finding, marks)) io.out(line);
    io.out('');
  }
  const all = sections.flatMap(({ findings }) => findings);
  const count = (level: Finding['level']): number => levelled(all, level).length;
  io.say(`well: ${count('ok')}, warnings: ${count('warn')}, failed: ${count('fail')}, skipped: ${count('skip')}`);
}
