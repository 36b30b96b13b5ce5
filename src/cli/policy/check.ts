// certgate policy check: reads a policy as the gate would, tells everything that is wrong, and asks it its own tests.
import { Command } from 'commander';
import { printableJson } from '../escape.ts';
import { describe } from '../help.ts';
import type { CommandIo } from '../io.ts';
import { withSettings } from '../settings.ts';
import { policyAt } from './place.ts';

export function checkCommand(io: CommandIo): Command {
  const command = describe(new Command('check'), 'report every error in a policy, and run its tests', {
    examples: [
      ['the policy that certgate.yaml names', 'certgate policy check'],
      ['another, before it is put in place', 'certgate policy check policy.new.yaml'],
    ],
    notes: ['a running gate accepts a policy that passes; check changes nothing.'],
  })
    .argument('[FILE]', 'the policy (default: serve.policy)')
    .option('--json', 'print JSON');
  return withSettings(command).action(async (file: string | undefined, flags: { json?: true }) => {
    const { policy, source, roles, bindings, tests } = await policyAt(file, command, io);
    const counts = { roles: roles.length, bindings: bindings.length, tests: tests.length };
    if (flags.json === true) return io.out(printableJson({ file: source.file, mode: policy.mode, ...counts }, 2));
    const words = [some(counts.roles, 'role'), some(counts.bindings, 'binding'), some(counts.tests, 'test')];
    io.out(`${source.file}  ok  ${policy.mode}: ${words.join(', ')}`);
    if (counts.bindings === 0) io.say('it binds nobody: every client would be refused everything');
    if (counts.tests === 0) io.say('it has no tests of its own: see docs/policy.md');
  });
}

function some(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
