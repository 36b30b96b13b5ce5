// A CA from its backup, into an empty place: every file as the manifest has it, the store sound, keys, certificates and
// store of one CA, and what was revoked since the backup revoked again, from the newest revocation lists. What was issued
// since is in no record, so that a gate refuses it by itself; serials are 128 random bits, so that none comes twice.
// Everything is made and checked under another name first; the place gets all of it or nothing. The backup is only read.
import type { X509Certificate } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { CertgateError, isCertgateError, shown, systemCode } from '../errors.ts';
import { fingerprintOf, readCertificate, readCertificates } from '../pki/facts.ts';
import { keyIdOf, privateKeyFromPem, publicKeyFits } from '../pki/keys.ts';
import type { AuditEntry } from '../store/audit-entry.ts';
import { type AdoptedCounts, adoptRevocations, readStoreFacts, type StoreFacts } from '../store/sqlite-copy.ts';
import { requireFree, writeFailure } from './backup.ts';
import {
  type BackupManifest,
  CERTIFICATES,
  CONFIGURATION,
  isPublic,
  MANIFEST,
  parseManifest,
  STORE,
} from './backup-manifest.ts';
import { copyFile } from './copy-file.ts';
import {
  draftName,
  makeDraftFolder,
  PRIVATE_FILE,
  PRIVATE_FOLDER,
  PUBLIC_FILE,
  removeLeftovers,
  syncFolder,
  writeNewFile,
} from './files.ts';
import { generationFiles } from './layout.ts';
import { type GivenCrl, type Judgement, judgeCrls } from './restored-crl.ts';

export interface RestoreRequest {
  /** The folder that `makeBackup` made. */
  readonly from: string;
  /** The folder to make; empty or not there yet. */
  readonly dir: string;
  readonly crls: readonly GivenCrl[];
  /** Do without the list of an issuer for which none is given. */
  readonly withoutCrl: boolean;
  /** The backup's certgate.yaml as it shall be in `dir`, and the trust domain in it, null when that cannot be told. */
  readonly configuration: (text: string) => { readonly text: string; readonly trustDomain: string | null };
  /** A number that sidecars have seen of a trust bundle: the one that is now has a larger one; 0 for none that is known. */
  readonly bundleAbove: number;
  readonly actor: string;
  /** From where, for the same. */
  readonly origin?: AuditEntry['detail'];
  /** ms since the epoch */
  readonly now: number;
}

export interface Restored {
  /** Absolute. */
  readonly dir: string;
  readonly manifest: BackupManifest;
  readonly judgement: Judgement;
  readonly counts: AdoptedCounts;
  /** For people, one sentence each. */
  readonly warnings: readonly string[];
}

/**
 * Restores the backup.
 * @throws CG_FOLDER_TAKEN, CG_BACKUP_UNUSABLE, CG_BACKUP_WRITE, CG_CA_MISMATCH, CG_TRUST_DOMAIN_MISMATCH, CG_CRL_NEEDED,
 *   CG_CRL_FOREIGN, CG_CRL_NUMBER, CG_STORE_*
 */
export async function restoreBackup(request: RestoreRequest): Promise<Restored> {
  const [from, dir] = [resolve(request.from), resolve(request.dir)];
  const manifest = await readManifest(from);
  for (const target of [dir, join(dir, basename(dir))]) await removeLeftovers(target, [PURPOSE], 0);
  await requireFree(dir);
  await requireOutside(dir, from);
  const inside = (await stat(dir).catch(() => null)) !== null;
  // Beside the place when that is still to be made, in it when it is there: it may be a mount point.
  const draft = join(inside ? dir : dirname(dir), draftName(basename(dir), PURPOSE));
  try {
    await mkdir(dirname(draft), { recursive: true });
    await makeDraftFolder(draft);
    const warnings = await copyAll(from, draft, manifest, request.configuration);
    const facts = storeFacts(join(draft, STORE), join(from, STORE));
    const authorities = await requireTogether(draft, facts, manifest, warnings);
    const retired = new Set(facts.authorities.flatMap(({ keyId, state }) => (state === 'retired' ? [keyId] : [])));
    const { crlNumbers, issuers } = facts;
    const judgement = judgeCrls(
      request.crls,
      { authorities, crlNumbers, issuers, retired, madeAt: Date.parse(manifest.madeAt) },
      request.withoutCrl,
      request.now,
    );
    const counts = adopt(join(draft, STORE), judgement, manifest, request);
    for (const name of ['state', CERTIFICATES]) await syncFolder(join(draft, name));
    await syncFolder(draft);
    await place(draft, dir, inside);
    return { dir, manifest, judgement, counts, warnings: [...warnings, ...judgement.warnings] };
  } catch (error) {
    throw writeFailure(error, dir, draft);
  } finally {
    await rm(draft, { recursive: true, force: true }).catch(() => {});
  }
}

/** What its drafts are called: those of one that was killed are of no use to the next. */
const PURPOSE = 'restoring';

/** The backup is only read, so that it can be restored again. CG_FOLDER_TAKEN. */
async function requireOutside(dir: string, from: string): Promise<void> {
  const backup = await realpath(from);
  for (let at = dir; at !== dirname(at); at = dirname(at)) {
    const there = await realpath(at).catch(() => null);
    if (there === null) continue;
    if (there === backup || there.startsWith(`${backup}${sep}`)) {
      throw new CertgateError('CG_FOLDER_TAKEN', { path: dir, problem: `is in the backup ${from} itself` });
    }
    return;
  }
}

async function readManifest(from: string): Promise<BackupManifest> {
  const path = join(from, MANIFEST);
  try {
    return parseManifest(await readFile(path, 'utf8'), path);
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(systemCode(error))) throw error;
    throw new CertgateError('CG_BACKUP_UNUSABLE', { path: from, problem: 'has no manifest.json' }, { cause: error });
  }
}

/** Copies what the manifest names and nothing else; answers what people should know. */
async function copyAll(
  from: string,
  draft: string,
  manifest: BackupManifest,
  configuration: RestoreRequest['configuration'],
): Promise<string[]> {
  const warnings: string[] = [];
  for (const name of ['state', CERTIFICATES]) await mkdir(join(draft, name), { mode: PRIVATE_FOLDER });
  for (const { path, bytes, sha256 } of manifest.files) {
    const source = join(from, path);
    const unusable = (problem: string): CertgateError =>
      new CertgateError('CG_BACKUP_UNUSABLE', { path: source, problem });
    const facts = await lstat(source).catch(() => null);
    if (facts?.isFile() !== true) throw unusable('is missing, or is not a file');
    await mkdir(dirname(join(draft, path)), { recursive: true, mode: PRIVATE_FOLDER });
    // By what is in it: a key may be called anything.
    const isOpen = path === CONFIGURATION || (/\.(crt|pem|crl)$/.test(path) && isPublic(await readFile(source)));
    const copied = await copyFile(source, join(draft, path), isOpen ? PUBLIC_FILE : PRIVATE_FILE);
    if (copied.bytes !== bytes) throw unusable(`has ${copied.bytes} bytes, not ${bytes} as the manifest says`);
    if (copied.sha256 !== sha256) throw unusable('is not what was backed up: its SHA-256 differs from the manifest’s');
  }
  const file = join(draft, CONFIGURATION);
  if (!manifest.files.some(({ path }) => path === CONFIGURATION)) {
    warnings.push(
      `the backup has no ${CONFIGURATION}: settings came from flags or the environment, and must do so again`,
    );
    return warnings;
  }
  const before = await readFile(file, 'utf8');
  const { text, trustDomain } = configuration(before);
  if (trustDomain !== null && trustDomain !== manifest.trustDomain) {
    throw new CertgateError('CG_TRUST_DOMAIN_MISMATCH', {
      configured: trustDomain,
      recorded: manifest.trustDomain,
      location: join(from, STORE),
    });
  }
  if (text === before) return warnings;
  await rm(file);
  await writeNewFile(file, text, PUBLIC_FILE);
  warnings.push(`${CONFIGURATION} named other folders for keys and store: it now names those beside it`);
  return warnings;
}

/** What the restored store says of itself; what is wrong with it is said of the one in the backup. */
function storeFacts(copy: string, original: string): StoreFacts {
  try {
    return readStoreFacts(copy);
  } catch (error) {
    if (isCertgateError(error, 'CG_STORE_NEWER')) {
      throw new CertgateError('CG_STORE_NEWER', { ...error.facts, location: original }, { cause: error });
    }
    if (isCertgateError(error, 'CG_STORE_CORRUPT') || isCertgateError(error, 'CG_STORE_FOREIGN')) {
      const problem = `is not an intact store: ${error.facts.problem}`;
      throw new CertgateError('CG_BACKUP_UNUSABLE', { path: original, problem }, { cause: error });
    }
    throw error;
  }
}

/** The CA's certificates, when files and store are of one CA. CG_CA_MISMATCH. */
async function requireTogether(
  draft: string,
  facts: StoreFacts,
  manifest: BackupManifest,
  warnings: string[],
): Promise<readonly X509Certificate[]> {
  const certificates = new Map<string, readonly X509Certificate[]>();
  const keys = new Map<string, string>();
  for (const { path } of manifest.files.filter((file) => file.path.startsWith(`${CERTIFICATES}/`))) {
    const text = await readFile(join(draft, path), 'latin1');
    const stem = stemOf(path);
    if (text.includes('PRIVATE KEY-----')) keys.set(stem, text);
    else if (text.includes('-----BEGIN CERTIFICATE-----')) certificates.set(stem, readCertificates(text));
  }
  const every = [...certificates.values(), facts.authorities.map(({ der }) => readCertificate(der))].flat();
  const authorities = [...new Map(every.filter((one) => one.ca).map((one) => [one.fingerprint256, one])).values()];
  for (const record of facts.authorities) {
    const file = generationFiles(CERTIFICATES, record).certificate;
    if (record.state === 'retired' || certificates.get(stemOf(file))?.[0]?.raw.equals(record.der) === true) continue;
    throw mismatch(`${file} in the backup is not the ${record.role} certificate that the store beside it knows`);
  }
  requireOneRoot(authorities, facts);
  for (const [stem, text] of keys) {
    const own = certificates.get(stem)?.[0];
    if (text.includes('ENCRYPTED'))
      warnings.push(`${stem}.key is encrypted: whether it is the right key was not checked`);
    else if (own !== undefined && !publicKeyFits(own, privateKeyFromPem(text))) {
      throw mismatch(`${stem}.key in the backup is not the key of ${stem}.crt`);
    }
  }
  const active = facts.authorities.find(({ role, state }) => role === 'issuer' && state === 'active');
  const { key } = generationFiles(CERTIFICATES, active ?? { role: 'issuer', generation: 1 });
  if (!keys.has(stemOf(key))) {
    warnings.push(`the backup has no ${key}: put it back before you start a gate or issue`);
  }
  return authorities;
}

// The store was made for a root that is there, what is there was signed by what is there, and so were the certificates
// in the store.
function requireOneRoot(authorities: readonly X509Certificate[], facts: StoreFacts): void {
  const recorded = facts.rootFingerprint;
  if (recorded === null || facts.trustDomain === null) throw mismatch('the store in the backup belongs to no CA');
  const isRecorded = (one: X509Certificate): boolean => fingerprintOf(one) === recorded;
  if (!authorities.some(isRecorded)) {
    throw mismatch('the store in the backup was made for a different root than the one next to it');
  }
  for (const one of authorities) {
    if (isRecorded(one) || authorities.some((other) => one.checkIssued(other) && one.verify(other.publicKey))) continue;
    throw mismatch(`no certificate in the backup signed that of ${shown(one.subject)}`);
  }
  const ids = new Set(authorities.map(keyIdOf));
  const stranger = facts.issuers.find((issuer) => !ids.has(issuer));
  if (stranger === undefined) return;
  throw mismatch(
    `the store in the backup has certificates of the issuer ${stranger}, whose certificate is not next to it`,
  );
}

function stemOf(path: string): string {
  return path.replace(/\.[a-z]+$/, '');
}

function mismatch(problem: string): CertgateError {
  return new CertgateError('CG_CA_MISMATCH', {
    problem,
    remedy: 'nothing was restored: use another copy of the backup, or an older one',
  });
}

function adopt(store: string, judgement: Judgement, manifest: BackupManifest, request: RestoreRequest): AdoptedCounts {
  return adoptRevocations(store, {
    listed: judgement.listed,
    crlNumbers: judgement.crlNumbers,
    bundleAbove: request.bundleAbove,
    actor: request.actor,
    at: request.now,
    audit: ({ revoked, unknown, tokens }) => ({
      time: request.now,
      actor: request.actor,
      action: 'ca.restore',
      object: manifest.trustDomain,
      detail: {
        backup: manifest.madeAt,
        revision: manifest.store.revision,
        crls: judgement.lists.map(({ issuer, number }) => `${issuer}:${number}`).join(','),
        revoked,
        unknown,
        tokens,
        ...request.origin,
      },
    }),
  });
}

// Into a folder that is there the parts go one by one, the store last: without it nothing works, and nothing is issued.
async function place(draft: string, dir: string, inside: boolean): Promise<void> {
  if (!inside) {
    await rename(draft, dir); // refuses a folder that has something in it by now
    await syncFolder(dirname(dir));
    return;
  }
  const others = (await readdir(dir)).filter((name) => name !== basename(draft));
  if (others.length > 0)
    throw new CertgateError('CG_FOLDER_TAKEN', { path: dir, problem: `has ${others[0]} in it by now` });
  const parts = (await readdir(draft)).toSorted((a, b) => Number(a === 'state') - Number(b === 'state'));
  const placed: string[] = [];
  try {
    for (const name of parts) {
      await rename(join(draft, name), join(dir, name));
      placed.push(name);
    }
    await syncFolder(dir);
  } catch (error) {
    // Back into the draft, which goes: else what is there already would be in the way of the next try.
    for (const name of placed.toReversed()) await rename(join(dir, name), join(draft, name)).catch(() => {});
    throw error;
  }
}
