// certgate revoke: takes certificates back. The revocation is committed first; then the gate on this machine is asked to
// look at once, and what it cut is told. A gate elsewhere sees it by itself, within WATCH_INTERVAL.
import { Command } from 'commander';
import type { AppliedRecords } from '../admin/control-client.ts';
import { type RevokedRecord, revokeCertificates } from '../authority/revocation.ts';
import { tokenState } from '../authority/tokens.ts';
import { covers } from '../enroll/token.ts';
import { parseIdentityName } from '../identity/name.ts';
import { revokedCause } from '../inbound/revocation-watch.ts';
import { type CertificateRecord, revocationReasons, type Store } from '../store/store.ts';
import { actor, openStoreToAct } from './actor.ts';
import { printable, printableJson } from './escape.ts';
import { choiceFlag, usage } from './flags.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { asJson } from './list.ts';
import { readNamed } from './named-file.ts';
import { configOf, withSettings } from './settings.ts';
import { gateWords, tellGate } from './tell-gate.ts';

interface Flags {
  readonly serial?: string;
  readonly file?: string;
  readonly reason: string;
  readonly json?: true;
}

export function revokeCommand(io: CommandIo): Command {
  const command = describe(new Command('revoke'), 'revoke certificates: their connections are cut at once', {
    examples: [
      ['every certificate of an identity', 'certgate revoke worker/etl-1 --reason keyCompromise'],
      [
        'one certificate, by its serial number from `certgate list`',
        'certgate revoke --serial 5f3a9c0e1d2b48768897a6b5c4d3e2f1',
      ],
      ['the certificate in a file', 'certgate revoke --file worker-etl-1/tls.crt --reason superseded'],
    ],
    notes: [
      'a revocation is final: to let somebody in again, issue a new certificate. To keep somebody out for a time, see certgate lock.',
      'the gate on this machine is told at once; a gate elsewhere on the same store notices by itself.',
    ],
  })
    .argument('[IDENTITY]', 'revoke all its certificates that have not expired, or that may still be renewed')
    .option('--serial <HEX>', 'this certificate only')
    .option('--file <FILE>', 'the certificate in this file (PEM; the first one if there are several)')
    .option('--reason <REASON>', `why, as RFC 5280 has it: ${revocationReasons.join(', ')}`, 'unspecified')
    .option('--json', 'print JSON');
  return withSettings(command).action(async (identity: string | undefined, flags: Flags) => {
    const selector = selectorOf(identity, flags, io);
    const reason = choiceFlag('--reason', flags.reason, revocationReasons);
    const config = configOf(command, io);
    const started = Date.now();
    const store = openStoreToAct(config.stateDir, io);
    let revoked: readonly RevokedRecord[];
    let tokens: readonly string[] = [];
    let told: Promise<AppliedRecords | null>;
    try {
      // Without the CA's keys: where they are lost or expired, taking back must still work.
      revoked = await revokeCertificates(store, selector, reason, actor(), started, config.renew.grace);
      if (flags.json !== true) sayRevoked(revoked, started, io);
      // Committed: from here on nothing can fail but the telling, which nothing else comes before.
      const causes = revoked.filter((one) => !wasBefore(one, started)).map(({ serial }) => revokedCause(serial));
      told = tellGate(config.stateDir, causes, 'the revocation', io);
      told.catch(() => {});
      tokens = await tokensFor(store, revoked, started).catch(() => []);
    } finally {
      await store.close();
    }
    if (flags.json !== true) {
      for (const id of tokens) io.say(`a token can still enrol it: certgate token revoke ${id}`);
    }
    const gate = await told;
    if (flags.json === true) {
      io.out(printableJson({ revoked: revoked.map((record) => asJson(record, Date.now())), gate }, 2));
    } else {
      io.say(gateWords(gate));
    }
  });
}

/** Ids of the tokens by which somebody could get a certificate of those names again. */
async function tokensFor(store: Store, revoked: readonly CertificateRecord[], now: number): Promise<readonly string[]> {
  const names = new Set(revoked.map(({ identity }) => identity));
  return (await store.tokens())
    .filter((token) => tokenState(token, now) === 'usable' && [...names].some((name) => covers(token.subject, name)))
    .map(({ id }) => id);
}

function selectorOf(identity: string | undefined, { serial, file }: Flags, io: CommandIo) {
  const given = [identity, serial, file].filter((one) => one !== undefined).length;
  if (given !== 1) {
    const problem = given === 0 ? 'revoke what?' : 'an identity, --serial and --file exclude each other';
    throw usage(problem, 'for example certgate revoke worker/etl-1; certgate list shows what there is');
  }
  if (identity !== undefined) return { identity: parseIdentityName(identity) };
  if (serial !== undefined) return { serial };
  return { certificatePem: firstCertificate(readNamed(file ?? '', io).toString('utf8')) };
}

/** Whether it was taken back before this command. */
function wasBefore({ revokedAt }: Pick<RevokedRecord, 'revokedAt'>, started: number): boolean {
  return revokedAt !== null && revokedAt < started;
}

/** tls.crt holds the leaf, then its issuer; it is the leaf that is meant. What is no PEM at all is refused further on. */
function firstCertificate(text: string): string {
  return /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/.exec(text)?.[0] ?? text;
}

function sayRevoked(records: readonly RevokedRecord[], started: number, io: CommandIo): void {
  for (const { identity, serial, revokedAt, reason, reasonBefore } of records) {
    const before = wasBefore({ revokedAt }, started) ? revokedAt : null;
    const words = before === null ? 'revoked' : `was revoked already, ${new Date(before).toISOString()}`;
    const why = reasonBefore === null ? (reason ?? 'unspecified') : `${reasonBefore}; the reason is ${reason} now`;
    io.out(printable(`${identity}  ${serial}  ${words}: ${why}`));
  }
}
