// Backups of a test's CA, and what restores them, with whatever is to be different.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BackupRequest, makeBackup } from '../../src/authority/backup.ts';
import { digestOf } from '../../src/authority/copy-file.ts';
import type { RestoreRequest } from '../../src/authority/restore.ts';
import type { GivenCrl } from '../../src/authority/restored-crl.ts';
import type { Issuer } from '../../src/pki/certificates.ts';
import { readCrl } from '../../src/pki/read-crl.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { Store } from '../../src/store/store.ts';
import { type ListParts, listBy, listEntry } from '../pki/crl-fixture.ts';
import { closing, newFolder } from '../store/fixture.ts';
import { type MadeCa, type OpenCa, request } from './fixture.ts';

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

/** Where nothing is yet. */
export const newSpot = (): string => join(newFolder(), 'restored');
export const storeIn = (dir: string): Store => closing(openSqliteStore(join(dir, 'state', 'certgate.db')));
/** The serial of one more certificate of `ca`. */
export const issued = async ({ authority }: OpenCa): Promise<string> =>
  (await authority.issue(request())).record.serial;
/** What is left beside `folder`. */
export const entriesOf = (folder: string): readonly string[] => readdirSync(join(folder, '..'));

/** Writes the manifest anew so that it is true of what is in the backup by now. */
export async function makeTrue(backup: string): Promise<void> {
  const path = join(backup, 'manifest.json');
  const manifest = JSON.parse(readFileSync(path, 'utf8')) as { files: Array<{ path: string }> };
  const files = await Promise.all(
    manifest.files.map(async ({ path: file }) => ({ path: file, ...(await digestOf(join(backup, file))) })),
  );
  writeFileSync(path, JSON.stringify({ ...manifest, files }));
}
