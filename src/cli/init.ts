// certgate init: a CA, an empty store and a configuration, in one folder, all or nothing. It never overwrites: whatever
// exists already is named and nothing is changed. At the end it says the next three commands, ready to paste.
import { statSync } from 'node:fs';
import { link, rm, rmdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { createAuthority, type RootSource } from '../authority/create.ts';
import {
  draftName,
  makeFolders,
  PRIVATE_FOLDER,
  PUBLIC_FILE,
  removeLeftovers,
  syncFolder,
  writeNewFile,
} from '../authority/files.ts';
import { KEY_REMEDY } from '../authority/given-root.ts';
import { openKeyStore } from '../authority/key-store.ts';
import type { PassphraseSource } from '../authority/passphrase.ts';
import { bracketed, parseHostPort } from '../config/address.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { configTemplate } from '../config/template.ts';
import { CertgateError, isCertgateError, shellWord } from '../errors.ts';
import type { AuditEntry } from '../store/audit-entry.ts';
import { actor, origin } from './actor.ts';
import { printable, printableJson } from './escape.ts';
import { usage } from './flags.ts';
import { describe } from './help.ts';
import { requireNothing } from './init-again.ts';
import { type CommandIo, here } from './io.ts';
import { named, readNamed } from './named-file.ts';
import { commandKeys, configuredPassphrase, newPassphrase } from './passphrase.ts';
import { flagsOf, withSettingFlags } from './settings.ts';

interface Flags {
  readonly dir: string;
  readonly name?: readonly string[];
  readonly offlineRoot?: string;
  readonly rootCert?: string;
  readonly rootKey?: string;
  readonly encrypt?: true;
  readonly json?: true;
}

export function initCommand(io: CommandIo): Command {
  const command = describe(new Command('init'), 'make a CA, a store and a configuration', {
    examples: [
      ['in this folder, for a gate that clients call gate.example', 'certgate init --name gate.example'],
      [
        'elsewhere, with a trust domain of your own',
        'certgate init --dir /etc/certgate --trust-domain prefect.example',
      ],
      ['several names and an address', 'certgate init --name gate.example --name gate --name 192.0.2.7'],
      ['with its keys encrypted; asks twice for a passphrase', 'certgate init --name gate.example --encrypt'],
      [
        "with the root's key on a separate medium, which the gate does not need",
        'certgate init --offline-root /media/vault',
      ],
      ["under a company's CA", 'certgate init --root-cert corp.crt --root-key corp.key'],
      [
        '… whose key is not available here: makes a request to have signed; then certgate ca import',
        'certgate init --root-cert corp.crt',
      ],
    ],
    notes: [
      'init creates certgate.yaml, certs/ (root and issuer with their keys, ca.crt) and state/ (the store), and overwrites nothing.',
      "the root's key is needed once a year: keep it offline if you can.",
      'the keys are encrypted with --encrypt, or if a passphrase is configured (ca.passphraseFile, CERTGATE_PASSPHRASE, or the systemd credential certgate-passphrase).',
    ],
  })
    .option('--dir <DIR>', 'the folder; created if it does not exist', '.')
    .option('--offline-root <DIR>', "where the root's key goes (default: certs/)")
    .option(
      '--root-cert <FILE>',
      "a company's CA: PEM of the certificate that signs the issuer, and all above it up to the root",
    )
    .option('--root-key <FILE>', 'its key; read once and not copied')
    .option('--encrypt', 'encrypt the keys; asks for a passphrase if none is configured')
    .option('--json', 'print JSON');
  return withSettingFlags(command, ['trustDomain', 'serve.names', 'ca.passphraseFile']).action(async (flags: Flags) => {
    const dir = resolve(io.cwd, flags.dir);
    const config = loadConfig({ env: io.env, flags: flagsOf(command), cwd: io.cwd, withoutFileIn: dir });
    const made = await makeAll(dir, config, await rootOf(flags, config, io), {
      passphrase: passphraseFor(config, flags.encrypt === true, io),
      from: origin(io),
    });
    const { paths, ...told } = made;
    if (flags.json === true) return io.out(printableJson(told, 2));
    io.say(
      `made a CA for the trust domain ${config.trustDomain}${made.encrypted ? ', its keys encrypted' : ''}, and its store:`,
    );
    for (const path of [made.configuration, ...paths, made.store]) io.out(printable(here(path, io)));
    io.say('');
    io.say('next:');
    if (made.unfinished) for (const line of unfinishedCommands(dir, made, io)) io.say(printable(line));
    for (const line of nextCommands(dir, config, flags.name !== undefined, io)) io.say(printable(line));
  });
}

interface Made {
  readonly configuration: string;
  /** What was made, by what it is. */
  readonly files: Readonly<Record<string, string>>;
  readonly paths: readonly string[];
  readonly store: string;
  readonly unfinished: boolean;
  readonly trustDomain: string;
  readonly rootFingerprint: string;
  readonly encrypted: boolean;
}

/** Null for a pipe, such as `<(pass show ca)`, and for /dev/stdin, be it from a file: the next command has another. */
function lastingFile(path: string | null): string | null {
  if (path === null || /^\/(?:dev|proc)\//.test(path)) return null;
  return statSync(path, { throwIfNoEntry: false })?.isFile() === false ? null : path;
}

/** @throws CG_CA_EXISTS, CG_CA_FILE, CG_STORE_* and the system's errors; then nothing is left behind */
async function makeAll(
  dir: string,
  { certsDir, stateDir, trustDomain, serve, ca }: Config,
  root: RootSource,
  { passphrase, from }: { passphrase: PassphraseSource | null; from: AuditEntry['detail'] },
): Promise<Made> {
  const configuration = join(dir, 'certgate.yaml');
  await requireNothing(configuration, { certsDir, stateDir });
  const folders: string[] = [];
  const draft = join(dir, draftName('certgate.yaml', 'creating'));
  try {
    for (const folder of [dir, certsDir, stateDir]) folders.push(...(await makeFolders(folder, PRIVATE_FOLDER)));
    // Written before anything else is made, so that a full disk is met while there is nothing to take back.
    const text = configTemplate({
      trustDomain,
      names: serve.names,
      ...elsewhere(dir, certsDir, stateDir),
      passphraseFile: lastingFile(ca.passphraseFile),
    });
    await writeNewFile(draft, text, PUBLIC_FILE).catch((error: unknown) => {
      throw named(configuration, error);
    });
    const made = await createAuthority({
      certsDir,
      stateDir,
      trustDomain,
      root,
      actor: actor(),
      origin: from,
      keys: openKeyStore({ passphrase }),
    });
    const files: Readonly<Record<string, string>> = { ...made.files };
    const placed = [...made.paths, made.store];
    try {
      await link(draft, configuration);
      placed.push(configuration);
      await syncFolder(dir);
    } catch (error) {
      for (const path of placed) await rm(path, { force: true }).catch(() => {});
      throw error;
    }
    await rm(draft, { force: true }).catch(() => {});
    await removeLeftovers(configuration, ['creating'], 0);
    const { paths, store, unfinished, rootFingerprint } = made;
    const encrypted = passphrase !== null;
    return { configuration, files, paths, store, unfinished, trustDomain, rootFingerprint, encrypted };
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {});
    for (const folder of folders.toSorted((a, b) => b.length - a.length)) await rmdir(folder).catch(() => {});
    throw error;
  }
}

/** What the keys are encrypted with; null for nothing. CG_PASSPHRASE when they must be and there is nothing. */
function passphraseFor(config: Config, must: boolean, io: CommandIo): PassphraseSource | null {
  const source = configuredPassphrase(config, config.ca.passphraseFile, io) ?? (must ? newPassphrase(io) : null);
  if (source !== null || !must) return source;
  throw new CertgateError('CG_PASSPHRASE', {
    problem: 'there is no passphrase to encrypt the keys with, and no terminal to ask at',
    remedy:
      'make one and name it: `(umask 077; openssl rand -base64 24 > passphrase)`, then --passphrase-file passphrase',
  });
}

/** Where the root comes from. CG_USAGE, CG_CA_GIVEN, CG_KEY_*; CG_FILE for what cannot be read. */
async function rootOf({ offlineRoot, rootCert, rootKey }: Flags, config: Config, io: CommandIo): Promise<RootSource> {
  if (rootCert === undefined) {
    if (rootKey !== undefined)
      throw usage('--root-key without --root-cert', 'name the certificate too: --root-cert FILE');
    return offlineRoot === undefined ? { kind: 'new' } : { kind: 'new', keyDir: resolve(io.cwd, offlineRoot) };
  }
  if (offlineRoot !== undefined) {
    throw usage('--offline-root is for a new root, --root-cert names one that exists', 'leave one of the two out');
  }
  const chainPem = readNamed(rootCert, io).toString('utf8');
  if (rootKey === undefined) return { kind: 'elsewhere', file: rootCert, chainPem };
  const keys = await commandKeys(config, io);
  const signer = await keys.read(resolve(io.cwd, rootKey)).catch((error: unknown) => {
    if (!isCertgateError(error, 'CG_CA_FILE')) throw error;
    throw new CertgateError(
      'CG_CA_GIVEN',
      { file: rootKey, problem: error.facts.problem, remedy: KEY_REMEDY },
      { cause: error },
    );
  });
  return { kind: 'given', file: rootCert, chainPem, keyFile: rootKey, signer };
}

/** What comes before all else where the issuer is signed elsewhere. */
function unfinishedCommands(dir: string, { files }: Made, io: CommandIo): string[] {
  const config = dir === io.cwd ? '' : ` --config ${shellWord(here(join(dir, 'certgate.yaml'), io))}`;
  return [
    `  # have ${here(files['issuerRequest'] ?? '', io)} signed as a CA (pathlen 0), then import the result`,
    `  ${io.program} ca import SIGNED.pem${config}`,
  ];
}

/** Folders that the environment put elsewhere are written down, or the next command would not find them. */
function elsewhere(dir: string, certsDir: string, stateDir: string): { certsDir?: string; stateDir?: string } {
  return {
    ...(certsDir === join(dir, 'certs') ? {} : { certsDir }),
    ...(stateDir === join(dir, 'state') ? {} : { stateDir }),
  };
}

/** What to do now: lines that work when they are pasted into a shell in the working directory. */
function nextCommands(dir: string, { serve }: Config, isNamed: boolean, io: CommandIo): string[] {
  const config = dir === io.cwd ? '' : ` --config ${shellWord(here(join(dir, 'certgate.yaml'), io))}`;
  const [first = 'localhost'] = serve.names;
  const gate = bracketed(!isNamed && serve.names.includes('localhost') ? 'localhost' : first);
  const port = parseHostPort(serve.listen)?.port ?? 8443;
  // How certgate is called on that machine is not known here.
  const run = `certgate run --gate https://${gate}:${port} --identity ./worker-etl-1`;
  return [
    '  # a certificate for a worker, into ./worker-etl-1; with nothing to copy, once the gate runs:',
    `  #   ${io.program} token create worker/etl-1${config}`,
    `  ${io.program} issue worker/etl-1${config}`,
    '  # the gate, in front of the Prefect server on this machine',
    `  ${io.program} serve${config}`,
    '  # on the worker machine, with ./worker-etl-1 copied there',
    `  ${run} -- prefect worker start --pool etl --type process`,
  ];
}
