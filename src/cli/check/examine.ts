// All checks of a CA's health, in the order in which they are shown. It reads and asks, and changes nothing: not the
// store, not a file, not a gate. `certgate ca check` shows what it finds, `certgate doctor` the sum of it.
import { join } from 'node:path';
import { askHealth } from '../../admin/control-client.ts';
import { storeFile } from '../../authority/layout.ts';
import { trustIn } from '../../authority/trust.ts';
import type { Config } from '../../config/schema.ts';
import { reasonOf } from '../../errors.ts';
import { lookAtStore, type StoreLook } from '../../store/sqlite-look.ts';
import { type Finding, fine, skipped } from '../doctor/finding.ts';
import { checkCertificates } from './certificates.ts';
import { checkBundle, checkFlags, checkIdentities, checkLocks, checkTokens, FORGOTTEN } from './clients.ts';
import { checkKeys, checkPermissions } from './keys.ts';
import { checkPublished } from './published.ts';
import { checkBackup, checkClock, checkRecord, checkRoom, checkStore } from './records.ts';
import type { Subject } from './subject.ts';

export interface Section {
  readonly title: string;
  readonly findings: readonly Finding[];
}

/** What `config` names, at `now` (ms since the epoch). Nothing is thrown: what can't be looked at is a finding. */
export async function examineCa(config: Config, now: number, command: Subject['command']): Promise<readonly Section[]> {
  let looked: unknown;
  let look: StoreLook | null = null;
  try {
    looked = look = lookAtStore(storeFile(config.stateDir), {
      now,
      forgotten: FORGOTTEN,
      bundleOf: (authorities) => trustIn(authorities).bundleId,
    });
  } catch (error) {
    looked = error;
  }
  const records = look?.records ?? null;
  const [gateRuns, gate] = await ownGate(config);
  const subject: Subject = { config, now, records, gateRuns, command };
  return [
    {
      title: 'certificates of the CA',
      findings:
        records === null ? [skipped('certificates', 'the records could not be read')] : checkCertificates(subject),
    },
    { title: 'keys and files', findings: [...(await checkKeys(subject)), ...checkPermissions(subject)] },
    {
      title: 'records',
      findings: [
        checkStore(looked, config, command),
        ...(records === null ? [] : [checkClock(records, now), checkBackup(records, subject)]),
        checkRoom(config),
        checkRecord(config),
      ],
    },
    {
      title: 'who is admitted',
      findings:
        records === null
          ? [skipped('identities', 'the records could not be read')]
          : [
              ...(await checkIdentities(records, subject)),
              checkBundle(records.withoutBundle, subject),
              ...checkFlags(records, subject),
              ...checkLocks(records, subject),
              ...checkTokens(records, subject),
            ],
    },
    { title: 'what is published', findings: await checkPublished(subject) },
    { title: 'what runs', findings: [gate] },
  ];
}

async function ownGate({ stateDir }: Config): Promise<readonly [runs: boolean | null, Finding]> {
  try {
    const health = await askHealth(join(stateDir, 'control.sock'));
    if (health === null) return [false, fine('gate', 'none runs here')];
    return [true, fine('gate', `runs, with ${health.connections} connections; it applies every change by itself`)];
  } catch (error) {
    return [null, skipped('gate', reasonOf(error))];
  }
}

export function levelled(findings: readonly Finding[], level: Finding['level']): readonly Finding[] {
  return findings.filter((finding) => finding.level === level);
}
