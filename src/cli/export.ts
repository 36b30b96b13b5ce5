// certgate export: a certificate in the form that another program imports. It needs neither the CA nor the store (where
// the store is at hand and knows the certificate, it has an entry for the key): what it hands over is read from files, checked to belong together, and written to one file, whole or not at all, with mode
// 0600 when it holds a key. No key and no password is ever an argument, on stdout or in a message.
import { existsSync, realpathSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Command } from 'commander';
import { PRIVATE_FILE, PUBLIC_FILE } from '../authority/files.ts';
import { storeFile } from '../authority/layout.ts';
import { requireFreePlace, writeOutputFile } from '../authority/output-file.ts';
import { roughDuration } from '../config/duration.ts';
import type { Config } from '../config/schema.ts';
import { CertgateError, isCertgateError, shown } from '../errors.ts';
import { factsOf } from '../pki/certificates.ts';
import { fingerprintOf } from '../pki/facts.ts';
import { actor, openStoreToAct } from './actor.ts';
import { printable, printableJson } from './escape.ts';
import {
  certificatesIn,
  encodeExport,
  endings,
  type Format,
  formats,
  holdsKey,
  type Wanted,
} from './export-formats.ts';
import { type ExportSource, readSource, type SourceFlags } from './export-source.ts';
import { choiceFlag, usage } from './flags.ts';
import { describe } from './help.ts';
import { type CommandIo, here } from './io.ts';
import { loginIdentity } from './login-place.ts';
import { newPassword, type PasswordFlags, passwordFlagsGiven, withPasswordFlags } from './new-password.ts';
import { configOf, withSettings } from './settings.ts';

interface Flags extends SourceFlags, PasswordFlags {
  readonly format: string;
  readonly legacy?: true;
  readonly public?: true;
  readonly name?: string;
  readonly out?: string;
  readonly force?: true;
  readonly json?: true;
}

export function exportCommand(io: CommandIo): Command {
  const command = describe(
    new Command('export'),
    'write a certificate and its key in a format that another program imports',
    {
      examples: [
        [
          'for a browser or an operating system: user-alice.p12, after asking for a password',
          'certgate export ./user-alice',
        ],
        ['for macOS Keychain, .NET, and old versions of Windows and Java', 'certgate export ./user-alice --legacy'],
        ['without a terminal', 'certgate export ./user-alice --password-file /run/secrets/p12'],
        ['key and chain in one file', 'certgate export ./worker-etl-1 --format pem'],
        ['the public half as a JSON Web Key', 'certgate export ./worker-etl-1 --format jwk --public'],
        ['from files with other names', 'certgate export --cert a.crt --key a.key --ca ca.crt --format p7b'],
      ],
      notes: [
        'p12      PKCS#12: key, certificate, whole chain; AES-256 and SHA-256, 600,000 rounds (--legacy: Triple-DES, SHA-1)',
        'pem      key, certificate, issuers      p7b      PKCS#7 in PEM: the whole chain, no key (p7b-der: in DER)',
        'der      the certificate alone          der-key  the key alone, PKCS#8',
        'jwk      JSON Web Key with x5c and x5t#S256; --public leaves the private half out',
        'a browser does not renew what it imported: use a longer lifetime for it, e.g. certgate issue --ttl 30d.',
      ],
    },
  )
    .argument('[DIR]', 'the folder that certgate issue made: tls.crt, tls.key, ca.crt')
    .option('--format <FORMAT>', `one of ${formats.join(', ')}`, 'p12')
    .option('--cert <FILE>', 'the certificate and its issuers (PEM or DER), instead of DIR/tls.crt')
    .option('--key <FILE>', 'its private key (PEM), instead of DIR/tls.key')
    .option('--ca <FILE>', 'issuers and root (PEM or DER), instead of DIR/ca.crt')
    .option('--legacy', 'p12: use the older encryption, which every program reads')
    .option('--name <TEXT>', 'p12: the name that the importing program shows (default: the identity)')
    .option('--public', 'jwk: without the private half');
  return withSettings(withPasswordFlags(command))
    .option('--out <FILE>', 'the file to write (default: ./NAME.p12, .pem, …)')
    .option('--force', 'replace the file')
    .option('--json', 'print JSON')
    .action(async (dir: string | undefined, flags: Flags) => {
      const format = choiceFlag('--format', flags.format, formats);
      requireFitting(format, flags);
      const publicOnly = flags.public === true;
      const withKey = holdsKey({ format, publicOnly });
      const source = await readSource(dir, flags, {
        cwd: io.cwd,
        now: Date.now(),
        withKey,
        login: loginIdentity(io.env),
      });
      const path = resolve(io.cwd, flags.out ?? `${source.stem}${endings[format]}`);
      const force = flags.force === true;
      await requireFreePlace(path, { force });
      requireAnother(path, source.files);
      if (force) requireNotOfCa(path, configOf(command, io));
      const pkcs12 = format === 'p12' ? await pkcs12Options(source, flags, io) : null;
      const content = await encodeExport(source, { format, publicOnly, pkcs12 });
      const noted = withKey ? await onRecord(source, path, format, configOf(command, io), io) : null;
      await writeOutputFile(path, content, { mode: withKey ? PRIVATE_FILE : PUBLIC_FILE, force });
      tell(source, path, { format, withKey, json: flags.json === true }, io);
      if (noted !== null) io.say(printable(noted));
    });
}

/**
 * That the key goes out is on record before it does, where the store is at hand and knows the certificate; files alone have
 * none. Answers what is to be said about it; null for nothing.
 */
async function onRecord(
  { sent: [leaf] }: ExportSource,
  file: string,
  format: Format,
  { stateDir }: Config,
  io: CommandIo,
): Promise<string | null> {
  if (!existsSync(storeFile(stateDir))) return null;
  try {
    const store = openStoreToAct(stateDir, io);
    try {
      const { serial } = factsOf(leaf);
      const [known] = await store.listCertificates({ serial, now: Date.now() });
      if (known?.fingerprint !== fingerprintOf(leaf)) return null;
      const detail = { serial, format, file };
      await store.addAudit({
        ...{ time: Date.now(), actor: actor(), action: 'key.export', object: known.identity, detail },
      });
    } finally {
      await store.close();
    }
  } catch (error) {
    if (!isCertgateError(error)) throw error;
    return `not noted in the record: ${error.message}`;
  }
  return null;
}

/** Replacing what is exported by what is made of it could lose the only key. CG_FILE_EXISTS. */
function requireAnother(path: string, files: readonly string[]): void {
  const there = statSync(path, { throwIfNoEntry: false });
  const same = files.some((file) => {
    const one = statSync(file, { throwIfNoEntry: false });
    return there !== undefined && one?.ino === there.ino && one.dev === there.dev;
  });
  if (same) throw new CertgateError('CG_FILE_EXISTS', { path, problem: 'is what is exported', replaceable: false });
}

/** What is in the CA's own folders is no export that another may take the place of. CG_FILE_EXISTS. */
function requireNotOfCa(path: string, { certsDir, stateDir }: Config): void {
  const real = (folder: string): string => (existsSync(folder) ? realpathSync(folder) : folder);
  if (!existsSync(path) || ![certsDir, stateDir].map(real).includes(real(dirname(path)))) return;
  throw new CertgateError('CG_FILE_EXISTS', {
    path,
    problem: 'exists already, among the files of the CA',
    replaceable: false,
  });
}

/** A flag that would change nothing is a misunderstanding, so it is said. */
function requireFitting(format: Format, flags: Flags): void {
  const only = (flag: string, wanted: Format): void => {
    if (format !== wanted) throw usage(`${flag} does nothing for --format ${format}`, `use it with --format ${wanted}`);
  };
  if (flags.legacy === true) only('--legacy', 'p12');
  if (flags.name !== undefined) only('--name', 'p12');
  for (const flag of passwordFlagsGiven(flags)) only(flag, 'p12');
  if (flags.public === true) only('--public', 'jwk');
  if (flags.out === '-') throw usage('certgate export writes to a file, not to standard output', 'name it: --out FILE');
}

async function pkcs12Options(
  source: ExportSource,
  flags: Flags,
  io: CommandIo,
): Promise<NonNullable<Wanted['pkcs12']>> {
  const legacy = flags.legacy === true;
  const friendlyName = friendlyNameOf(flags.name ?? source.name, flags.name !== undefined);
  const password = await newPassword(flags, io);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the control characters were refused; this asks for ASCII
  if (!/^[\x00-\x7f]+$/.test(password))
    io.say('note: Java opens such a file only under a password of ASCII characters');
  return { legacy, friendlyName, password };
}

/** BMPString holds the characters up to U+FFFF; what is not to be seen misleads whoever picks a certificate. */
function friendlyNameOf(name: string, given: boolean): string {
  const fit = name !== '' && name.length <= 128 && printable(name) === name && !/[\u{10000}-\u{10ffff}]/u.test(name);
  if (fit) return name;
  if (!given) return 'certgate';
  throw usage(
    `--name is ${shown(name)}`,
    'use 1 to 128 visible characters, none past U+FFFF (such as emoji), e.g. --name "alice at work"',
  );
}

function tell(
  source: ExportSource,
  path: string,
  { format, withKey, json }: { readonly format: Format; readonly withKey: boolean; readonly json: boolean },
  io: CommandIo,
): void {
  const { name, notAfter, missing } = source;
  const certificates = certificatesIn(source, format).length;
  if (json) {
    const facts = {
      path,
      format,
      identity: name,
      notAfter: notAfter.toISOString(),
      certificates,
      key: withKey,
      missing,
    };
    io.out(printableJson(facts, 2));
    return;
  }
  io.out(printable(here(path, io)));
  const count = certificates === 1 ? 'the certificate' : `a chain of ${certificates} certificates`;
  const key = withKey ? ['the private key (mode 0600)'] : format === 'jwk' ? ['the public key'] : [];
  const parts = [...key, ...(certificates === 0 ? [] : [count])];
  io.say(printable(`it holds ${parts.join(' and ')} of ${name}`));
  io.say(`valid until ${notAfter.toISOString()}, ${roughDuration(notAfter.getTime() - Date.now())} from now`);
  if (missing !== null && certificates > 0)
    io.say(printable(`note: the chain ends below ${missing}, which is not in the files: name it with --ca FILE`));
}
