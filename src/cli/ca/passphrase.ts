// certgate ca passphrase: encrypts the CA's keys, changes what they are encrypted with, or writes them in the clear.
// The keys themselves stay what they are; a gate that runs goes on, and asks for the new passphrase at its next start.
import { resolve } from 'node:path';
import { Command } from 'commander';
import { caKeyFiles, changePassphrase } from '../../authority/change-passphrase.ts';
import type { PassphraseSource } from '../../authority/passphrase.ts';
import { passphraseFile } from '../../authority/passphrase.ts';
import type { Config } from '../../config/schema.ts';
import { CertgateError, isCertgateError } from '../../errors.ts';
import { actor, openStoreToAct } from '../actor.ts';
import { printable, printableJson } from '../escape.ts';
import { collect, usage } from '../flags.ts';
import { describe } from '../help.ts';
import { type CommandIo, here } from '../io.ts';
import { configuredPassphrase, newPassphrase, promptedPassphrase } from '../passphrase.ts';
import { configOf, withSettings } from '../settings.ts';

interface Flags {
  readonly newPassphraseFile?: string;
  readonly remove?: true;
  readonly key?: readonly string[];
  readonly json?: true;
}

export function caPassphraseCommand(io: CommandIo): Command {
  const command = describe(
    new Command('passphrase'),
    "encrypt the CA's private keys, change their passphrase, or remove it",
    {
      examples: [
        ['at a terminal: asks for the old one if there is one, and twice for the new one', 'certgate ca passphrase'],
        [
          'from files: all keys in certs/, then name the new file as ca.passphraseFile',
          'certgate ca passphrase --passphrase-file old --new-passphrase-file new',
        ],
        ["a root's key that is kept elsewhere", 'certgate ca passphrase --key /media/usb/root.key'],
        ['store the keys unencrypted again', 'certgate ca passphrase --remove'],
      ],
      notes: [
        'the keys themselves stay the same: no certificate changes, and a running gate is not affected.',
        'if it is killed half-way, each key opens with either the old or the new passphrase; run it again to finish.',
        'copies in backups keep the old passphrase.',
      ],
    },
  );
  withSettings(command, ['ca.passphraseFile'])
    .option('--new-passphrase-file <FILE>', 'the new passphrase is the first line of this file (mode 0600)')
    .option('--remove', 'store the keys unencrypted, mode 0600')
    .option('--key <FILE>', 'this key instead of all in certs/; may be repeated', collect)
    .option('--json', 'print JSON');
  return command.action(async (flags: Flags) => {
    const config = configOf(command, io);
    const paths = flags.key?.map((path) => resolve(io.cwd, path)) ?? (await caKeyFiles(config.certsDir));
    if (paths.length === 0) {
      throw new CertgateError('CG_CA_FILE', { file: config.certsDir, problem: 'holds no private key' });
    }
    const from =
      configuredPassphrase(config, config.ca.passphraseFile, io) ??
      promptedPassphrase("present passphrase of the CA's keys: ", io);
    const to = newOne(flags, config, io);
    const encrypted = to !== null;
    // A key that is kept elsewhere may be where there is no store.
    const store = flags.key === undefined ? openStoreToAct(config.stateDir, io) : null;
    const { trustDomain: object, certsDir } = config;
    const detail = { certsDir, encrypted };
    const record = async (): Promise<unknown> =>
      await store?.addAudit({ time: Date.now(), actor: actor(), action: 'ca.passphrase', object, detail });
    try {
      await changePassphrase({ paths, from, to, record });
    } catch (error) {
      if (store !== null || !isCertgateError(error, 'CG_CA_FILE')) throw error;
      const remedy = error.facts.remedy ?? 'name the key with --key FILE';
      throw new CertgateError('CG_CA_FILE', { ...error.facts, remedy }, { cause: error });
    } finally {
      await store?.close();
    }
    if (flags.json === true) return io.out(printableJson({ keys: paths, encrypted }, 2));
    for (const path of paths) io.out(printable(here(path, io)));
    io.say(encrypted ? 'encrypted with the new passphrase' : 'in the clear, for their owner only (mode 0600)');
    if (flags.newPassphraseFile !== undefined) {
      io.say('before the gate starts again: give it the new passphrase where it had the old one (ca.passphraseFile)');
    }
  });
}

function newOne({ remove, newPassphraseFile }: Flags, config: Config, io: CommandIo): PassphraseSource | null {
  if (remove === true && newPassphraseFile !== undefined) {
    throw usage('--remove and --new-passphrase-file contradict each other', 'give one of them');
  }
  if (remove === true) return null;
  if (newPassphraseFile !== undefined) return passphraseFile(resolve(io.cwd, newPassphraseFile));
  const typed = newPassphrase(io);
  if (typed !== null) return typed;
  const configured = configuredPassphrase(config, config.ca.passphraseFile, io);
  // Plain keys of a CA for which a passphrase was configured afterwards.
  if (configured !== null) return configured;
  throw usage('there is no new passphrase, and no terminal to ask at', 'name a file: --new-passphrase-file FILE');
}
