// What must be true of a folder and of a CA's store after any kill of a process that issued into it.
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { expect } from 'vitest';
import { factsOf } from '../../src/pki/certificates.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { integrityOf } from '../store/fixture.ts';

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Every private key below `folder`, finished or not, is its owner's only, to the letter 0600. */
export function expectPrivateKeys(folder: string): void {
  for (const file of filesBelow(folder).filter((path) => path.endsWith('.key'))) {
    expect(`${file} ${(statSync(file).mode & 0o777).toString(8)}`).toBe(`${file} 600`);
  }
}

/**
 * Every certificate below `folder`, in a draft too, is recorded, byte for byte; every folder with its final name is
 * whole, with the key of its certificate; the store is sound and says of each certificate who was given it, once.
 * Answers how many certificates there are on the disk and in the store.
 */
export async function expectAllRecorded(
  folder: string,
  storePath: string,
): Promise<{ onDisk: number; recorded: number }> {
  expectPrivateKeys(folder);
  const store = openSqliteStore(storePath);
  const found = filesBelow(folder).filter((path) => basename(path) === 'tls.crt' && statSync(path).size > 0);
  let onDisk = 0;
  for (const path of found) {
    const isDraft = basename(dirname(path)).startsWith('.');
    const text = readFileSync(path, 'utf8');
    if (isDraft && !text.includes('-----END CERTIFICATE-----')) continue; // cut short by the kill: not a certificate
    const leaf = new X509Certificate(text);
    const { issuer, serial } = factsOf(leaf);
    expect(await store.standing(issuer, serial), `${path} is recorded`).not.toBeNull();
    const [record] = await store.listCertificates({ serial, now: Date.now() });
    expect(record?.fingerprint).toBe(createHash('sha256').update(leaf.raw).digest('hex'));
    onDisk += 1;
    if (isDraft) continue;
    expect(readdirSync(dirname(path)).toSorted()).toEqual(['ca.crt', 'tls.crt', 'tls.key']);
    expect(leaf.checkPrivateKey(createPrivateKey(readFileSync(join(dirname(path), 'tls.key'))))).toBe(true);
    expect(text.match(/END CERTIFICATE/g)).toHaveLength(2);
  }
  const recorded: string[] = [];
  for (let afterId = 0; ; ) {
    const page = await store.listAudit({ afterId, limit: 1000 });
    recorded.push(...page.filter((e) => e.action === 'certificate.issue').map((e) => String(e.detail['serial'])));
    const last = page.at(-1);
    if (last === undefined) break;
    afterId = last.id;
  }
  expect(new Set(recorded).size).toBe(recorded.length);
  for (const serial of recorded) {
    expect(await store.listCertificates({ serial, now: Date.now() })).toHaveLength(1);
  }
  await store.close();
  expect(integrityOf(storePath)).toBe('ok');
  return { onDisk, recorded: recorded.length };
}
