// Backups of a test's CA, and what restores them, with whatever is to be different.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BackupRequest, makeBackup } from '../../src/authority/backup.ts';
import type { RestoreRequest } from '../../src/authority/restore.ts';
import type { GivenCrl } from '../../src/authority/restored-crl.ts';
import type { Issuer } from '../../src/pki/certificates.ts';
import { readCrl } from '../../src/pki/read-crl.ts';
import { type ListParts, listBy, listEntry } from '../pki/crl-fixture.ts';
import { newFolder } from '../store/fixture.ts';
import type { MadeCa } from './fixture.ts';

export function backupOf(ca: MadeCa, out: string, different: Partial<BackupRequest> = {}): BackupRequest {
  return {
    certsDir: ca.certsDir,
    store: ca.storePath,
    configuration: null,
    record: join(ca.dir, 'state', 'audit.jsonl'),
    out,
    withKeys: true,
    version: '0.0.0',
    now: Date.now(),
    ...different,
  };
}

/** A backup of `ca` as it is now; answers its folder. */
export async function backedUp(ca: MadeCa, different: Partial<BackupRequest> = {}): Promise<string> {
  const configuration = join(ca.dir, 'certgate.yaml');
  writeFileSync(configuration, 'trustDomain: prefect.example\n');
  return (await makeBackup(backupOf(ca, join(newFolder(), 'backup'), { configuration, ...different }))).path;
}

export function restoreOf(from: string, dir: string, different: Partial<RestoreRequest> = {}): RestoreRequest {
  return {
    from,
    dir,
    crls: [],
    withoutCrl: false,
    bundleAbove: 0,
    configuration: (text) => ({ text, trustDomain: null }),
    actor: 'test',
    now: Date.now(),
    ...different,
  };
}

export interface Listed {
  readonly serial: string;
  readonly revokedAt?: Date;
  /** RFC 5280's reason code. */
  readonly reason?: number;
}

/** A list of `issuer` with that number, which names `listed`. */
export async function given(
  issuer: Issuer,
  number: number | null,
  listed: readonly Listed[],
  parts: ListParts = {},
): Promise<GivenCrl> {
  const entries = listed.map(({ serial, revokedAt, reason }) => listEntry(serial, revokedAt ?? new Date(), reason));
  const now = Date.now();
  const window = { thisUpdate: new Date(now), nextUpdate: new Date(now + 86_400_000) };
  return { source: 'issuer.crl', crl: readCrl(await listBy(issuer, { entries, number, ...window, ...parts })) };
}
