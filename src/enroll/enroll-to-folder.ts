// Enrolment into a folder, whole or not at all. The new key is on the disk, private, before the gate is asked, beside where
// the folder will be and under the token's id: who was killed half-way, or lost the answer, tries again with the same key,
// and the gate gives the same certificate.
import { type KeyObject, X509Certificate } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { PRIVATE_FILE, PUBLIC_FILE, readKeyFile, systemCode, writeNewFile } from '../authority/files.ts';
import { startOutputFolder } from '../authority/output-folder.ts';
import { isCertgateError } from '../errors.ts';
import { isGroupName } from '../identity/groups.ts';
import { factsOf } from '../pki/facts.ts';
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
  const folder = await startOutputFolder(options.out, { force: options.force, withKey: true });
  const pending = join(dirname(folder.path), `.${basename(folder.path)}.enrolling-${options.credential.id}`);
  try {
    const privateKey = await pendingKey(pending);
    const { identity, certificate, bundle } = await enroll({ ...options, privateKey });
    const read = new X509Certificate(certificate);
    const groups = factsOf(read).subject.flatMap(([name, value]) =>
      name === 'OU' && isGroupName(value) ? [value] : [],
    );
    const [serial, notAfter] = [read.serialNumber.toLowerCase(), read.validToDate.getTime()];
    await folder.write('tls.key', privateKeyToPem(privateKey), PRIVATE_FILE);
    await folder.write('tls.crt', certificate, PUBLIC_FILE);
    await folder.write('ca.crt', bundle, PUBLIC_FILE);
    await folder.publish();
    await removePending(folder.path);
    return { identity, path: folder.path, serial, groups, notAfter };
  } catch (error) {
    await folder.discard();
    // The gate will never give a certificate for this key.
    if (isCertgateError(error, 'CG_ENROLL_REFUSED')) await rm(pending, { force: true }).catch(() => {});
    throw error;
  }
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
  const prefix = `.${basename(path)}.enrolling-`;
  for (const name of await readdir(dirname(path)).catch(() => [])) {
    if (name.startsWith(prefix)) await rm(join(dirname(path), name), { force: true }).catch(() => {});
  }
}
