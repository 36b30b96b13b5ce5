// certgate backup: a copy of the whole CA while everything runs on. It says where the copy is, what is in it and what is
// not, and leaves a line in the CA's record, when that can be written: a disk that is full or failing is no reason to have
// no backup.
import { resolve } from 'node:path';
import { Command } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import { makeBackup } from '../authority/backup.ts';
import type { BackupManifest } from '../authority/backup-manifest.ts';
import { storeFile } from '../authority/layout.ts';
import { leaves } from '../config/leaves.ts';
import type { Config } from '../config/schema.ts';
import { isCertgateError, shellWord } from '../errors.ts';
import { SCHEMA_VERSION } from '../store/schema.ts';
import { actor, openStoreToAct } from './actor.ts';
import { printable, printableJson } from './escape.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { auditFile } from './serve-options.ts';
import { configOf, withSettings } from './settings.ts';

interface Flags {
  readonly out: string;
  readonly withoutKeys?: true;
  readonly json?: true;
}

export function backupCommand(io: CommandIo): Command {
  const command = describe(new Command('backup'), 'copy the CA, its store and its configuration, while a gate runs', {
    examples: [
      ['everything, including keys, into a new folder', 'certgate backup --out /backup/certgate-monday'],
      ['without private keys, for a less protected place', 'certgate backup --out /backup/monday --without-keys'],
      [
        'and as one encrypted file',
        'tar -c -C /backup certgate-monday | age -r age1… > /backup/certgate-monday.tar.age',
      ],
    ],
    notes: [
      'the folder appears complete or not at all, with mode 0700, and nothing is overwritten. Restore it with certgate restore.',
      'its manifest.json lists the files in it, with sizes and SHA-256.',
    ],
  })
    .requiredOption('--out <DIR>', 'the folder to make')
    .option('--without-keys', 'leave out every file that could contain a private key')
    .option('--json', 'print JSON');
  return withSettings(command).action(async (flags: Flags) => {
    const config = configOf(command, io);
    const now = Date.now();
    const made = await makeBackup({
      certsDir: config.certsDir,
      store: storeFile(config.stateDir),
      configuration: config.file,
      record: auditFile(config),
      out: resolve(io.cwd, flags.out),
      withKeys: flags.withoutKeys !== true,
      version: manifest.version,
      now,
    });
    await remember(config, made.path, made.manifest, now, io);
    if (flags.json === true) return io.out(printableJson({ path: made.path, ...made.manifest }, 2));
    io.out(printable(made.path));
    for (const line of wordsAbout(made.path, made.manifest, config)) io.say(printable(line));
  });
}

function* wordsAbout(path: string, { files, store, keys, leftOut }: BackupManifest, config: Config): Generator<string> {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  yield `${files.length} files, ${Math.ceil(bytes / 1024)} KiB; the store at revision ${store.revision}, certificates in it: ${store.certificates}`;
  if (keys) {
    const names = files.map((file) => file.path).filter((file) => /^certs\/.*\.key$/.test(file));
    if (names.length === 0) yield "it contains no private key: there is none in the CA's folder";
    else yield `it contains private keys, so keep it where only you can read it: ${names.join(', ')}`;
    if (leftOut.length > 0) yield `dangling links are not in it: ${leftOut.join(', ')}`;
  } else yield `left out, keep them elsewhere: ${leftOut.length === 0 ? 'no key was there' : leftOut.join(', ')}`;
  if (config.file === null)
    yield 'there is no certgate.yaml: keep a copy of the flags and variables that you start the gate with';
  for (const { name, file } of filesElsewhere(config)) yield `not in it: ${file} (${name})`;
  yield `to put it back: certgate restore ${shellWord(path)} --dir DIR --crl FILE`;
}

/** What the configuration names besides the CA's own folders: passwords, above all. */
function filesElsewhere(config: Config): Array<{ name: string; file: string }> {
  return leaves
    .filter(({ path, setting }) => setting.kind === 'path' && !['certsDir', 'stateDir'].includes(path))
    .flatMap(({ path }) => {
      const value = path
        .split('.')
        .reduce<unknown>((part, key) => (part as Readonly<Record<string, unknown>>)[key], config);
      return typeof value === 'string' ? [{ name: path, file: value }] : [];
    });
}

/** In the CA's record, for whoever asks when the last backup was made. An older store is not brought up to date for it. */
async function remember(config: Config, path: string, made: BackupManifest, now: number, io: CommandIo): Promise<void> {
  if (made.store.schema !== SCHEMA_VERSION) {
    io.say('not noted in the record: the store is of an older certgate, and was left as it is');
    return;
  }
  try {
    const store = openStoreToAct(config.stateDir, io);
    try {
      const detail = { out: path, revision: made.store.revision, keys: made.keys };
      await store.addAudit({ time: now, actor: actor(), action: 'ca.backup', object: made.trustDomain, detail });
    } finally {
      await store.close();
    }
  } catch (error) {
    if (!isCertgateError(error)) throw error;
    io.say(printable(`the backup is complete, but not noted in the record: ${error.message}`));
  }
}
