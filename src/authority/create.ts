// A new CA: root (10 years), issuer (1 year, pathlen 0), their keys and an empty store that knows whose it is. Everything
// is made under other names first and then linked into place, in an order that ends with issuer.crt: a CA is there when
// that is. Links refuse to replace anything. A failure takes back what it placed; a kill in between leaves files of a CA
// from which nothing was issued, and the next attempt says which they are (CG_CA_EXISTS).
import { createHash, type KeyObject } from 'node:crypto';
import { link, lstat, rm, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CertgateError, fileReason, isCertgateError, shellWord, systemCode } from '../errors.ts';
import { parseTrustDomain } from '../identity/name.ts';
import { type Signer, signerOf } from '../pki/certificates.ts';
import { generateKey } from '../pki/keys.ts';
import { createRequest } from '../pki/requests.ts';
import type { AuditEntry } from '../store/audit-entry.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { mergeLog, removeStoreFile } from '../store/sqlite-file.ts';
import type { CaRecord } from '../store/store.ts';
import {
  draftName,
  leftoversOf,
  makeDraftFolder,
  makeFolders,
  PRIVATE_FOLDER,
  PUBLIC_FILE,
  removeLeftovers,
  syncFolder,
  writeNewFile,
} from './files.ts';
import { commonName, newIssuer, newRoot } from './generations.ts';
import { givenIssuer, givenRecords, readGivenChain } from './given-root.ts';
import { type KeyStore, plainKeyStore } from './key-store.ts';
import { type CaFiles, caFiles, generationFiles, requestFile, storeFile } from './layout.ts';
import { pemOf, trustIn } from './trust.ts';

/** Where the root comes from, and where its key goes. */
export type RootSource =
  /** A new one; its key into the folder `keyDir`, or into `certsDir`. */
  | { readonly kind: 'new'; readonly keyDir?: string }
  /** A company's: PEM of the chain from whoever signs the issuer up to the root, and the key that signs. */
  | {
      readonly kind: 'given';
      readonly file: string;
      readonly chainPem: string;
      readonly keyFile: string;
      readonly signer: Signer;
    }
  /** A company's whose key is out of reach: a request is made, and `importIssuer` finishes the CA. */
  | { readonly kind: 'elsewhere'; readonly file: string; readonly chainPem: string };

export interface NewAuthority {
  /** Folder for certificates and keys; made when missing, other files in it stay. */
  readonly certsDir: string;
  /** Folder for the store; made when missing. */
  readonly stateDir: string;
  readonly trustDomain: string;
  /** How the keys are written; plain files when left out. */
  readonly keys?: KeyStore;
  /** `{ kind: 'new' }` when left out. */
  readonly root?: RootSource;
  /** Who makes it, for the audit record. */
  readonly actor: string;
  /** From where, for the same. */
  readonly origin?: AuditEntry['detail'];
  /** ms since the epoch; Date.now when left out. */
  readonly clock?: () => number;
}

export interface CreatedAuthority {
  /** What was made, by what it is; absolute or as `certsDir` was given. */
  readonly files: CaFiles & { readonly issuerRequest?: string };
  readonly store: string;
  /** SHA-256 of the DER, lower-case hex. */
  readonly rootFingerprint: string;
  /** Of every file that was made. */
  readonly paths: readonly string[];
  /** The issuer's certificate is still to be had: `issuerRequest` asks for it. */
  readonly unfinished: boolean;
}

/**
 * Makes a CA and its store.
 * @throws CG_CA_EXISTS when any of its files is there, CG_TRUST_DOMAIN, CG_CA_GIVEN, CG_CA_FILE, CG_PASSPHRASE,
 *   CG_STORE_*
 */
export async function createAuthority(request: NewAuthority): Promise<CreatedAuthority> {
  const trustDomain = parseTrustDomain(request.trustDomain);
  const source = request.root ?? { kind: 'new' };
  const files = caFiles(request.certsDir, source.kind === 'new' ? source.keyDir : undefined);
  const keyDir = source.kind === 'new' ? (source.keyDir ?? null) : null;
  const store = storeFile(request.stateDir);
  const drafts = join(request.certsDir, draftName('certgate', 'creating'));
  const rootKeyDraft = join(dirname(files.rootKey), draftName('root.key', 'creating'));
  const storeDraft = join(dirname(store), draftName(basename(store), 'creating'));
  const requireFree = (): Promise<void> => {
    const paths = [...Object.values<string>({ ...files }), store];
    return requireNothing(paths, keyDir === null ? null : files.rootKey, request.certsDir);
  };
  try {
    await requireFree();
    const made = await makeCa(trustDomain, source, (request.clock ?? Date.now)());
    for (const folder of [request.certsDir, request.stateDir, ...(keyDir === null ? [] : [keyDir])]) {
      await makeFolders(folder, PRIVATE_FOLDER);
    }
    await makeDraftFolder(drafts);
    const contents = contentsOf(request.certsDir, files, made);
    // A link can't leave a file system, and the root's key may go to another: its draft is beside it.
    const draftOf = (path: string): string =>
      dirname(path) === request.certsDir ? join(drafts, basename(path)) : rootKeyDraft;
    const { keys = plainKeyStore } = request;
    for (const { path, content } of contents) {
      if (typeof content === 'string') await writeNewFile(draftOf(path), content, PUBLIC_FILE);
      else await keys.write(draftOf(path), content);
    }
    await makeStore(storeDraft, made, request);
    const [last, ...others] = contents.map(({ path }) => [draftOf(path), path] as const).toReversed();
    await place([...others.toReversed(), [storeDraft, store], ...(last === undefined ? [] : [last])]);
    // Of the others none can become a CA any more.
    for (const target of [join(request.certsDir, 'certgate'), store, files.rootKey]) {
      await removeLeftovers(target, ['creating'], 0);
    }
    const unfinished = made.request !== null;
    return {
      files: unfinished ? { ...files, issuerRequest: requestFile(request.certsDir, 1) } : files,
      paths: contents.map(({ path }) => path),
      store,
      rootFingerprint: rootFingerprintOf(made),
      unfinished,
    };
  } catch (error) {
    for (const code of ['CG_STORE_FULL', 'CG_STORE_IO', 'CG_STORE_READONLY'] as const) {
      if (!isCertgateError(error, code) || error.facts.location !== storeDraft) continue;
      throw new CertgateError(code, { ...error.facts, location: store }, { cause: error });
    }
    if (isCertgateError(error)) throw error;
    // Another was faster; from elsewhere, where this process is not seen, it may have removed the drafts too.
    if (systemCode(error) === 'EEXIST' || systemCode(error) === 'ENOENT') await requireFree();
    const from = error instanceof Error && 'path' in error ? String(error.path) : request.certsDir;
    // Of what it was to be: the drafts are gone when this is read.
    const names = [
      [drafts, request.certsDir],
      [rootKeyDraft, files.rootKey],
      [storeDraft, store],
    ] as const;
    const at = names.reduce((path, [draft, name]) => path.replace(draft, name), from);
    const isFile = systemCode(error) === 'EEXIST' || systemCode(error) === 'ENOTDIR';
    throw new CertgateError(
      'CG_CA_FILE',
      {
        file: at,
        problem: isFile ? 'is not a folder, or is below a file' : `cannot be written: ${fileReason(error)}`,
        remedy: `name ${at.startsWith(dirname(files.rootKey)) && keyDir !== null ? "another folder for the root's key: --offline-root DIR" : 'another folder: --dir DIR'}`,
      },
      { cause: error },
    );
  } finally {
    await rm(drafts, { recursive: true, force: true }).catch(() => {});
    await rm(rootKeyDraft, { force: true }).catch(() => {});
    removeStoreFile(storeDraft);
  }
}

interface MadeCa {
  /** In the order of `Store.listCa`; without the issuer when `request` asks for it. */
  readonly records: readonly CaRecord[];
  /** Of the new keys, by what they are for. */
  readonly keys: { readonly root: KeyObject | null; readonly issuer: KeyObject };
  /** A request for the issuer's certificate, PEM. */
  readonly request: string | null;
  /** ms since the epoch */
  readonly madeAt: number;
}

async function makeCa(trustDomain: string, source: RootSource, now: number): Promise<MadeCa> {
  const first = { trustDomain, generation: 1, state: 'active', now } as const;
  if (source.kind === 'new') {
    const root = await newRoot(first);
    const issuer = await newIssuer(first, root.issuer);
    const keys = { root: root.privateKey, issuer: issuer.privateKey };
    return { records: [root.record, issuer.record], keys, request: null, madeAt: now };
  }
  const chain = await readGivenChain(source.chainPem, { trustDomain, now, file: source.file });
  const above = givenRecords(chain, { root: 1, intermediate: 1, now });
  if (source.kind === 'given') {
    const issuer = await newIssuer(first, givenIssuer(chain, source.signer, source.keyFile));
    const keys = { root: null, issuer: issuer.privateKey };
    return { records: [...above, issuer.record], keys, request: null, madeAt: now };
  }
  const { privateKey } = await generateKey('P-256');
  const request = await createRequest(signerOf(privateKey), { commonName: commonName('issuer', 1, trustDomain) });
  return { records: above, keys: { root: null, issuer: privateKey }, request, madeAt: now };
}

// Keys first, and last what says that the CA is whole.
function contentsOf(
  certsDir: string,
  files: CaFiles,
  { records, keys, request }: MadeCa,
): ReadonlyArray<{ readonly path: string; readonly content: string | KeyObject }> {
  const above = records.filter(({ role }) => role !== 'issuer');
  const issuer = records.find(({ role }) => role === 'issuer');
  return [
    ...(keys.root === null ? [] : [{ path: files.rootKey, content: keys.root }]),
    { path: files.issuerKey, content: keys.issuer },
    ...above.map((record) => ({ path: generationFiles(certsDir, record).certificate, content: pemOf(record) })),
    { path: files.bundle, content: trustIn(records).bundlePem },
    issuer === undefined
      ? { path: requestFile(certsDir, 1), content: request ?? '' }
      : { path: files.issuerCertificate, content: pemOf(issuer) },
  ];
}

async function makeStore(path: string, made: MadeCa, { trustDomain, actor, origin = {} }: NewAuthority): Promise<void> {
  const { records, madeAt } = made;
  const store = openSqliteStore(path, { create: true, origin });
  try {
    const issuer = records.find(({ role }) => role === 'issuer');
    const rootFingerprint = rootFingerprintOf(made);
    await store.changeCa(
      { add: records, meta: { trustDomain, rootFingerprint }, at: madeAt },
      {
        time: madeAt,
        actor,
        action: 'ca.init',
        object: trustDomain,
        detail: {
          root: rootFingerprint,
          issuer: issuer === undefined ? null : sha256Of(issuer.der),
          issuerKeyId: issuer?.keyId ?? null,
        },
      },
    );
  } finally {
    await store.close();
  }
  mergeLog(path);
}

function rootFingerprintOf({ records }: MadeCa): string {
  return sha256Of(records.find(({ role }) => role === 'root')?.der ?? new Uint8Array());
}

function sha256Of(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex');
}

// Links each draft to its place, in order; takes the placed ones back when one can't be.
async function place(pairs: ReadonlyArray<readonly [draft: string, path: string]>): Promise<void> {
  const placed: string[] = [];
  try {
    for (const [draft, path] of pairs) {
      await link(draft, path);
      placed.push(path);
    }
    for (const folder of new Set(pairs.map(([, path]) => dirname(path)))) await syncFolder(folder);
  } catch (error) {
    for (const path of placed) await unlink(path).catch(() => {});
    throw error;
  }
}

async function requireNothing(paths: readonly string[], offlineKey: string | null, certsDir: string): Promise<void> {
  const there: string[] = [];
  for (const path of paths) {
    if ((await lstat(path).catch(() => null)) !== null) there.push(path);
  }
  if (there.length === 0) return;
  if (offlineKey === null || there.some((path) => path !== offlineKey)) {
    throw new CertgateError('CG_CA_EXISTS', { files: there });
  }
  const aside = shellWord(`${offlineKey}.interrupted`);
  const remedy = (await isOfKilledInit(offlineKey, certsDir))
    ? `an init of this CA was interrupted before it issued anything: mv ${shellWord(offlineKey)} ${aside}, then init again`
    : "it is another CA's key: name another folder for this one's, --offline-root DIR";
  throw new CertgateError('CG_CA_EXISTS', { files: there, remedy });
}

/** Whether the root's key at `key` was placed by an init of the CA in `certsDir` that was killed before all of it was there. */
async function isOfKilledInit(key: string, certsDir: string): Promise<boolean> {
  const { ino } = await lstat(key);
  const own = await leftoversOf(join(certsDir, 'certgate'));
  for (const { path, pid } of await leftoversOf(key)) {
    if (own.some((draft) => draft.pid === pid) && (await lstat(path).catch(() => null))?.ino === ino) return true;
  }
  return false;
}
