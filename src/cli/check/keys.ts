// Checks of `certgate ca check` about private keys and who may use the CA's files. No passphrase is asked for: of an
// encrypted key it is said that it is one, and not whose it is.

import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { caKeyProblemOf } from '../../authority/ca-key.ts';
import { generationFiles, storeFile } from '../../authority/layout.ts';
import { reasonOf, shellWord } from '../../errors.ts';
import { readCertificate } from '../../pki/certificates.ts';
import { isEncryptedPem, privateKeyFromPem } from '../../pki/keys.ts';
import { spkiOf } from '../../pki/public-keys.ts';
import type { CaRecord } from '../../store/store.ts';
import { type Finding, failure, fine, skipped, warning } from '../doctor/finding.ts';
import { checkMode } from '../doctor/modes.ts';
import { auditFile } from '../serve-options.ts';
import { replacing } from './certificates.ts';
import { copyBack, type Subject } from './subject.ts';

export async function checkKeys(subject: Subject): Promise<Finding[]> {
  const authorities = (subject.records?.authorities ?? []).filter(({ state }) => state !== 'retired');
  const findings: Finding[] = [];
  for (const record of authorities) {
    const { publicKey } = readCertificate(record.der);
    const weakness = await caKeyProblemOf(publicKey);
    if (weakness !== null) findings.push(failure(nameOf(record), `is one ${weakness}`, replacing(record, subject)));
    else if (record.role !== 'intermediate') findings.push(...checkKey(record, publicKey, subject));
  }
  return findings;
}

const nameOf = ({ role, generation }: CaRecord): string => `key of ${role} ${generation}`;

function checkKey(record: CaRecord, publicKey: KeyObject, subject: Subject): Finding[] {
  const { config, command } = subject;
  const { key } = generationFiles(config.certsDir, record);
  const name = nameOf(record);
  const issues = record.role === 'issuer' && record.state === 'active';
  let pem: string;
  try {
    pem = readFileSync(key, 'utf8');
  } catch (error) {
    const gone = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (!gone) return [skipped(name, `${key}: ${reasonOf(error)}`, 'run it as the user that runs certgate')];
    if (record.role === 'root') return [fine(name, `is kept elsewhere: ${key} does not exist`)];
    if (config.ca.signer !== null) return [fine(name, `is the signer's, ${config.ca.signer}`)];
    const found = `${key} does not exist`;
    if (!issues) return [warning(name, `${found}: no revocation list of it can be signed`, command('ca status'))];
    return [failure(name, `${found}: nothing can be issued`, copyBack(key, subject) ?? replacing(record, subject))];
  }
  if (isEncryptedPem(pem)) {
    return [
      skipped(name, 'is encrypted; whether it matches the certificate was not checked: that needs its passphrase'),
    ];
  }
  try {
    const own = spkiOf(createPublicKey(privateKeyFromPem(pem)));
    if (own.equals(spkiOf(publicKey))) return [fine(name, 'matches the certificate, and is not encrypted')];
    return [failure(name, `${key} is the key of another certificate`, copyBack(key, subject) ?? aside(key))];
  } catch (error) {
    return [failure(name, `${key} cannot be read: ${reasonOf(error)}`, copyBack(key, subject) ?? aside(key))];
  }
}

/** A gate that has no key goes on to what there is; one that has the wrong one does not start. */
function aside(key: string): string {
  return `mv ${shellWord(key)} ${shellWord(`${key}.wrong`)}`;
}

/** Modes and owners of all that the CA keeps. */
export function checkPermissions({ config, records }: Subject): Finding[] {
  const { certsDir, stateDir, file } = config;
  const authorities = records?.authorities ?? [];
  const store = storeFile(stateDir);
  const keys = authorities.map((record) => generationFiles(certsDir, record).key);
  const passphrases = config.ca.passphraseFile === null ? [] : [config.ca.passphraseFile];
  const own: ReadonlyArray<readonly [path: string, most: number]> = [
    [stateDir, 0o700],
    ...[store, `${store}-wal`, `${store}-shm`, auditFile(config), ...passphrases].map((path) => [path, 0o600] as const),
    ...(keys.length === 0 ? [join(certsDir, 'root.key'), join(certsDir, 'issuer.key')] : keys).map(
      (path) => [path, 0o600] as const,
    ),
    [certsDir, 0o755],
    ...authorities.map((record) => [generationFiles(certsDir, record).certificate, 0o644] as const),
    ...(file === null ? [] : [[file, 0o755] as const]),
  ];
  const findings = own.map(([path, most]) => checkMode(path, most)).filter((finding) => finding !== null);
  const bad = findings.filter(({ level }) => level !== 'ok');
  const owners = checkOwners(
    own.map(([path]) => path).filter((path) => path !== file && !passphrases.includes(path)),
    stateDir,
  );
  if (bad.length > 0 || owners.length > 0) return [...bad, ...owners];
  return [fine('file modes', `${findings.length} files and folders are as they should be`)];
}

function checkOwners(paths: readonly string[], stateDir: string): Finding[] {
  const ownerOf = (path: string): number | null => statSync(path, { throwIfNoEntry: false })?.uid ?? null;
  try {
    const owner = ownerOf(stateDir);
    return paths.flatMap((path) => {
      const uid = ownerOf(path);
      if (uid === null || uid === owner || owner === null) return [];
      const found = `${path} belongs to user ${uid}, ${stateDir} to ${owner}: the gate may not have access`;
      return [warning('file owner', found, `chown ${owner} ${shellWord(path)}`)];
    });
  } catch {
    return []; // said by their modes
  }
}
