// certgate revoke: takes certificates back. The revocation is committed first; then the gate on this machine is asked to
// look at once, and what it cut is told. A gate elsewhere sees it by itself, within WATCH_INTERVAL.
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { type AppliedRevocations, applyRevocations } from '../admin/control-client.ts';
import { storeFile } from '../authority/layout.ts';
import { revokeCertificates } from '../authority/revocation.ts';
import { isCertgateError } from '../errors.ts';
import { parseIdentityName } from '../identity/name.ts';
import { WATCH_INTERVAL } from '../inbound/revocation-watch.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { type CertificateRecord, revocationReasons } from '../store/store.ts';
import { actor } from './actor.ts';
import { printable, printableJson } from './escape.ts';
import { choiceFlag, usage } from './flags.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { asJson } from './list.ts';
import { configOf, withSettings } from './settings.ts';

interface Flags {
  readonly serial?: string;
  readonly file?: string;
  readonly reason: string;
  readonly json?: true;
}

export function revokeCommand(io: CommandIo): Command {
  const command = describe(new Command('revoke'), 'take certificates back: their connections are cut at once', {
    examples: [
      ['every certificate of an identity', 'certgate revoke worker/etl-1 --reason keyCompromise'],
      [
        'one certificate, by its serial number from `certgate list`',
        'certgate revoke --serial 5f3a9c0e1d2b48768897a6b5c4d3e2f1',
      ],
      ['the certificate in a file', 'certgate revoke --file worker-etl-1/tls.crt --reason superseded'],
    ],
    notes: [
      'a revocation is final: issue a new certificate instead of taking it back.',
      'the gate on this machine is asked to act at once; one elsewhere on the same store sees it by itself.',
    ],
  })
    .argument('[IDENTITY]', 'whose certificates, all that have not expired')
    .option('--serial <HEX>', 'this certificate only')
    .option('--file <FILE>', 'the certificate in this file (PEM; the first one if there are several)')
    .option('--reason <REASON>', `why, as RFC 5280 has it: ${revocationReasons.join(', ')}`, 'unspecified')
    .option('--json', 'print JSON');
  return withSettings(command).action(async (identity: string | undefined, flags: Flags) => {
    const selector = selectorOf(identity, flags, io);
    const reason = choiceFlag('--reason', flags.reason, revocationReasons);
    const config = configOf(command, io);
    const started = Date.now();
    const store = openSqliteStore(storeFile(config.stateDir));
    let revoked: readonly CertificateRecord[];
    try {
      // Without the CA's keys: where they are lost or expired, taking back must still work.
      revoked = await revokeCertificates(store, selector, reason, actor(), started);
    } finally {
      await store.close();
    }
    if (flags.json !== true) sayRevoked(revoked, started, io);
    // Committed: from here on nothing can fail but the telling.
    const gate = await tellGate(join(config.stateDir, 'control.sock'), revoked, io);
    if (flags.json === true) {
      io.out(printableJson({ revoked: revoked.map((record) => asJson(record, Date.now())), gate }, 2));
    } else {
      io.say(gateWords(gate));
    }
  });
}

function selectorOf(identity: string | undefined, { serial, file }: Flags, io: CommandIo) {
  const given = [identity, serial, file].filter((one) => one !== undefined).length;
  if (given !== 1) {
    const problem = given === 0 ? 'revoke what?' : 'an identity, --serial and --file exclude each other';
    throw usage(problem, 'for example certgate revoke worker/etl-1; certgate list shows what there is');
  }
  if (identity !== undefined) return { identity: parseIdentityName(identity) };
  if (serial !== undefined) return { serial };
  return { certificatePem: firstCertificate(readFileSync(resolve(io.cwd, file ?? ''), 'utf8')) };
}

/** tls.crt holds the leaf, then its issuer; it is the leaf that is meant. What is no PEM at all is refused further on. */
function firstCertificate(text: string): string {
  return /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/.exec(text)?.[0] ?? text;
}

function sayRevoked(records: readonly CertificateRecord[], started: number, io: CommandIo): void {
  for (const { identity, serial, revokedAt, reason } of records) {
    const before = revokedAt !== null && revokedAt < started;
    const words = before ? `was revoked already, ${new Date(revokedAt).toISOString()}` : 'revoked';
    io.out(printable(`${identity}  ${serial}  ${words}: ${reason ?? 'unspecified'}`));
  }
}

async function tellGate(
  socketPath: string,
  records: readonly CertificateRecord[],
  io: CommandIo,
): Promise<AppliedRevocations | null> {
  try {
    return await applyRevocations(
      socketPath,
      records.map(({ serial }) => serial),
    );
  } catch (error) {
    if (isCertgateError(error)) io.say('the revocation is recorded, but the gate did not confirm it');
    throw error;
  }
}

function gateWords(gate: AppliedRevocations | null): string {
  if (gate === null) {
    return `no gate answers on this machine; a gate elsewhere on this store sees it within ${WATCH_INTERVAL} ms`;
  }
  const { connections, requests, tunnels } = gate.cut;
  const took = `${gate.milliseconds.toFixed(0)} ms`;
  if (connections === 0) return `the gate on this machine has applied it (${took}): nothing of it is open any more`;
  const cut = [
    plural(connections, 'connection'),
    plural(requests, 'request in flight', 'requests in flight'),
    plural(tunnels, 'WebSocket'),
  ];
  return `the gate on this machine has cut ${cut.join(', ')} (${took})`;
}

function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
