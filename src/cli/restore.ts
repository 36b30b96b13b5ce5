// certgate restore: a CA from its backup, in an empty place. A backup is of yesterday: what was revoked since must not come
// back, so the command wants the newest revocation list, or to be told that there is none. It says what it revoked again,
// what nobody can know any more, and what to do next.
import { createReadStream, existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { type Restored, restoreBackup } from '../authority/restore.ts';
import type { GivenCrl } from '../authority/restored-crl.ts';
import { loadConfig } from '../config/load.ts';
import { withOwnFolders } from '../config/relocate.ts';
import { CertgateError, isCertgateError, reasonOf, shellWord, shown } from '../errors.ts';
import { readCrl } from '../pki/read-crl.ts';
import { actor, origin } from './actor.ts';
import { printable, printableJson } from './escape.ts';
import { collect, countFlag, usage } from './flags.ts';
import { describe } from './help.ts';
import { type CommandIo, here } from './io.ts';
import { named } from './named-file.ts';

interface Flags {
  readonly dir: string;
  readonly crl?: readonly string[];
  readonly withoutCrl?: true;
  readonly bundleNumberAbove?: string;
  readonly json?: true;
}

/** A longer list is not read, bytes: 400,000 entries are below it. */
const MOST_BYTES = 16 * 1024 * 1024;
/** Of a trust bundle: the end of the year 9999, so that there is room to grow. */
const LARGEST_NUMBER = 253_402_300_799_999;
/** How long a list may take to come, ms. */
const TIMEOUT = 30_000;

export function restoreCommand(io: CommandIo): Command {
  return describe(new Command('restore'), 'restore a CA from a backup, into an empty folder', {
    examples: [
      ['with the newest revocation list', 'certgate restore /backup/monday --dir /var/lib/certgate --crl issuer.crl'],
      [
        'with the list from the address where it is published',
        'certgate restore monday --dir again --crl http://gate.example:8081/crl.crl',
      ],
      [
        'only if there is no list: what was revoked since the backup is forgotten',
        'certgate restore monday --dir again --without-crl',
      ],
    ],
    notes: [
      'every file is checked against the manifest, the keys against the certificates, and these against the store.',
      'the list is signed, so it may come from anyone. A list older than the backup is refused.',
      'certificates issued after the backup are not on record, so a gate refuses them: issue them again.',
      'identity tokens (JWT) issued before the restore are refused: they may have been used since the backup.',
    ],
  })
    .argument('<BACKUP>', 'the folder that certgate backup made')
    .requiredOption('--dir <DIR>', 'the target: a folder that is empty or does not exist yet')
    .option(
      '--crl <FILE|URL>',
      'the newest revocation list (PEM or DER); may be repeated, once for each issuer',
      collect,
    )
    .option('--without-crl', 'without a list: what was revoked since the backup is forgotten')
    .option(
      '--bundle-number-above <N>',
      'the highest trust-bundle number that a sidecar has seen (.ca.crt.number), if that is in the future',
    )
    .option('--json', 'print JSON')
    .action(async (from: string, flags: Flags) => {
      const source = resolve(io.cwd, from);
      const above = flags.bundleNumberAbove;
      const bundleAbove =
        above === undefined ? 0 : countFlag('--bundle-number-above', above, { min: 1, max: LARGEST_NUMBER });
      const restored = await restoreBackup({
        from: source,
        dir: resolve(io.cwd, flags.dir),
        crls: await Promise.all((flags.crl ?? []).map((one) => readGiven(one, io))),
        withoutCrl: flags.withoutCrl === true,
        bundleAbove,
        configuration: (text) => configurationOf(source, text, io),
        actor: actor(),
        origin: origin(io),
        now: Date.now(),
      });
      if (flags.json === true) return io.out(printableJson(asJson(restored), 2));
      io.out(printable(restored.dir));
      for (const line of wordsAbout(restored, io)) io.say(printable(line));
    });
}

async function readGiven(source: string, io: CommandIo): Promise<GivenCrl> {
  const isUrl = /^https?:\/\//i.test(source);
  const bytes = isUrl ? await download(source) : await readFileOf(source, io);
  try {
    return { source, crl: readCrl(bytes) };
  } catch (error) {
    if (!isCertgateError(error, 'CG_CRL_UNREADABLE')) throw error;
    throw new CertgateError('CG_CRL_UNREADABLE', { problem: error.facts.problem, file: source }, { cause: error });
  }
}

async function readFileOf(file: string, { cwd }: CommandIo): Promise<Uint8Array> {
  try {
    return await gather(createReadStream(resolve(cwd, file)) as AsyncIterable<Uint8Array>, file);
  } catch (error) {
    throw named(file, error);
  }
}

async function download(url: string): Promise<Uint8Array> {
  const failed = (problem: string, cause?: unknown): CertgateError =>
    new CertgateError('CG_CRL_FETCH', { url, problem }, { cause });
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT), redirect: 'follow' });
    if (!answer.ok || answer.body === null) throw failed(`the answer was ${answer.status}`);
    return await gather(answer.body as AsyncIterable<Uint8Array>, url);
  } catch (error) {
    if (isCertgateError(error)) throw error;
    const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : '';
    throw failed(`${reasonOf(error)}${cause}`, error);
  }
}

async function gather(chunks: AsyncIterable<Uint8Array>, source: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    if (size > MOST_BYTES)
      throw usage(`${shown(source)} is larger than ${MOST_BYTES} bytes`, 'name a revocation list: --crl FILE');
    parts.push(chunk);
  }
  return Buffer.concat(parts);
}

/** The backup's configuration for its new place. One that this certgate does not understand is restored as it is. */
function configurationOf(from: string, text: string, io: CommandIo): { text: string; trustDomain: string | null } {
  try {
    const config = loadConfig({ file: join(from, 'certgate.yaml'), env: {}, cwd: from });
    const own = config.certsDir === join(from, 'certs') && config.stateDir === join(from, 'state');
    return { text: own ? text : withOwnFolders(text), trustDomain: config.trustDomain };
  } catch (error) {
    if (!isCertgateError(error, 'CG_CONFIG')) throw error;
    io.say(printable(`the configuration in the backup is restored as it is, but has problems: ${error.message}`));
    return { text, trustDomain: null };
  }
}

function asJson({ dir, manifest, judgement, counts, warnings }: Restored): unknown {
  const { madeAt, trustDomain, store } = manifest;
  const crls = judgement.lists.map((list) => ({ ...list, thisUpdate: new Date(list.thisUpdate).toISOString() }));
  return {
    dir,
    madeAt,
    trustDomain,
    store,
    crls,
    revokedAgain: counts.revoked,
    revokedUnknown: counts.unknown,
    revokedTokens: counts.tokens,
    warnings,
  };
}

function* wordsAbout({ dir, manifest, judgement, counts, warnings }: Restored, io: CommandIo): Generator<string> {
  const { madeAt, store, trustDomain } = manifest;
  yield `restored the CA of ${trustDomain} as it was at ${madeAt}, revision ${store.revision}, certificates in it: ${store.certificates}`;
  for (const { source, number, thisUpdate, entries } of judgement.lists) {
    const made = new Date(thisUpdate).toISOString();
    yield `list ${number} (${source}) of ${made} names ${entries}; what was revoked after that moment is not on it`;
  }
  if (judgement.lists.length > 0) {
    yield `revoked again: ${counts.revoked} that were valid in the backup, ${counts.unknown} that it does not know`;
  }
  if (counts.tokens > 0) {
    yield `revoked: ${counts.tokens} one-time tokens, which may have been used since: make new ones with certgate token create`;
  }
  for (const warning of warnings) yield `warning: ${warning}`;
  yield `warning: locks are as they were at ${madeAt}: check with certgate locks, set the missing ones, and remove those that are over`;
  yield `certificates issued after ${madeAt} are in no record, and refused: issue them again`;
  const file = join(dir, 'certgate.yaml');
  const config = existsSync(file) ? ` --config ${shellWord(here(file, io))}` : '';
  if (['CERTGATE_STATE_DIR', 'CERTGATE_CERTS_DIR'].some((name) => (io.env[name] ?? '') !== '')) {
    yield 'warning: CERTGATE_STATE_DIR or CERTGATE_CERTS_DIR is set here, and points elsewhere: unset it, or change it';
  }
  yield 'next:';
  yield `  ${io.program} list${config}`;
  yield `  ${io.program} serve${config}`;
}
