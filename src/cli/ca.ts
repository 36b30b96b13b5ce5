// certgate ca …: the CA's own certificates. Each subcommand stands in a file of its own in ca/.
import { Command } from 'commander';
import { checkCommand } from './ca/check.ts';
import { csrCommand, importCommand } from './ca/import.ts';
import { caPassphraseCommand } from './ca/passphrase.ts';
import { rotateCommand } from './ca/rotate.ts';
import { statusCommand } from './ca/status.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';

export function caCommand(io: CommandIo): Command {
  const command = describe(
    new Command('ca'),
    "the CA's own certificates: show, check, rotate, put under a company's CA",
    {
      examples: [
        ['which roots and issuers there are, until when, and who does not have the trust bundle', 'certgate ca status'],
        ['check the CA, and say what to do about each problem', 'certgate ca check'],
        ['a new issuer; whoever trusts the root trusts it at once', 'certgate ca rotate issuer'],
        ['a new root, in three steps', 'certgate ca rotate root prepare'],
        ['encrypt the private keys with a passphrase', 'certgate ca passphrase'],
      ],
      notes: ['a running gate applies every change by itself, within a second.'],
    },
  );
  const subs = [statusCommand, checkCommand, rotateCommand, csrCommand, importCommand, caPassphraseCommand];
  for (const sub of subs) command.addCommand(sub(io));
  return command;
}
