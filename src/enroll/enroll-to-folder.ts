// Enrolment into a folder, whole or not at all. The new key is on the disk, private, before the gate is asked, beside where
// the folder will be and under the token's id: who was killed half-way, or lost the answer, tries again with the same key,
// and the gate gives the same certificate.
import { type KeyObject, X509Certificate } from 'node:crypto';
import { readdir, readFile, realpath, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { PRIVATE_FILE, PUBLIC_FILE, readKeyFile, writeNewFile } from '../authority/files.ts';
import { startOutputFolder } from '../authority/output-folder.ts';
import { isCertgateError, systemCode } from '../errors.ts';
import { isGroupName } from '../identity/groups.ts';
import { nameInSpiffeUri } from '../identity/name.ts';
import { readFacts } from '../pki/facts.ts';
import { generateKey, privateKeyFromPem, privateKeyToPem } from '../pki/keys.ts';
import { type Enrolling, enroll } from './enroll-client.ts';

export interface EnrolledFolder {
  readonly identity: string;
  /** Absolute. */
  readonly path: string;
  readonly serial: string;
  /** As the certificate has them. */
  readonly groups: readonly string[];
  /** ms since the epoch */
  readonly notAfter: number;
}

/**
 * Enrols into `out`: tls.crt, tls.key (0600), ca.crt, as `certgate issue` makes it. `force` replaces an earlier identity.
 * @throws CG_OUT_EXISTS, CG_OUT_UNUSABLE, CG_KEY_MODE and what `enroll` throws
 */
export async function enrollToFolder(
  options: Omit<Enrolling, 'privateKey'> & { readonly out: string; readonly force: boolean },
): Promise<EnrolledFolder> {
  const done = options.force ? null : await doneBefore(options.out, options.credential.id);
  if (done !== null) return done;
  const folder = await startOutputFolder(options.out, { force: options.force, withKey: true });
  const pending = pendingFile(folder.path, options.credential.id);
  try {
    const privateKey = await pendingKey(pending);
    const { certificate, bundle } = await enroll({ ...options, privateKey });
    await folder.write('tls.key', privateKeyToPem(privateKey), PRIVATE_FILE);
    await folder.write('tls.crt', certificate, PUBLIC_FILE);
    await folder.write('ca.crt', bundle, PUBLIC_FILE);
    await folder.publish();
    await removePending(folder.path);
    return enrolledIn(folder.path, certificate);
  } catch (error) {
    await folder.discard();
    // The gate will never give a certificate for this key.
    if (isCertgateError(error, 'CG_ENROLL_REFUSED')) await rm(pending, { force: true }).catch(() => {});
    throw error;
  }
}

/**
 * What this credential has got already: killed after the folder had its name, its try has left the key beside it. Null when
 * there is no such folder, when another certificate is in it by now, or when that has ended.
 */
async function doneBefore(out: string, id: string): Promise<EnrolledFolder | null> {
  const path = await realpath(resolve(out)).catch(() => null);
  if (path === null || !(await isKeyOf(path, pendingFile(path, id)))) return null;
  const certificate = await readFile(join(path, 'tls.crt'), 'utf8').catch(() => '');
  if (!certificate.includes('-----END CERTIFICATE-----')) return null;
  const enrolled = enrolledIn(path, certificate);
  if (enrolled.notAfter <= Date.now()) return null;
  await removePending(path);
  return enrolled;
}

/** Removes what a killed enrolment has left beside a folder that has its key. Never fails. */
export async function tidyPending(out: string): Promise<void> {
  const path = await realpath(resolve(out)).catch(() => null);
  for (const file of path === null ? [] : await pendingBeside(path)) {
    if (path !== null && (await isKeyOf(path, file))) await rm(file, { force: true }).catch(() => {});
  }
}

async function isKeyOf(folder: string, pending: string): Promise<boolean> {
  const [key, waiting] = await Promise.all(
    [join(folder, 'tls.key'), pending].map((path) => readFile(path, 'utf8').catch(() => '')),
  );
  return key !== '' && key === waiting;
}

function enrolledIn(path: string, certificate: string): EnrolledFolder {
  const read = new X509Certificate(certificate);
  const { subject, subjectAltNames } = readFacts(read.raw);
  const uri = subjectAltNames.find(({ type }) => type === 'URI')?.value ?? '';
  return {
    identity: nameInSpiffeUri(uri) ?? uri,
    path,
    serial: read.serialNumber.toLowerCase(),
    groups: subject.flatMap(([name, value]) => (name === 'OU' && isGroupName(value) ? [value] : [])),
    notAfter: read.validToDate.getTime(),
  };
}

async function pendingKey(path: string): Promise<KeyObject> {
  const { privateKey } = await generateKey('P-256');
  try {
    await writeNewFile(path, privateKeyToPem(privateKey), PRIVATE_FILE);
    return privateKey;
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
  }
  try {
    return privateKeyFromPem(await readKeyFile(path));
  } catch (error) {
    // Cut short by a kill: nobody was asked for a certificate with it.
    if (!isCertgateError(error, 'CG_KEY_UNREADABLE')) throw error;
    await rm(path, { force: true });
    return pendingKey(path);
  }
}

/** The folder has its key: whatever other tries for it have left is of no use. Never fails. */
async function removePending(path: string): Promise<void> {
  for (const file of await pendingBeside(path)) await rm(file, { force: true }).catch(() => {});
}

function pendingFile(path: string, id: string): string {
  return join(dirname(path), `.${basename(path)}.enrolling-${id}`);
}

async function pendingBeside(path: string): Promise<readonly string[]> {
  const names = await readdir(dirname(path)).catch(() => []);
  const prefix = basename(pendingFile(path, ''));
  return names.filter((name) => name.startsWith(prefix)).map((name) => join(dirname(path), name));
}
