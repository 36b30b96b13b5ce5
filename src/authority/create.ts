// A new CA: root (10 years), issuer (1 year, pathlen 0), their keys and an empty store that knows whose it is. Everything
// is made under other names first and then linked into place, in an order that ends with issuer.crt: a CA is there when
// that is. Links refuse to replace anything. A failure takes back what it placed; a kill in between leaves files of a CA
// from which nothing was issued, and the next attempt says which they are (CG_CA_EXISTS).
import { link, lstat, mkdir, rm, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CertgateError, isCertgateError, reasonOf } from '../errors.ts';
import { parseTrustDomain } from '../identity/name.ts';
import { createIssuer, createRoot, derToPem, type Issuer, issuerOf, signerOf } from '../pki/certificates.ts';
import { generateKey, type KeyPair, privateKeyToPem } from '../pki/keys.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { BACKDATED } from './authority.ts';
import {
  draftName,
  makeDraftFolder,
  PRIVATE_FILE,
  PRIVATE_FOLDER,
  PUBLIC_FILE,
  removeLeftovers,
  syncFolder,
  systemCode,
  writeNewFile,
} from './files.ts';
import { type CaFiles, caFiles, storeFile } from './layout.ts';

const ROOT_YEARS = 10;
const ISSUER_YEARS = 1;

export interface NewAuthority {
  /** Folder for certificates and keys; made when missing, other files in it stay. */
  readonly certsDir: string;
  /** Folder for the store; made when missing. */
  readonly stateDir: string;
  readonly trustDomain: string;
  /** Who makes it, for the audit record. */
  readonly actor: string;
  /** ms since the epoch; Date.now when left out. */
  readonly clock?: () => number;
}

export interface CreatedAuthority {
  readonly files: CaFiles;
  readonly store: string;
  /** SHA-256 of the DER, lower-case hex. */
  readonly rootFingerprint: string;
  readonly issuerFingerprint: string;
  /** ms since the epoch */
  readonly rootNotAfter: number;
  readonly issuerNotAfter: number;
}

/**
 * Makes a CA and its store.
 * @throws CG_CA_EXISTS when any of its files is there, CG_TRUST_DOMAIN, CG_CA_FILE, CG_STORE_*
 */
export async function createAuthority(request: NewAuthority): Promise<CreatedAuthority> {
  const trustDomain = parseTrustDomain(request.trustDomain);
  const files = caFiles(request.certsDir);
  const store = storeFile(request.stateDir);
  const drafts = join(request.certsDir, draftName('certgate', 'creating'));
  const storeDraft = join(dirname(store), draftName(basename(store), 'creating'));
  try {
    await requireNothing([...Object.values<string>({ ...files }), store]);
    for (const folder of [request.certsDir, request.stateDir]) {
      await mkdir(folder, { recursive: true, mode: PRIVATE_FOLDER });
    }
    const ca = await makeCa(trustDomain, (request.clock ?? Date.now)());
    await makeDraftFolder(drafts);
    for (const [path, content] of Object.entries(contentsOf(files, ca))) {
      await writeNewFile(join(drafts, basename(path)), content, path.endsWith('.key') ? PRIVATE_FILE : PUBLIC_FILE);
    }
    await makeStore(storeDraft, trustDomain, ca, request.actor);
    const { rootKey, issuerKey, rootCertificate, bundle, issuerCertificate } = files;
    await place([
      ...[rootKey, issuerKey, rootCertificate, bundle].map((path) => [join(drafts, basename(path)), path] as const),
      [storeDraft, store],
      [join(drafts, basename(issuerCertificate)), issuerCertificate],
    ]);
    await removeLeftovers(join(request.certsDir, 'certgate'), ['creating']);
    await removeLeftovers(store, ['creating']);
    return {
      files,
      store,
      rootFingerprint: fingerprintOf(ca.root),
      issuerFingerprint: fingerprintOf(ca.issuer),
      rootNotAfter: ca.root.certificate.validToDate.getTime(),
      issuerNotAfter: ca.issuer.certificate.validToDate.getTime(),
    };
  } catch (error) {
    if (isCertgateError(error)) throw error;
    if (systemCode(error) === 'EEXIST') await requireNothing([...Object.values<string>({ ...files }), store]);
    throw new CertgateError(
      'CG_CA_FILE',
      { file: request.certsDir, problem: `cannot be written: ${reasonOf(error)}` },
      { cause: error },
    );
  } finally {
    await rm(drafts, { recursive: true, force: true }).catch(() => {});
    await rm(storeDraft, { force: true }).catch(() => {});
  }
}

interface MadeCa {
  readonly root: Issuer;
  readonly rootKey: KeyPair;
  readonly issuer: Issuer;
  readonly issuerKey: KeyPair;
  /** ms since the epoch */
  readonly madeAt: number;
}

async function makeCa(trustDomain: string, now: number): Promise<MadeCa> {
  const notBefore = new Date(Math.floor((now - BACKDATED) / 1000) * 1000);
  const [rootKey, issuerKey] = [await generateKey('P-256'), await generateKey('P-256')];
  const rootDer = await createRoot({
    commonName: commonName('root', trustDomain),
    notBefore,
    notAfter: yearsAfter(notBefore, ROOT_YEARS),
    key: rootKey,
  });
  const root = issuerOf(rootDer, signerOf(rootKey.privateKey));
  const issuerDer = await createIssuer({
    commonName: commonName('issuer', trustDomain),
    notBefore,
    notAfter: yearsAfter(notBefore, ISSUER_YEARS),
    key: issuerKey,
    root,
    trustDomain,
  });
  return { root, rootKey, issuerKey, issuer: issuerOf(issuerDer, signerOf(issuerKey.privateKey)), madeAt: now };
}

function contentsOf(files: CaFiles, { root, rootKey, issuer, issuerKey }: MadeCa): Readonly<Record<string, string>> {
  const [rootPem, issuerPem] = [root, issuer].map((ca) => derToPem(ca.certificate.raw, 'CERTIFICATE')) as [
    string,
    string,
  ];
  return {
    [files.rootKey]: privateKeyToPem(rootKey.privateKey),
    [files.rootCertificate]: rootPem,
    [files.issuerKey]: privateKeyToPem(issuerKey.privateKey),
    [files.issuerCertificate]: issuerPem,
    [files.bundle]: rootPem + issuerPem,
  };
}

async function makeStore(
  path: string,
  trustDomain: string,
  { root, issuer, madeAt }: MadeCa,
  actor: string,
): Promise<void> {
  const store = openSqliteStore(path, { create: true });
  try {
    await store.setMeta(
      { trustDomain, rootFingerprint: fingerprintOf(root) },
      {
        time: madeAt,
        actor,
        action: 'ca.init',
        object: trustDomain,
        detail: { root: fingerprintOf(root), issuer: fingerprintOf(issuer), issuerKeyId: issuer.keyId },
      },
    );
  } finally {
    await store.close();
  }
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

async function requireNothing(paths: readonly string[]): Promise<void> {
  const there: string[] = [];
  for (const path of paths) {
    if ((await lstat(path).catch(() => null)) !== null) there.push(path);
  }
  if (there.length > 0) throw new CertgateError('CG_CA_EXISTS', { files: there });
}

// A name longer than RFC 5280 allows (64) is cut: key identifiers tell two CAs apart, the name is for people.
function commonName(what: 'root' | 'issuer', trustDomain: string): string {
  return `certgate ${what} ${trustDomain}`.slice(0, 64);
}

function yearsAfter(start: Date, years: number): Date {
  const end = new Date(start);
  end.setUTCFullYear(end.getUTCFullYear() + years);
  return end;
}

function fingerprintOf({ certificate }: Issuer): string {
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase();
}
