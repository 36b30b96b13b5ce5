// certgate issue: a certificate in a folder, with the names of a Kubernetes TLS secret. The key is made there with mode
// 0600, or never seen when a signing request is given. What is wrong with the command line or the configuration is said
// before anything is made; src/authority keeps the rest whole or takes it back.
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { type IssuedDirectory, issueToDirectory } from '../authority/issue-to-directory.ts';
import { loadAuthority } from '../authority/load.ts';
import { isDnsName } from '../config/address.ts';
import { roughDuration } from '../config/duration.ts';
import { EXIT, isCertgateError, shown } from '../errors.ts';
import { parseGroups } from '../identity/groups.ts';
import { parseIdentityName } from '../identity/name.ts';
import type { KeyKind } from '../pki/keys.ts';
import type { Store } from '../store/store.ts';
import { actor, openStoreToAct } from './actor.ts';
import { printable, printableJson } from './escape.ts';
import { choiceFlag, collect, usage } from './flags.ts';
import { describe } from './help.ts';
import { type CommandIo, here } from './io.ts';
import { asJson } from './list.ts';
import { readNamed } from './named-file.ts';
import { commandKeys } from './passphrase.ts';
import { configOf, withSettings } from './settings.ts';

const SETTINGS = ['issue.ttl', 'ca.passphraseFile', 'ca.signer'];
const LARGEST_REQUEST = 1_048_576;
/** Characters of it on record. */
const LONGEST_REASON = 1024;

/** Elliptic curves are smaller and faster; RSA is for programs that know nothing else. */
const keyTypes: Readonly<Record<string, KeyKind>> = {
  'p-256': 'P-256',
  'p-384': 'P-384',
  ed25519: 'Ed25519',
  'rsa-2048': 'RSA-2048',
  'rsa-3072': 'RSA-3072',
  'rsa-4096': 'RSA-4096',
};

interface Flags {
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
  readonly group?: readonly string[];
  readonly csr?: string;
  readonly keyType?: string;
  readonly out?: string;
  readonly force?: true;
  readonly json?: true;
}

export function issueCommand(io: CommandIo): Command {
  const command = describe(new Command('issue'), 'issue a certificate to a worker, a user or a service', {
    examples: [
      ['a new key and its certificate, in ./worker-etl-1', 'certgate issue worker/etl-1'],
      ['for a person, for a week, into a folder of your choice', 'certgate issue user/alice --ttl 7d --out /tmp/alice'],
      ['renew: replace what is in the folder', 'certgate issue worker/etl-1 --force'],
      [
        'with a key that stays with its owner: the owner makes a request',
        'openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout tls.key -subj /CN=etl-1 -out tls.csr',
      ],
      ['… and gets tls.crt and ca.crt', 'certgate issue worker/etl-1 --csr tls.csr'],
    ],
    notes: [
      'NAME, --dns and --ip decide what the certificate contains; a signing request that asks for anything else is refused.',
      'certgate export converts the folder into a file that a browser, a keychain or Java can import.',
    ],
  })
    .argument('<NAME>', 'worker/…, user/… or service/…, e.g. worker/etl-1')
    .option('--dns <NAME>', 'a DNS name to add to the certificate; may be repeated', collect)
    .option('--ip <ADDRESS>', 'an IP address to add to the certificate; may be repeated', collect)
    .option('--group <NAME>', 'a group that the identity is in, for roles bound to groups; may be repeated', collect)
    .option('--csr <FILE>', 'certify the key of this signing request (PEM or DER; - is standard input)')
    .option('--key-type <TYPE>', `the key to make: ${Object.keys(keyTypes).join(', ')} (default: p-256)`)
    .option('--out <DIR>', 'the folder to create (default: ./NAME with - for /)')
    .option('--force', 'replace the certificate in an existing folder')
    .option('--json', 'print JSON');
  return withSettings(command, SETTINGS).action(async (name: string, flags: Flags) => {
    const identity = parseIdentityName(name);
    const names = namesOf(flags);
    const keyKind = keyKindOf(flags);
    const groups = parseGroups(flags.group ?? []);
    const config = configOf(command, io);
    const csr = flags.csr === undefined ? {} : { csr: await readRequestFrom(flags.csr, io) };
    const store = openStoreToAct(config.stateDir, io);
    try {
      const statusUrl = config.serve.status.url;
      const keys = await commandKeys(config, io);
      const place = { certsDir: config.certsDir, store, trustDomain: config.trustDomain, statusUrl, keys };
      const authority = await loadAuthority(place);
      const out = resolve(io.cwd, flags.out ?? identity.replaceAll('/', '-'));
      const force = flags.force === true;
      const request = {
        identity,
        profile: 'client' as const,
        ttlMs: config.issue.ttl,
        ...names,
        groups,
        ...csr,
        keyKind,
        out,
        actor: actor(),
        force,
      };
      const issued = await issueToDirectory(authority, request).catch((error: unknown) =>
        refusedOnRecord(store, identity, error),
      );
      const { record, path, files } = issued;
      if (flags.json === true) io.out(printableJson({ ...asJson(record, Date.now()), path, files }, 2));
      else tell(issued, io);
    } finally {
      await store.close();
    }
  });
}

/** What the CA itself refuses, such as a lock, a name or a weak key, is on record too; then throws `error` again. */
async function refusedOnRecord(store: Store, object: string, error: unknown): Promise<never> {
  if (isCertgateError(error) && error.exitCode === EXIT.refused) {
    const detail = { code: error.code, reason: error.message.slice(0, LONGEST_REASON) };
    const entry = { time: Date.now(), actor: actor(), action: 'certificate.refuse', object, detail };
    // The refusal is what must be told, even where the record cannot be written.
    await store.addAudit(entry).catch(() => {});
  }
  throw error;
}

/** DER as it is, anything else as text: what is neither, src/pki refuses. */
async function readRequestFrom(file: string, io: CommandIo): Promise<Uint8Array | string> {
  const bytes = file === '-' ? await io.input(LARGEST_REQUEST) : readNamed(file, io);
  return bytes[0] === 0x30 ? bytes : Buffer.from(bytes).toString('utf8');
}

function namesOf({ dns = [], ip = [] }: Flags): { dns: readonly string[]; ip: readonly string[] } {
  const odd = dns.find((name) => !isDnsName(name));
  if (odd !== undefined) throw usage(`--dns is ${shown(odd)}, not a DNS name`, 'for example --dns etl-1.example');
  const none = ip.find((address) => isIP(address) === 0);
  if (none !== undefined) throw usage(`--ip is ${shown(none)}, not an IP address`, 'for example --ip 192.0.2.7');
  return { dns, ip };
}

function keyKindOf({ keyType, csr }: Flags): KeyKind {
  if (csr !== undefined && keyType !== undefined) {
    throw usage('--key-type has no effect with --csr, whose key exists already', 'leave one of them out');
  }
  return keyTypes[choiceFlag('--key-type', keyType ?? 'p-256', Object.keys(keyTypes))] ?? 'P-256';
}

function tell({ record, path, files }: IssuedDirectory, io: CommandIo): void {
  io.out(printable(here(path, io)));
  const until = `${new Date(record.notAfter).toISOString()}, ${roughDuration(record.notAfter - Date.now())} from now`;
  io.say(`issued ${record.identity}, serial ${record.serial}, until ${until}`);
  const withKey = files.some((file) => file.endsWith('tls.key'));
  io.say(
    withKey
      ? 'it holds tls.crt, tls.key (mode 0600) and ca.crt'
      : 'it holds tls.crt and ca.crt; the key stays with its owner',
  );
}
