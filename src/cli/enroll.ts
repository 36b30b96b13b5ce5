// certgate enroll: a new machine's certificate, by a token. The key is made here and never leaves; the CA is pinned by the
// fingerprint in the token. The folder is there whole or not at all.
import { resolve } from 'node:path';
import { Command } from 'commander';
import { roughDuration } from '../config/duration.ts';
import type { Config } from '../config/schema.ts';
import { type EnrolledFolder, enrollToFolder } from '../enroll/enroll-to-folder.ts';
import { type EnrollFlags, type EnrollSource, enrollSource, withEnrollFlags } from './enroll-source.ts';
import { printable, printableJson } from './escape.ts';
import { durationFlag, usage } from './flags.ts';
import { describe } from './help.ts';
import { type CommandIo, here } from './io.ts';
import { configOf, withSettings } from './settings.ts';

interface Flags extends EnrollFlags {
  readonly out?: string;
  readonly force?: true;
  readonly wait: string;
  readonly json?: true;
}

export function enrollCommand(io: CommandIo): Command {
  const command = describe(new Command('enroll'), 'get a certificate with a token, or with an identity token (JWT)', {
    examples: [
      ['with a token in a file, into ./worker-etl-1', 'certgate enroll --token-file token'],
      [
        'from standard input: in no file and in no list of processes',
        'certgate enroll --token-file - --out /etc/certgate/identity',
      ],
      [
        "as an argument: visible in `ps` and in the shell's history, but good for only one use",
        'certgate enroll cgt1_…',
      ],
      [
        'with the service-account token of a pod',
        'certgate enroll --identity-token-file /var/run/secrets/certgate/token --gate https://gate.example:8443 --ca ca.crt',
      ],
      ['one of a fleet', 'certgate enroll --token-file token --name worker/etl-7'],
    ],
    notes: [
      'certgate run and certgate connect take the same flags, so that no separate enroll is needed.',
      'if it is killed half-way, or the answer is lost, the same command gets the same certificate within five minutes.',
      "without --name, a token for several names is used with this machine's name.",
      "an identity token is sent only to a gate that --ca or --fingerprint verifies; the gate's rules decide the name.",
    ],
  }).argument('[TOKEN]', 'the token itself');
  withEnrollFlags(command)
    .option('--out <DIR>', 'the folder to create (default: ./NAME with - for /, or ./certgate-identity)')
    .option('--force', 'replace the certificate in an existing folder')
    .option('--wait <DURATION>', 'how long to retry while the gate cannot be reached', '30s')
    .option('--json', 'print JSON');
  return withSettings(command, ['connect.gate', 'connect.ca', 'connect.fingerprint', 'connect.serverName']).action(
    async (text: string | undefined, flags: Flags) => {
      const config = configOf(command, io);
      const source = await enrollSource(flags, config, io, (words) => io.say(words), text);
      if (source === null) {
        const ways =
          'give one with --token-file FILE (- is standard input) or CERTGATE_TOKEN; or see --identity-token-file';
        throw usage('no token', ways);
      }
      const out = flags.out === undefined ? source.folder : resolve(io.cwd, flags.out);
      const patienceMs = durationFlag('--wait', flags.wait);
      const where = { out, patienceMs, force: flags.force === true };
      const enrolled = await enrolInto(source, config, where, (words) => io.say(words));
      if (flags.json === true) {
        const { notAfter, ...rest } = enrolled;
        io.out(printableJson({ ...rest, notAfter: new Date(notAfter).toISOString() }, 2));
        return;
      }
      io.out(printable(here(enrolled.path, io)));
      for (const line of enrolledWords(enrolled)) io.say(line);
    },
  );
}

/** Enrols as the configuration and the source say; `say` is told of each wait. What `enrollToFolder` throws. */
export function enrolInto(
  { credential, identity }: EnrollSource,
  { connect }: Config,
  where: { readonly out: string; readonly patienceMs: number; readonly force: boolean },
  say: (text: string) => void,
): Promise<EnrolledFolder> {
  return enrollToFolder({
    ...where,
    credential,
    identity,
    gate: connect.gate === null ? null : new URL(connect.gate),
    serverName: connect.serverName,
    waiting: (reason, ms) => say(printable(`${reason}; trying again in ${(ms / 1000).toFixed(1)} s`)),
  });
}

export function enrolledWords({ identity, serial, groups, notAfter }: EnrolledFolder): string[] {
  const until = `${new Date(notAfter).toISOString()}, ${roughDuration(notAfter - Date.now())} from now`;
  const words = [printable(`enrolled as ${identity}, serial ${serial}, until ${until}`)];
  return groups.length === 0 ? words : [...words, printable(`groups: ${groups.join(', ')}`)];
}
