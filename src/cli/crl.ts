// certgate crl export: signs a revocation list and writes it, without a gate. A file is replaced whole, so that whoever
// reads it in the meantime has the old list or the new one. `certgate inspect` shows what is in one.
import { resolve } from 'node:path';
import { Command } from 'commander';
import type { SignedCrl } from '../authority/crl.ts';
import { exportCrl } from '../authority/export-crl.ts';
import { derToPem } from '../pki/certificates.ts';
import { describeCrl } from '../pki/describe-crl.ts';
import { actor, openStoreToAct } from './actor.ts';
import { printable, printableJson } from './escape.ts';
import { choiceFlag, usage } from './flags.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { takeOwnPlace } from './own-place.ts';
import { commandKeys } from './passphrase.ts';
import { configOf, withSettings } from './settings.ts';

interface Flags {
  readonly issuer?: string;
  readonly rootKey?: string;
  readonly out?: string;
  readonly format: string;
  readonly json?: true;
}

export function crlCommand(io: CommandIo): Command {
  return describe(new Command('crl'), 'revocation lists as files, for other software', {
    examples: [['sign one and write it', 'certgate crl export > issuer.crl']],
  }).addCommand(exportCommand(io));
}

function exportCommand(io: CommandIo): Command {
  const command = describe(new Command('export'), 'sign a certificate revocation list and write it', {
    examples: [
      ['for software that reads it from a file', 'certgate crl export --out issuer.crl'],
      ['in DER', 'certgate crl export --format der --out issuer.crl'],
      [
        'of the root, which nginx also needs; its key must be here, or be named with --root-key',
        'certgate crl export --issuer root --out root.crl',
      ],
      ['… and both in one, for its ssl_crl', 'cat issuer.crl root.crl > /etc/nginx/certgate.crl'],
      ['show what is in it', 'certgate inspect issuer.crl'],
    ],
    notes: [
      "an issuer's list is valid for 24 hours, a root's for 365 days: export a new one in time, and after each revocation.",
      'a gate with serve.status.listen publishes its list by itself, renewed within a second of a revocation.',
    ],
  })
    .option('--issuer <KEYID>', 'of this issuer, by its key identifier, or root (default: the active issuer)')
    .option('--root-key <FILE>', 'the root key, if it is kept elsewhere; with --issuer root')
    .option('--out <FILE>', 'write it to this file (default: standard output, in PEM)')
    .option('--format <FORMAT>', 'pem or der', 'pem')
    .option('--json', 'print JSON about what was written; needs --out');
  return withSettings(command, ['ca.passphraseFile', 'ca.signer']).action(async (flags: Flags) => {
    const format = choiceFlag('--format', flags.format, ['pem', 'der'] as const);
    if (flags.out === undefined && (format === 'der' || flags.json === true)) {
      const problem = format === 'der' ? 'DER is not for a terminal' : 'standard output is for the list or for JSON';
      throw usage(problem, `name a file: certgate crl export --format ${format} --out issuer.crl`);
    }
    if (flags.rootKey !== undefined && flags.issuer === undefined) {
      throw usage('--root-key is for the list of a root', 'name it: certgate crl export --issuer root --root-key FILE');
    }
    const config = configOf(command, io);
    const out = flags.out === undefined ? null : resolve(io.cwd, flags.out);
    // Before a number is taken, and its list is on record.
    const write = out === null ? null : await takeOwnPlace(out, { kind: 'revocation list', read: readList });
    const store = openStoreToAct(config.stateDir, io);
    let crl: SignedCrl;
    try {
      const keys = await commandKeys(config, io);
      const place = { certsDir: config.certsDir, store, trustDomain: config.trustDomain, keys };
      const keyFile = flags.rootKey === undefined ? null : resolve(io.cwd, flags.rootKey);
      crl = await exportCrl(place, flags.issuer ?? null, keyFile, actor());
    } finally {
      await store.close();
    }
    const der = Buffer.concat(crl.parts);
    const content = format === 'der' ? der : derToPem(der, 'X509 CRL');
    if (write === null) io.out(String(content).trimEnd());
    else await write(Buffer.from(content));
    tell(crl, flags, io);
  });
}

function tell(crl: SignedCrl, { out, json }: Flags, io: CommandIo): void {
  const nextUpdate = new Date(crl.nextUpdate).toISOString();
  if (json === true) {
    const { number, listed: revoked } = crl;
    io.out(
      printableJson({ file: out, number, revoked, thisUpdate: new Date(crl.thisUpdate).toISOString(), nextUpdate }, 2),
    );
    return;
  }
  if (out !== undefined) io.out(printable(out));
  io.say(`revocation list number ${crl.number}, ${crl.listed} revoked, valid until ${nextUpdate}`);
}

function readList(content: Buffer): unknown {
  return describeCrl(content[0] === 0x30 ? content : content.toString('utf8'));
}
