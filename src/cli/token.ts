// certgate token …: one-time tokens, with which a new machine gets its certificate by itself. Each subcommand stands in a
// file of its own in token/.
import { Command } from 'commander';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { createCommand } from './token/create.ts';
import { listCommand } from './token/list.ts';
import { revokeCommand } from './token/revoke.ts';

export function tokenCommand(io: CommandIo): Command {
  const command = describe(
    new Command('token'),
    'one-time tokens, with which a new machine gets its certificate by itself',
    {
      examples: [
        ['a token for one worker, valid for ten minutes', 'certgate token create worker/etl-1'],
        ['which tokens there are, and whether one was misused', 'certgate token list'],
        ['revoke one', 'certgate token revoke 3f9a0c1e5b7d2468'],
      ],
    },
  );
  for (const sub of [createCommand(io), listCommand(io), revokeCommand(io)]) command.addCommand(sub);
  return command;
}
