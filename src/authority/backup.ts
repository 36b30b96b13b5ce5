// A backup of the whole CA, made while a gate runs: its folder of keys and certificates, the store at one revision, the
// gate's record, the configuration, and a manifest. It is a folder, so that any tool can look at it, copy it or put it
// into an archive, and restoring parses no archive. It gets its name when all of it is on the disk, or never; what is
// there is never replaced. Keys are copied as they are: what is encrypted stays so. Nothing of the CA is changed. What killed
// backups left beside it, of whatever name, is removed: there are keys in it.
import { lstat, mkdir, readdir, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { CertgateError, fileReason, isCertgateError, systemCode } from '../errors.ts';
import { overFiles } from '../observe/audit-files.ts';
import { copyStoreFile, type StoreFacts } from '../store/sqlite-copy.ts';
import {
  type BackupFile,
  type BackupManifest,
  CERTIFICATES,
  CONFIGURATION,
  isBackupPath,
  isName,
  isPublic,
  MANIFEST,
  RECORD,
  STORE,
} from './backup-manifest.ts';
import { copyFile, digestOf, endOfLines } from './copy-file.ts';
import {
  draftName,
  makeDraftFolder,
  PRIVATE_FILE,
  PRIVATE_FOLDER,
  removeLeftoversOfAnyName,
  syncFolder,
  unreadable,
  writeNewFile,
} from './files.ts';

export interface BackupRequest {
  readonly certsDir: string;
  /** The SQLite file. */
  readonly store: string;
  /** The configuration file; null when there is none. */
  readonly configuration: string | null;
  /** The gate's record, which may not exist; the files that it was in before stand beside it. */
  readonly record: string;
  /** The folder to make; empty or not there yet. */
  readonly out: string;
  /** False leaves out every file that could hold a private key. */
  readonly withKeys: boolean;
  /** This certgate's version, for the manifest. */
  readonly version: string;
  /** ms since the epoch */
  readonly now: number;
}

export interface MadeBackup {
  /** Absolute. */
  readonly path: string;
  readonly manifest: BackupManifest;
}

/** How often a copy is begun anew because the CA's files changed under it. */
const ATTEMPTS = 5;
/** No file of keys and certificates is larger, bytes. */
const MOST_BYTES = 64 * 1024 * 1024;

/**
 * Makes the backup.
 * @throws CG_FOLDER_TAKEN, CG_BACKUP_WRITE, CG_CA_FILE when the CA's folder cannot be read, CG_USAGE when `out` lies in
 *   it, CG_STORE_*
 */
export async function makeBackup(request: BackupRequest): Promise<MadeBackup> {
  const path = resolve(request.out);
  const folder = dirname(path);
  const draft = join(folder, draftName(basename(path), 'backup'));
  await requireOutside(path, request.certsDir);
  await requireFree(path);
  try {
    await mkdir(folder, { recursive: true });
    const manifest = await fill(draft, request);
    await rename(draft, path); // refuses a folder that has something in it by now
    await syncFolder(folder);
    await removeLeftoversOfAnyName(folder, 'backup');
    return { path, manifest };
  } catch (error) {
    throw writeFailure(error, path, draft);
  } finally {
    await rm(draft, { recursive: true, force: true }).catch(() => {});
  }
}

async function fill(draft: string, request: BackupRequest): Promise<BackupManifest> {
  for (let attempt = 1; ; attempt++) {
    const before = await lookAt(request);
    await makeDraftFolder(draft);
    const manifest = await copyAll(draft, request, before);
    if ((await lookAt(request)).fingerprint === before.fingerprint) return manifest;
    if (attempt === ATTEMPTS) {
      throw new CertgateError('CG_CA_FILE', {
        file: request.certsDir,
        problem: 'changed each time while it was copied',
      });
    }
    await rm(draft, { recursive: true });
  }
}

// The store first: files that it does not know of yet do no harm, files that it knows of and that are missing would.
async function copyAll(
  draft: string,
  request: BackupRequest,
  { certificates, nowhere }: Found,
): Promise<BackupManifest> {
  const files: BackupFile[] = [];
  const placeIn = (name: string): string => `${CERTIFICATES}/${name.split(sep).join('/')}`;
  const leftOut = nowhere.map(placeIn);
  for (const name of ['state', CERTIFICATES]) await mkdir(join(draft, name), { mode: PRIVATE_FOLDER });
  const facts = await copyStore(request.store, join(draft, STORE));
  files.push({ path: STORE, ...(await digestOf(join(draft, STORE))) });

  for (const name of certificates) {
    const from = join(request.certsDir, name);
    const to = placeIn(name);
    const content = await readCertificateFile(from);
    if (!request.withKeys && !isPublic(content)) {
      leftOut.push(to);
      continue;
    }
    await mkdir(dirname(join(draft, to)), { recursive: true, mode: PRIVATE_FOLDER });
    files.push({ path: to, ...(await copyFile(from, join(draft, to), PRIVATE_FILE)) });
  }
  if (request.configuration !== null) {
    files.push({
      path: CONFIGURATION,
      ...(await copyFile(request.configuration, join(draft, CONFIGURATION), PRIVATE_FILE)),
    });
  }
  files.push(...(await copyRecord(request.record, draft)));
  const manifest: BackupManifest = {
    format: 'certgate-backup',
    version: 1,
    certgate: request.version,
    madeAt: new Date(request.now).toISOString(),
    trustDomain: facts.trustDomain ?? '',
    store: { schema: facts.schema, revision: facts.revision, certificates: facts.certificates },
    crlNumbers: facts.crlNumbers,
    keys: request.withKeys,
    leftOut,
    files,
  };
  await writeNewFile(join(draft, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`, PRIVATE_FILE);
  for (const folder of await foldersBelow(draft)) await syncFolder(folder);
  return manifest;
}

/** The record and the files that it was in before; from the beginning when it goes on in another one meanwhile. */
async function copyRecord(record: string, draft: string): Promise<BackupFile[]> {
  const place = dirname(RECORD);
  let copied: BackupFile[] = [];
  return overFiles(record, async (paths) => {
    for (const { path } of copied) await rm(join(draft, path));
    copied = [];
    for (const from of paths) {
      const path = from === record ? RECORD : `${place}/${basename(from)}`;
      if (!isBackupPath(path)) continue;
      // What stands after the last line of the one that is written is not finished; of another one it is part of the chain.
      const end = from === record ? await endOfLines(from) : undefined;
      copied.push({ path, ...(await copyFile(from, join(draft, path), PRIVATE_FILE, end)) });
    }
    return copied;
  });
}

async function copyStore(from: string, to: string): Promise<StoreFacts> {
  await writeNewFile(to, '', PRIVATE_FILE);
  return copyStoreFile(from, to);
}

async function readCertificateFile(path: string): Promise<Uint8Array> {
  const { size } = await stat(path);
  if (size > MOST_BYTES) throw new CertgateError('CG_CA_FILE', { file: path, problem: `has ${size} bytes` });
  return readFile(path);
}

interface Found {
  readonly certificates: readonly string[];
  /** Links to what is not there now: the medium of a key that is kept elsewhere. */
  readonly nowhere: readonly string[];
  readonly fingerprint: string;
}

/**
 * The CA's files below its folder, and what tells whether any of them was changed. Hidden ones are drafts, and no part of it, nor
 * is the state where that is in the same folder or below: it changes all the time, and is copied for itself.
 */
async function lookAt({ certsDir, store, record }: BackupRequest): Promise<Found> {
  const state = dirname(store);
  const ofState = [basename(store), basename(record).replace(/\.\w+$/, ''), 'gate.lock'];
  const certificates: string[] = [];
  const nowhere: string[] = [];
  const seen: string[] = [];
  const visit = async (below: string): Promise<void> => {
    const isState = join(certsDir, below) === state;
    for (const name of (await readdir(join(certsDir, below))).filter(isName).toSorted()) {
      const path = join(below, name);
      if (join(certsDir, path) === state || (isState && ofState.some((one) => name.startsWith(one)))) continue;
      const facts = await stat(join(certsDir, path)).catch(async (error: unknown) => {
        if (systemCode(error) === 'ENOENT' && (await lstat(join(certsDir, path))).isSymbolicLink()) return null;
        throw error;
      });
      if (facts === null) {
        nowhere.push(path);
        seen.push(`${path} nowhere`);
        continue;
      }
      if (facts.isDirectory()) await visit(path);
      if (!facts.isFile()) continue;
      certificates.push(path);
      seen.push(`${path} ${facts.ino} ${facts.size} ${facts.mtimeMs}`);
    }
  };
  await visit('').catch((error: unknown) => {
    throw unreadable(certsDir, error);
  });
  return { certificates, nowhere, fingerprint: seen.join('\n') };
}

async function foldersBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return [...entries.filter((one) => one.isDirectory()).map((one) => join(one.parentPath, one.name)), folder];
}

// A backup in the CA's folder would be a part of the next one.
async function requireOutside(path: string, certsDir: string): Promise<void> {
  const certs = await realpath(certsDir).catch(() => certsDir);
  const parent = await realpath(dirname(path)).catch(() => dirname(path));
  const way = relative(certs, join(parent, basename(path)));
  if (way.startsWith('..') || resolve(certs, way) !== join(certs, way)) return;
  throw new CertgateError('CG_USAGE', {
    problem: `${path} is inside the folder that is backed up, ${certsDir}`,
    remedy: 'name a folder elsewhere, preferably on another disk: --out DIR',
  });
}

/** Nothing at `path`, or an empty folder. CG_FOLDER_TAKEN. */
export async function requireFree(path: string): Promise<void> {
  const entries = await readdir(path).catch((error: unknown): string[] => {
    if (systemCode(error) === 'ENOENT') return [];
    if (systemCode(error) === 'ENOTDIR') throw taken(path, 'exists already and is not a folder');
    throw writeFailure(error, path, path);
  });
  if (entries.length === 0) return;
  const some = entries.toSorted().slice(0, 5).join(', ');
  throw taken(path, `exists already and is not empty: it holds ${some}${entries.length > 5 ? ', …' : ''}`);
}

function taken(path: string, problem: string): CertgateError {
  return new CertgateError('CG_FOLDER_TAKEN', { path, problem });
}

/** What failed while `path` was made under the name `draft`; what is about other files stays as it is. */
export function writeFailure(error: unknown, path: string, draft: string): unknown {
  const folder = dirname(path);
  const about = placeOf(error);
  const ours = about === null || about.startsWith(draft) || about === path || folder.startsWith(about);
  if (!ours || (isCertgateError(error) && !OF_THE_DISK.includes(error.code))) return error;
  const code = systemCode(error);
  if (code === 'EEXIST' || code === 'ENOTEMPTY') return taken(path, 'exists by now');
  const full = code === 'ENOSPC' || code === 'EDQUOT' || isCertgateError(error, 'CG_STORE_FULL');
  const problem = full ? 'no room is left there' : fileReason(error).replaceAll(draft, path);
  return new CertgateError('CG_BACKUP_WRITE', { path, problem, folder }, { cause: error });
}

/** The store's errors that are about the disk it is written to. */
const OF_THE_DISK: readonly string[] = ['CG_STORE_FULL', 'CG_STORE_IO', 'CG_STORE_READONLY'];

/** The file that an error of the store or of the system is about; null when it names none. */
function placeOf(error: unknown): string | null {
  if (isCertgateError(error)) return 'location' in error.facts ? error.facts.location : null;
  return error instanceof Error && 'path' in error ? String(error.path) : null;
}
