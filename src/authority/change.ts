// How the CA's own certificates change: new files first, under names that did not exist, then one transaction that makes
// them count, then the bundle's file. A kill before the transaction leaves files that nothing refers to; after it, at
// most an old ca.crt, which the next change or start writes anew. Two at once: the store lets one through
// (CG_CA_CHANGED), and the other takes its files back. Where nobody can know whether the transaction counts, files stay.
import { lstat, readFile, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  CertgateError,
  type ErrorCode,
  fileReason,
  isCertgateError,
  reasonOf,
  shellWord,
  systemCode,
} from '../errors.ts';
import { type Issuer, issuerOf, readCertificate } from '../pki/certificates.ts';
import { onOneLine } from '../pki/names.ts';
import type { CaChange, CaRecord, Store } from '../store/store.ts';
import { caRecordsIn } from './ca-records.ts';
import { makeFolders, PRIVATE_FOLDER, PUBLIC_FILE, syncFolder } from './files.ts';
import type { Generation } from './generations.ts';
import { type KeyStore, plainKeyStore } from './key-store.ts';
import { caFiles, generationFiles } from './layout.ts';
import { writeOutputFile } from './output-file.ts';
import { nextGeneration, pemOf, type Trust, trustIn } from './trust.ts';

/**
 * What the store refuses with before anything is written. After any other failure the transaction may count all the same:
 * SQLite's COMMIT fails when its fsync does, and the next to open the store finds all of it in the log (tried with EIO).
 */
const NOTHING_WRITTEN: readonly ErrorCode[] = [
  ...(['CG_CA_CHANGED', 'CG_STORE_BUSY', 'CG_STORE_READONLY', 'CG_STORE_FULL', 'CG_STORE_CLOSED'] as const),
];

/** What every change of the CA is made with. */
export interface CaPlace {
  readonly certsDir: string;
  readonly store: Store;
  readonly trustDomain: string;
  /** How keys are read and written; plain files when left out. */
  readonly keys?: KeyStore;
  /** For the audit record. */
  readonly actor: string;
  /** ms since the epoch; Date.now when left out. */
  readonly clock?: () => number;
}

/** The CA's certificates as they are on record. CG_CA_MISMATCH for a store that knows none. */
export async function recordsOf({ store }: Pick<CaPlace, 'store'>): Promise<readonly CaRecord[]> {
  const records = await caRecordsIn(store);
  if (records.length > 0) return records;
  throw new CertgateError('CG_CA_MISMATCH', {
    problem: `${store.location} does not know this CA's certificates yet`,
    remedy: 'start the gate once, or run `certgate ca status`, which takes them over',
  });
}

/** What a change did. */
export interface CaChanged {
  readonly trust: Trust;
  /** Files that were made. */
  readonly files: readonly string[];
  /** Why `ca.crt` is not up to date; null when it is. The change is made either way. */
  readonly bundleProblem: string | null;
}

/**
 * Writes `made` (with keys into `keyDirs` by role where it names one), commits `change` with all of them added, and
 * writes the bundle anew.
 * @throws CG_CA_CHANGED, CG_CA_FILE, CG_STORE_*; then nothing has changed, but perhaps after CG_STORE_IO and CG_STORE_LOST
 */
export async function applyChange(
  place: CaPlace,
  change: Omit<CaChange, 'at' | 'add'> & {
    readonly action: string;
    readonly made?: readonly Generation[];
    readonly also?: readonly CaRecord[];
    readonly rootKeyDir?: string;
  },
): Promise<CaChanged> {
  const { certsDir, store, trustDomain, keys = plainKeyStore, actor, clock = Date.now } = place;
  const { made = [], also = [], states = [], action, rootKeyDir } = change;
  const written: string[] = [];
  const at = clock();
  let isCommitting = false;
  try {
    for (const { record, privateKey } of made) {
      const { key } = generationFiles(record.role === 'root' ? (rootKeyDir ?? certsDir) : certsDir, record);
      await makeFolders(dirname(key), PRIVATE_FOLDER);
      await keys.write(key, privateKey).catch((error: unknown) => {
        // The name was free a moment ago.
        if (systemCode(error) !== 'EEXIST') throw error;
        throw new CertgateError('CG_CA_CHANGED', { problem: `${key} exists by now` }, { cause: error });
      });
      written.push(key);
    }
    const add = [...also, ...made.map(({ record }) => record)];
    for (const record of add) {
      const { certificate } = generationFiles(certsDir, record);
      // Put there by a person, or by this before a kill: what is the same needs no second writing.
      if ((await readFile(certificate, 'utf8').catch(() => null)) === pemOf(record)) continue;
      await writeCertificate(certificate, pemOf(record));
      written.push(certificate);
    }
    for (const folder of new Set(written.map((path) => dirname(path)))) await syncFolder(folder);
    const moved = states.map(({ keyId, from, to }) => `${keyId} ${from} → ${to}`);
    const added = add.map(({ keyId, role, state }) => `${role} ${keyId} ${state}`);
    isCommitting = true;
    await store.changeCa(
      { states, add, at },
      { time: at, actor, action, object: trustDomain, detail: { changes: [...moved, ...added].join(', ') } },
    );
  } catch (error) {
    const nothingWritten = !isCommitting || NOTHING_WRITTEN.some((code) => isCertgateError(error, code));
    // A key that is left over signs nothing on record; one that is missing would end the CA.
    for (const path of nothingWritten ? written : []) await rm(path, { force: true }).catch(() => {});
    if (isCertgateError(error)) throw error;
    throw unwritable(certsDir, error);
  }
  const trust = trustIn(await caRecordsIn(store));
  // Committed: from here on nothing can fail but the telling.
  const bundleProblem = await writeBundle(certsDir, trust).then(
    () => null,
    (error: unknown) => reasonOf(error),
  );
  return { trust, files: written, bundleProblem };
}

/** Whole or not at all: half of one would be in the way of the next try. CG_CA_FILE for one that is there; Node's errors. */
async function writeCertificate(path: string, pem: string): Promise<void> {
  await writeOutputFile(path, Buffer.from(pem), { mode: PUBLIC_FILE, force: false }).catch((error: unknown) => {
    if (!isCertgateError(error, 'CG_FILE_EXISTS')) throw error;
    const remedy = `look at it, and move it out of the way: certgate inspect ${shellWord(path)}`;
    throw new CertgateError('CG_CA_FILE', { file: path, problem: 'is there, and is not this one', remedy });
  });
}

/** Brings `ca.crt` up to date, whole or not at all. CG_CA_FILE. */
export async function writeBundle(certsDir: string, { bundlePem }: Trust): Promise<void> {
  const { bundle } = caFiles(certsDir);
  if ((await readFile(bundle, 'utf8').catch(() => '')) === bundlePem) return;
  try {
    await writeOutputFile(bundle, Buffer.from(bundlePem), { mode: PUBLIC_FILE, force: true });
  } catch (error) {
    throw unwritable(bundle, error);
  }
}

/**
 * The next generation of a role whose files are free: a killed change may have left some that nothing refers to.
 * `keyDir` is where the role's key would go.
 */
export async function freeGeneration(
  records: readonly CaRecord[],
  role: 'root' | 'issuer',
  certsDir: string,
  keyDir = certsDir,
): Promise<number> {
  for (let generation = nextGeneration(records, role); ; generation++) {
    const { certificate } = generationFiles(certsDir, { role, generation });
    const { key } = generationFiles(keyDir, { role, generation });
    if (!(await exists(certificate)) && !(await exists(key))) return generation;
  }
}

export async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null)) !== null;
}

/**
 * What signs for `record`: its key in `keyFile`, or where the layout puts it.
 * @throws CG_CA_KEY when it is not there or another's, CG_KEY_MODE, CG_PASSPHRASE
 */
export async function issuerFor(
  place: Pick<CaPlace, 'certsDir' | 'keys'>,
  record: CaRecord,
  keyFile: string | null,
): Promise<Issuer> {
  const { certsDir, keys = plainKeyStore } = place;
  const file = keyFile ?? generationFiles(certsDir, record).key;
  const certificate = readCertificate(record.der);
  const name = onOneLine(certificate.subject);
  try {
    return issuerOf(record.der, await keys.signerFor(certificate, file, name));
  } catch (error) {
    if (isCertgateError(error, 'CG_CA_FILE')) {
      const { problem } = error.facts;
      throw new CertgateError('CG_CA_KEY', { file, role: record.role, problem }, { cause: error });
    }
    if (!isCertgateError(error, 'CG_CA_MISMATCH')) throw error;
    throw new CertgateError('CG_CA_KEY', { file, role: record.role, problem: `is not the key of ${name}` });
  }
}

function unwritable(place: string, error: unknown): CertgateError {
  const file = error instanceof Error && 'path' in error ? String(error.path) : place;
  if (systemCode(error) === 'EEXIST' || systemCode(error) === 'ENOTDIR') {
    const facts = { file, problem: 'is not a folder, or is below a file', remedy: 'name a folder' };
    return new CertgateError('CG_CA_FILE', facts, { cause: error });
  }
  const problem = `cannot be written: ${fileReason(error)}`;
  const remedy = `free some space, and check who may write there: \`df -h ${shellWord(file)}\`, \`ls -la ${shellWord(file)}\``;
  return new CertgateError('CG_CA_FILE', { file, problem, remedy }, { cause: error });
}
