// The authority out of its place: the store says which certificates the CA has and which issues, the files hold them and
// their keys. Everything is checked against everything else, so that a mixed-up backup, a replaced file or a typing
// error in the configuration stops the start, never an issuance half-way: the key is the issuer's, each certificate was
// signed by the one above it, the files are those that the store knows, the store is this trust domain's, and both root
// and issuer are in their time.
import type { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { CertgateError, type ErrorCode, isCertgateError } from '../errors.ts';
import { type Issuer, issuerOf, readCertificate } from '../pki/certificates.ts';
import { fingerprintOf } from '../pki/facts.ts';
import { keyIdOf } from '../pki/keys.ts';
import type { CaRecord, Store } from '../store/store.ts';
import { type Authority, type CaInUse, openAuthority } from './authority.ts';
import { caRecordsIn } from './ca-records.ts';
import { unreadable } from './files.ts';
import { type KeyStore, plainKeyStore } from './key-store.ts';
import { generationFiles } from './layout.ts';
import { trustIn } from './trust.ts';

export interface AuthorityPlace {
  readonly certsDir: string;
  readonly store: Store;
  readonly trustDomain: string;
  /** How the issuer's key is had; plain files when left out. */
  readonly keys?: KeyStore;
  /** As in AuthorityParts. */
  readonly statusUrl?: string | null;
  /** Told what the CA goes on without, a sentence each. */
  readonly warn?: (sentence: string) => void;
  /** ms since the epoch; Date.now when left out. */
  readonly clock?: () => number;
}

/**
 * The authority whose files are in `certsDir` and whose records are in `store`.
 * @throws CG_CA_FILE, CG_CA_MISMATCH, CG_CA_EXPIRED, CG_CA_UNFINISHED, CG_KEY_MODE, CG_PASSPHRASE, CG_TRUST_DOMAIN_MISMATCH, CG_STORE_*
 */
export async function loadAuthority(place: AuthorityPlace): Promise<Authority> {
  const { store, trustDomain, statusUrl = null, clock } = place;
  return openAuthority({
    store,
    ca: await readCa(place),
    reread: async (known) => (sameRecords(await caRecordsIn(store), known.trust.records) ? null : readCa(place)),
    trustDomain,
    statusUrl,
    ...(clock === undefined ? {} : { clock }),
  });
}

/** A certificate of the CA with the file that it is in. */
interface Filed {
  readonly record: CaRecord;
  readonly file: string;
  readonly certificate: X509Certificate;
}

/** The CA as store and files have it now. Throws as `loadAuthority`. */
export async function readCa(place: AuthorityPlace): Promise<CaInUse> {
  const { certsDir, store, trustDomain, keys = plainKeyStore, warn = () => {}, clock = Date.now } = place;
  const known = await caRecordsIn(store);
  const records = known.length > 0 ? known : await recordsOfFiles(certsDir);
  const filed: Filed[] = [];
  for (const record of records) {
    if (record.state === 'retired') continue;
    const file = generationFiles(certsDir, record).certificate;
    filed.push({ record, file, certificate: await readFrom(file, readText, readCertificate) });
  }
  const active = filed.find(({ record }) => record.role === 'issuer' && record.state === 'active');
  if (active === undefined) {
    const { waitingRequests } = await import('./import-issuer.ts');
    const request = (await waitingRequests(certsDir, records)).at(-1)?.requestFile ?? null;
    throw new CertgateError('CG_CA_UNFINISHED', { problem: "the issuer's certificate was not imported yet", request });
  }
  const issuer = await withKey(active, certsDir, keys);
  requireChains(filed);
  for (const { record, certificate, file } of filed) {
    if (record.role !== 'intermediate' && record.state === 'active') requireValid(certificate, file, clock());
  }
  await requireStoreOf(store, filed, trustDomain);
  if (known.length === 0) await adopt(store, records, trustDomain, clock());
  return {
    trust: trustIn(records),
    issuer,
    issuers: [issuer, ...(await othersWithKeys(filed, active, { certsDir, keys, warn }))],
  };
}

// A CA that was made before the store kept its certificates: the files are all there is to go by.
async function recordsOfFiles(certsDir: string): Promise<readonly CaRecord[]> {
  const read = async (role: 'root' | 'issuer'): Promise<X509Certificate> =>
    readFrom(generationFiles(certsDir, { role, generation: 1 }).certificate, readText, readCertificate);
  const [root, issuer] = [await read('root'), await read('issuer')];
  const [rootId, issuerId] = [root, issuer].map(keyIdOf) as [string, string];
  const first = { generation: 1, parent: rootId, state: 'active' } as const;
  return [
    { ...first, keyId: rootId, role: 'root', der: root.raw, ...timesOf(root) },
    { ...first, keyId: issuerId, role: 'issuer', der: issuer.raw, ...timesOf(issuer) },
  ];
}

function timesOf({ validFromDate }: X509Certificate): { addedAt: number; changedAt: number } {
  return { addedAt: validFromDate.getTime(), changedAt: validFromDate.getTime() };
}

async function adopt(store: Store, add: readonly CaRecord[], trustDomain: string, at: number): Promise<void> {
  const audit = { time: at, actor: 'certgate', action: 'ca.adopt', object: trustDomain, detail: {} };
  await store.changeCa({ add, at }, audit).catch((error: unknown) => {
    // Another process was faster; a store that can't be written to still tells who is revoked.
    if (!isCertgateError(error, 'CG_CA_CHANGED') && !isCertgateError(error, 'CG_STORE_READONLY')) throw error;
  });
}

async function withKey({ record, certificate, file }: Filed, certsDir: string, keys: KeyStore): Promise<Issuer> {
  return issuerOf(certificate.raw, await keys.signerFor(certificate, generationFiles(certsDir, record).key, file));
}

/** What of another issuer's key only that issuer needs. Not CG_KEY_MODE: others may have read the key of a CA. */
const KEYLESS: readonly ErrorCode[] = ['CG_CA_FILE', 'CG_CA_MISMATCH', 'CG_KEY_UNREADABLE', 'CG_PASSPHRASE'];

// Without its key an issuer can't sign a CRL any more; all else goes on.
async function othersWithKeys(
  filed: readonly Filed[],
  active: Filed,
  { certsDir, keys, warn }: Required<Pick<AuthorityPlace, 'certsDir' | 'keys' | 'warn'>>,
): Promise<readonly Issuer[]> {
  const others: Issuer[] = [];
  for (const one of filed) {
    if (one === active || one.record.role !== 'issuer') continue;
    const other = await withKey(one, certsDir, keys).catch((error: unknown) => {
      if (!isCertgateError(error) || !KEYLESS.includes(error.code)) throw error;
      const { generation, state } = one.record;
      warn(`issuer ${generation}, ${state}, can sign no revocation list: ${error.message}; see certgate ca check`);
      return null;
    });
    if (other !== null) others.push(other);
  }
  return others;
}

const readText = (path: string): Promise<string> => readFile(path, 'utf8');

async function readFrom<T>(
  file: string,
  read: (path: string) => Promise<string>,
  parse: (text: string) => T,
): Promise<T> {
  try {
    return parse(await read(file));
  } catch (error) {
    throw unreadable(file, error);
  }
}

function requireChains(filed: readonly Filed[]): void {
  for (const { record, certificate, file } of filed) {
    if (!certificate.ca) throw new CertgateError('CG_CA_FILE', { file, problem: 'is not the certificate of a CA' });
    const signer = filed.find((other) => other.record.keyId === record.parent);
    if (signer !== undefined && certificate.checkIssued(signer.certificate)) {
      if (certificate.verify(signer.certificate.publicKey)) continue;
    }
    const problem =
      record.role === 'root'
        ? `${file} is not a root: it did not sign itself`
        : `${file} was not issued by ${signer?.file ?? `the CA certificate ${record.parent}, which is not trusted`}`;
    throw new CertgateError('CG_CA_MISMATCH', { problem, remedy: 'restore the two from the same backup' });
  }
}

function requireValid({ validFromDate, validToDate }: X509Certificate, file: string, now: number): void {
  if (now < validFromDate.getTime()) {
    throw new CertgateError('CG_CA_EXPIRED', { file, problem: `is not valid before ${validFromDate.toISOString()}` });
  }
  if (now >= validToDate.getTime()) {
    throw new CertgateError('CG_CA_EXPIRED', { file, problem: `expired at ${validToDate.toISOString()}` });
  }
}

async function requireStoreOf(store: Store, filed: readonly Filed[], trustDomain: string): Promise<void> {
  const { location } = store;
  const recorded = await store.meta('trustDomain');
  if (recorded === null) {
    throw new CertgateError('CG_CA_MISMATCH', {
      problem: `${location} belongs to no CA: it was never finished`,
      remedy: 'move it away and make a CA with `certgate init --dir DIR`',
    });
  }
  if (recorded !== trustDomain) {
    throw new CertgateError('CG_TRUST_DOMAIN_MISMATCH', { configured: trustDomain, recorded, location });
  }
  const first = await store.meta('rootFingerprint');
  for (const { record, certificate, file } of filed) {
    const isFirstRoot = record.role === 'root' && record.generation === 1 && first !== null;
    const same = certificate.raw.equals(record.der) && (!isFirstRoot || first === fingerprintOf(certificate));
    if (same) continue;
    throw new CertgateError('CG_CA_MISMATCH', {
      problem: `${file} is not the ${record.role} certificate that ${location} knows`,
      remedy: 'restore certs and state from the same backup, or name the right ones with certsDir and stateDir',
    });
  }
}

function sameRecords(a: readonly CaRecord[], b: readonly CaRecord[]): boolean {
  return (
    a.length === b.length &&
    a.every((one, i) => one.keyId === b[i]?.keyId && one.state === b[i]?.state && one.changedAt === b[i]?.changedAt)
  );
}
