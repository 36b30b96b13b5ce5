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
  const command = describe(new Command('policy'), 'who may do what: check, explain and show the policy', {
    examples: [
      ['find every error in a policy, and run its tests', 'certgate policy check policy.yaml'],
      ['may she do this, and why', 'certgate policy explain user/alice POST /api/flows/'],
      ['show roles and what they permit', 'certgate policy show'],
    ],
    notes: [
      'a running gate applies a changed policy by itself within two seconds, or at once on SIGHUP, if it passes the check.',
    ],
  });
  for (const sub of [checkCommand(io), explainCommand(io), showCommand(io), suggestCommand(io), syncCommand(io)])
    command.addCommand(sub);
  return command;
}
