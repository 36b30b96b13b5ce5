// `certgate renew`: renews the certificate of a folder, once or for as long as it runs, for programs that read the files
// themselves. `connect`, `run` and `serve` renew their own, and may share the folder with it: one of them renews at a time.

import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import type { Config } from '../config/schema.ts';
import { CertgateError, systemCode } from '../errors.ts';
import { flushLog, openLog } from '../observe/log.ts';
import type { Credentials } from '../outbound/credentials.ts';
import { keepIdentity } from '../outbound/kept-identity.ts';
import { renewOnce } from '../outbound/renew-once.ts';
import { type EnrollFlags, withEnrollFlags } from './enroll-source.ts';
import { enrollingAgain, ensureEnrolled } from './ensure-enrolled.ts';
import { printable, printableJson } from './escape.ts';
import { durationFlag, usage } from './flags.ts';
import { describe } from './help.ts';
import { identityTokenVariable } from './identity-token-source.ts';
import type { CommandIo } from './io.ts';
import { hookWords, openHook, requireNoFailure } from './renewal-hook.ts';
import { withoutSecrets } from './run.ts';
import { configOf, withSettings } from './settings.ts';
import { filesOf, identityOptions } from './sidecar-options.ts';
import { hearStop } from './signals.ts';
import { tellReady } from './tell-ready.ts';

interface Flags extends EnrollFlags {
  readonly ifDue?: true;
  readonly daemon?: true;
  readonly exec?: string;
  readonly execShell?: string;
  readonly execTimeout: string;
  readonly json?: true;
}

const SETTINGS = [
  'connect.gate',
  'connect.identityDir',
  'connect.fingerprint',
  'connect.passphraseFile',
  'connect.serverName',
  'log.level',
];

/** Timers take 24 days, and fire at once for more. */
const EXEC_TIMEOUT = { min: '1s', max: '24h' };

/** After how long a daemon runs a command again that failed, ms. */
const HOOK_RETRY = 60_000;

export function renewCommand(io: CommandIo): Command {
  const command = describe(new Command('renew'), 'renew a certificate, for programs that read its files', {
    examples: [
      ['once, now', 'certgate renew --gate https://gate.example:8443 --identity ./worker-etl-1'],
      [
        'from a timer: only once two thirds of its lifetime are over',
        "certgate renew --if-due --gate https://gate.example:8443 --identity ./worker-etl-1 --exec 'systemctl reload nginx'",
      ],
      [
        'as a daemon, with a command after each renewal',
        "certgate renew --daemon --gate https://gate.example:8443 --identity ./worker-etl-1 --exec 'systemctl reload nginx'",
      ],
      [
        'on a new machine, with a token that the gate made: certgate token create service/web',
        "certgate renew --daemon --token-file token --identity ./service-web --exec-shell 'kill -HUP $(cat app.pid)'",
      ],
    ],
    notes: [
      'certgate connect and certgate run renew their own certificate. If several use one folder, one renews and all take the new certificate.',
      'the command gets CERTGATE_CERT_FILE, CERTGATE_KEY_FILE, CERTGATE_CA_FILE and CERTGATE_SERIAL in its environment.',
      'a daemon also runs the command when it starts, so that it misses no renewal; SIGHUP renews now.',
    ],
  });
  withSettings(command, SETTINGS)
    .option('--if-due', 'do nothing until about two thirds of its lifetime are over')
    .option('--daemon', 'keep running: renew it whenever it is due, and keep the trust bundle up to date')
    .option('--exec <COMMAND>', 'run this command after a renewal; split at spaces, without a shell')
    .option('--exec-shell <COMMAND>', 'the same, with sh -c')
    .option('--exec-timeout <DURATION>', 'kill that command after this time, 1s to 24h', '1m')
    .option('--json', 'print JSON');
  withEnrollFlags(command);
  return command.action(async (flags: Flags) => {
    if (flags.daemon === true && (flags.ifDue === true || flags.json === true)) {
      const flag = flags.ifDue === true ? '--if-due' : '--json';
      throw usage(`${flag} is for a renewal that ends, and --daemon does not`, 'leave one of the two out');
    }
    const words = hookWords(flags);
    const timeoutMs = durationFlag('--exec-timeout', flags.execTimeout, EXEC_TIMEOUT);
    const given = configOf(command, io);
    const { level } = given.log;
    const log = openLog({ level: flags.daemon !== true && level === 'info' ? 'warn' : level });
    // So that a signal that comes early is none that ends it.
    let renewNow = (): void => {};
    const hangUp = (): void => renewNow();
    if (flags.daemon === true) process.on('SIGHUP', hangUp);
    const before = await certificateIn(given);
    const config = await ensureEnrolled(given, flags, log, io, flags.daemon === true ? undefined : 0);
    const now = await certificateIn(config);
    const fresh = before !== null && now !== null && now !== before;
    const { cert, key, ca } = filesOf(config);
    const env = {
      ...withoutSecrets(io.env, identityTokenVariable(flags)),
      CERTGATE_CERT_FILE: cert,
      CERTGATE_KEY_FILE: key,
      CERTGATE_CA_FILE: ca,
    };
    const hook =
      words === null
        ? null
        : openHook({ words, timeoutMs, env, log, retryMs: flags.daemon === true ? HOOK_RETRY : null });
    const options = { ...identityOptions(config, log, io), enrollAgain: enrollingAgain(config, flags, io) };
    const dir = options.renewIn;
    if (dir === null) throw notOurs();
    if (flags.daemon !== true) {
      const { outcome, credentials } = await renewOnce({ ...options, dir, ifDue: fresh || flags.ifDue === true });
      if (outcome === 'busy') {
        throw new CertgateError('CG_RENEWAL', { dir, reason: 'another process is renewing it right now' });
      }
      const what = fresh ? 'renewed' : outcome;
      tell({ dir, what, credentials }, flags, io);
      if (hook !== null && words !== null && what !== 'not due') {
        await hook.run(serialOf(credentials));
        requireNoFailure(hook, words);
      }
      await flushLog(log);
      return;
    }
    const stop = hearStop();
    const identity = await keepIdentity(options, () => void hook?.run(serialOf(identity.current)));
    ({ renewNow } = identity);
    log.info({ identity: dir, notAfter: new Date(identity.current.notAfter).toISOString() }, 'keeping it renewed');
    void tellReady(log, io.env);
    void hook?.run(serialOf(identity.current));
    // No listener holds this process: what it waits for are timers that hold none.
    const held = setInterval(() => {}, 60_000);
    await stop.until(async (signal, hurry) => {
      clearInterval(held);
      log.info({ signal }, 'stopping');
      hurry.addEventListener('abort', () => hook?.end());
      await identity.stop();
      await hook?.stop();
    });
    process.off('SIGHUP', hangUp);
    log.info({ hookFailures: hook?.failures ?? 0 }, 'stopped');
    await flushLog(log);
  });
}

const serialOf = ({ certificate }: Credentials): string => certificate.serialNumber.toLowerCase();

/** The text of its file; empty when there is none, or nobody has said where; null when it could not be read. */
async function certificateIn(config: Config): Promise<string | null> {
  if (config.connect.identityDir === null) return '';
  return readFile(filesOf(config).cert, 'utf8').catch((error: unknown) => (systemCode(error) === 'ENOENT' ? '' : null));
}

function notOurs(): CertgateError {
  return usage(
    'the certificate is renewed by somebody else: connect.renew is false, or connect.cert or connect.key names its file',
    'name the folder of an identity with --identity DIR, and set neither of the three',
  );
}

function tell(
  { dir, what, credentials }: { readonly dir: string; readonly what: string; readonly credentials: Credentials },
  flags: Flags,
  io: CommandIo,
): void {
  const [serial, notAfter] = [serialOf(credentials), new Date(credentials.notAfter).toISOString()];
  if (flags.json === true) {
    io.out(printableJson({ outcome: what, path: dir, serial, notAfter }, 2));
    return;
  }
  const words =
    what === 'taken' ? 'another process had just renewed it' : what === 'renewed' ? 'renewed' : 'not due yet';
  io.say(printable(`${dir}: ${words}: serial ${serial}, until ${notAfter}`));
}
