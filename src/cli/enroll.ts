// certgate enroll: a new machine's certificate, by a token. The key is made here and never leaves; the CA is pinned by the
// fingerprint in the token. The folder is there whole or not at all.
import { relative, resolve } from 'node:path';
import { Command } from 'commander';
import { roughDuration } from '../config/duration.ts';
import type { Config } from '../config/schema.ts';
import { type EnrolledFolder, enrollToFolder } from '../enroll/enroll-to-folder.ts';
import type { Token } from '../enroll/token.ts';
import { printable, printableJson } from './escape.ts';
import { durationFlag, usage } from './flags.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { configOf, withSettings } from './settings.ts';
import { nameToEnroll, type TokenFlags, tokenFrom, withTokenFlags } from './token-source.ts';

interface Flags extends TokenFlags {
  readonly out?: string;
  readonly force?: true;
  readonly wait: string;
  readonly json?: true;
}

export function enrollCommand(io: CommandIo): Command {
  const command = describe(new Command('enroll'), 'get a certificate with a token of `certgate token create`', {
    examples: [
      ['with a token in a file, into ./worker-etl-1', 'certgate enroll --token-file token'],
      [
        'from standard input: it stands in no file and in no list of processes',
        'certgate enroll --token-file - --out /etc/certgate/identity',
      ],
      ['pasted: in `ps` and in the history of the shell, but good for one use', 'certgate enroll cgt1_…'],
      ['one of a fleet', 'certgate enroll --token-file token --name worker/etl-7'],
    ],
    notes: [
      'certgate run and certgate connect take --token-file too, and then need no enroll before.',
      'killed half-way, or its answer lost: the same command gets the same certificate within five minutes.',
      'without --name, a token for several names is used with the name of this machine.',
    ],
  }).argument('[TOKEN]', 'the token itself');
  withTokenFlags(command)
    .option('--out <DIR>', 'the folder to make (default: ./NAME with - for /)')
    .option('--force', 'replace the certificate in an existing folder')
    .option('--wait <DURATION>', 'how long to try while the gate cannot be reached', '30s')
    .option('--json', 'print JSON');
  return withSettings(command, ['connect.gate', 'connect.serverName']).action(
    async (text: string | undefined, flags: Flags) => {
      const token = await tokenFrom(flags, io, text);
      if (token === null)
        throw usage('no token', 'give one with --token-file FILE (- is standard input) or CERTGATE_TOKEN');
      const config = configOf(command, io);
      const identity = nameToEnroll(token, flags.name);
      const out = resolve(io.cwd, flags.out ?? identity.replaceAll('/', '-'));
      const patienceMs = durationFlag('--wait', flags.wait);
      const enrolled = await enrolInto(
        token,
        config,
        { identity, out, patienceMs, force: flags.force === true },
        (words) => io.say(words),
      );
      if (flags.json === true) {
        const { notAfter, ...rest } = enrolled;
        io.out(printableJson({ ...rest, notAfter: new Date(notAfter).toISOString() }, 2));
        return;
      }
      const below = relative(io.cwd, enrolled.path);
      io.out(printable(below.startsWith('..') ? enrolled.path : `./${below}`));
      for (const line of enrolledWords(enrolled)) io.say(line);
    },
  );
}

/** Enrols as the configuration and the token say; `say` is told of each wait. What `enrollToFolder` throws. */
export function enrolInto(
  token: Token,
  { connect }: Config,
  where: { readonly identity: string; readonly out: string; readonly patienceMs: number; readonly force: boolean },
  say: (text: string) => void,
): Promise<EnrolledFolder> {
  return enrollToFolder({
    ...where,
    token,
    gate: connect.gate === null ? null : new URL(connect.gate),
    serverName: connect.serverName,
    waiting: (reason, ms) => say(printable(`${reason}; trying again in ${(ms / 1000).toFixed(1)} s`)),
  });
}

export function enrolledWords({ identity, serial, notAfter }: EnrolledFolder): string[] {
  const until = `${new Date(notAfter).toISOString()}, ${roughDuration(notAfter - Date.now())} from now`;
  return [printable(`enrolled as ${identity}, serial ${serial}, until ${until}`)];
}
