// certgate policy …: who may do what, checked and explained. Each subcommand stands in a file of its own in policy/.
import { Command } from 'commander';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { checkCommand } from './policy/check.ts';
import { explainCommand } from './policy/explain.ts';
import { showCommand } from './policy/show.ts';
import { suggestCommand } from './policy/suggest.ts';
import { syncCommand } from './policy/sync.ts';

export function policyCommand(io: CommandIo): Command {
  const command = describe(new Command('policy'), 'who may do what: check the policy, explain and show it', {
    examples: [
      ['everything wrong with a policy, and its own tests', 'certgate policy check policy.yaml'],
      ['may she, and why', 'certgate policy explain user/alice POST /api/flows/'],
      ['roles and what they permit', 'certgate policy show'],
    ],
    notes: [
      'a running gate takes a changed policy by itself within two seconds, or at once on SIGHUP, if check would pass it.',
    ],
  });
  for (const sub of [checkCommand(io), explainCommand(io), showCommand(io), suggestCommand(io), syncCommand(io)])
    command.addCommand(sub);
  return command;
}
