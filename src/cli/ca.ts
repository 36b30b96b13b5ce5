// certgate ca: what is done to the CA itself, one subcommand each. This file only gathers them.
import { Command } from 'commander';
import { caPassphraseCommand } from './ca-passphrase.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';

export function caCommand(io: CommandIo): Command {
  return describe(new Command('ca'), "look after the CA's keys", {
    examples: [['encrypt the private keys under a passphrase', 'certgate ca passphrase']],
  })
    .usage('COMMAND [options]')
    .addCommand(caPassphraseCommand(io));
}
