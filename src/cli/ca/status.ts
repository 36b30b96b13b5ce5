// certgate ca status: the roots and issuers of this CA, where each rotation stands, and who has not followed it yet.

import { Command } from 'commander';
import { caRecordsIn } from '../../authority/ca-records.ts';
import { exists } from '../../authority/change.ts';
import { openKeyStore } from '../../authority/key-store.ts';
import { generationFiles } from '../../authority/layout.ts';
import { readCa } from '../../authority/load.ts';
import { rotationTime } from '../../authority/rotate.ts';
import { trustIn } from '../../authority/trust.ts';
import { roughDuration } from '../../config/duration.ts';
import { EXIT, isCertgateError } from '../../errors.ts';
import { readCertificate } from '../../pki/certificates.ts';
import { onOneLine } from '../../pki/names.ts';
import type { CaRecord } from '../../store/store.ts';
import { printableJson } from '../escape.ts';
import { describe } from '../help.ts';
import type { CommandIo } from '../io.ts';
import { withSettings } from '../settings.ts';
import { table } from '../table.ts';
import { withCa } from './place.ts';

/** One line of the status. Times are ISO 8601 in UTC. */
interface CaLine {
  readonly role: CaRecord['role'];
  readonly generation: number;
  readonly state: CaRecord['state'];
  readonly keyId: string;
  readonly subject: string;
  readonly notAfter: string;
  /** Of an issuer: when another takes its place by itself, where the key above it is at hand. */
  readonly rotatesAt: string | null;
  /** Where its private key is; null when it is not in the folder of the certificates. */
  readonly key: string | null;
  /** Identities with a client certificate by it that can still be used; of issuers. */
  readonly liveIdentities: readonly string[];
}

export function statusCommand(io: CommandIo): Command {
  const command = describe(new Command('status'), 'show roots and issuers, and who does not have the trust bundle', {
    examples: [
      ['at a glance', 'certgate ca status'],
      ['for a script: who keeps a rotation waiting', "certgate ca status --json | jq '.withoutBundle'"],
    ],
    notes: [
      'states: prepared (trusted), active (issues), retiring (trusted until its leaf certificates have expired), retired.',
    ],
  }).option('--json', 'print JSON');
  return withSettings(command).action(async (flags: { readonly json?: true }) => {
    await withCa(command, io, async (place) => {
      // Takes over a CA that the store does not know yet. A CA that can't issue can still be looked at.
      // Nobody is asked for a passphrase to see this.
      const keys = openKeyStore({ passphrase: null });
      await readCa({ ...place, keys }).catch((error: unknown) => {
        if (!isCertgateError(error) || error.exitCode === EXIT.storage) throw error;
      });
      const records = await caRecordsIn(place.store);
      const now = Date.now();
      const lines: CaLine[] = [];
      for (const record of records) {
        const live = record.role === 'issuer' ? await place.store.liveIdentities(record.keyId, now) : [];
        lines.push(await lineOf(record, place.certsDir, live));
      }
      const { bundleId } = trustIn(records);
      const withoutBundle = await place.store.identitiesWithout(bundleId, now);
      if (flags.json === true) {
        io.out(
          printableJson({ trustDomain: place.trustDomain, certificates: lines, bundle: bundleId, withoutBundle }, 2),
        );
      } else {
        tell(lines, now, io);
        io.say('');
        io.say(bundleWords(bundleId, withoutBundle));
      }
    });
  });
}

async function lineOf(record: CaRecord, certsDir: string, liveIdentities: readonly string[]): Promise<CaLine> {
  const { validToDate, subject } = readCertificate(record.der);
  const { key } = generationFiles(certsDir, record);
  const issues = record.role === 'issuer' && record.state === 'active';
  return {
    role: record.role,
    generation: record.generation,
    state: record.state,
    keyId: record.keyId,
    subject: onOneLine(subject),
    notAfter: validToDate.toISOString(),
    rotatesAt: issues ? new Date(rotationTime(record)).toISOString() : null,
    key: (await exists(key)) ? key : null,
    liveIdentities,
  };
}

function tell(lines: readonly CaLine[], now: number, io: CommandIo): void {
  const rows = lines.map(({ role, generation, state, notAfter, rotatesAt, key, liveIdentities, keyId }) => {
    const left = Date.parse(notAfter) - now;
    const until = left > 0 ? `in ${roughDuration(left)}` : `expired ${notAfter}`;
    const own = key === null ? 'elsewhere' : 'here';
    const live = role === 'issuer' ? String(liveIdentities.length) : '';
    return [`${role} ${generation}`, state, until, rotatesAt?.slice(0, 10) ?? '', own, live, keyId];
  });
  const head = ['what', 'state', 'expires', 'rotates', 'key', 'live identities', 'key id'];
  for (const line of table(head, rows)) io.out(line);
}

function bundleWords(bundleId: string, without: readonly string[]): string {
  const bundle = `trust bundle ${bundleId.slice(0, 16)}…`;
  if (without.length === 0) return `${bundle}: everybody has it`;
  const names = without.slice(0, 10).join(', ');
  const more = without.length > 10 ? ` and ${without.length - 10} more` : '';
  return `${bundle}: not yet seen at ${names}${more}`;
}
