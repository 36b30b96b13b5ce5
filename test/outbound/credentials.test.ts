import { createPrivateKey, X509Certificate } from 'node:crypto';
import { chmodSync, cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { prepareRoot } from '../../src/authority/rotate.ts';
import { openLog } from '../../src/observe/log.ts';
import { openCredentials, watchCredentials } from '../../src/outbound/credentials.ts';
import { encryptedKeyToPem } from '../../src/pki/encrypted-keys.ts';
import { openCa, request, TRUST_DOMAIN } from '../authority/fixture.ts';
import { eventually } from '../e2e/harness/eventually.ts';
import { fill, ownFileSystem } from '../store/file-system.ts';
import { failureOf } from '../store/fixture.ts';

async function issued() {
  const ca = await openCa();
  const dir = join(ca.dir, 'worker');
  await issueToDirectory(ca.authority, { ...request(), out: dir });
  return { ca, dir };
}

async function watching(dir: string) {
  const said: string[] = [];
  const log = openLog({ level: 'info', destination: { write: (line: string) => void said.push(line) } });
  const files = { cert: join(dir, 'tls.crt'), key: join(dir, 'tls.key'), ca: join(dir, 'ca.crt') };
  const watched = await watchCredentials(files, log, () => {});
  onTestFinished(() => watched.stop());
  return { watched, said, files };
}

test('files that can not be taken are said so once, and taken as soon as they can be', async () => {
  const { ca, dir } = await issued();
  const { watched, said, files } = await watching(dir);
  const before = watched.current.certificate.serialNumber;
  await issueToDirectory(ca.authority, { ...request(), out: dir, force: true });
  const bundle = readFileSync(files.ca, 'utf8');
  writeFileSync(files.ca, 'not a bundle');
  expect([await watched.look(), await watched.look()]).toEqual([false, false]);
  expect(watched.current.certificate.serialNumber).toBe(before);
  expect(said.filter((line) => line.includes('new credentials refused'))).toHaveLength(1);
  writeFileSync(files.ca, bundle);
  expect([await watched.look(), await watched.look()]).toEqual([true, true]);
  expect(watched.current.certificate.serialNumber).not.toBe(before);
});

test.each([
  ['tls.crt', '', 'it is empty'],
  ['tls.crt', 'damaged', 'it holds no certificate, or a damaged one'],
  ['ca.crt', 'damaged', 'it holds no certificate, or a damaged one'],
  ['tls.key', 'damaged', 'private key unreadable: it is damaged'],
])('%s that is %j is named, and what is wrong with it in words of certgate', async (name, content, problem) => {
  const { dir } = await issued();
  const path = join(dir, name);
  const files = { cert: join(dir, 'tls.crt'), key: join(dir, 'tls.key'), ca: join(dir, 'ca.crt') };
  if (content === 'damaged') writeFileSync(path, readFileSync(path, 'utf8').replaceAll(/^[^-]{20}/gm, ''));
  else writeFileSync(path, content);
  const failure: unknown = await openCredentials(files).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'CG_CREDENTIALS' });
  expect(String(failure)).toContain(`${path}: ${problem}`);
  expect(String(failure)).not.toContain('routines');
});

test('a renewal that comes between the reading of key and certificate is no failure: both new ones are taken', async () => {
  const { ca, dir } = await issued();
  const files = { cert: join(dir, 'tls.crt'), key: join(dir, 'tls.key'), ca: join(dir, 'ca.crt') };
  const passphrase = Buffer.from('a long passphrase');
  writeFileSync(files.key, await encryptedKeyToPem(createPrivateKey(readFileSync(files.key)), passphrase));
  const opening = async () => {
    await issueToDirectory(ca.authority, { ...request(), out: dir, force: true });
    return passphrase;
  };
  const { read } = await openCredentials({ ...files, passphrase: opening });
  expect(read.certificate.raw).toEqual(new X509Certificate(readFileSync(files.cert)).raw);
});

test('a key that is of another certificate is refused, and both files are named', async () => {
  const [one, other] = [await issued(), await issued()];
  const files = { cert: join(one.dir, 'tls.crt'), key: join(other.dir, 'tls.key'), ca: join(one.dir, 'ca.crt') };
  const failure = await failureOf('CG_CREDENTIALS', () => openCredentials(files));
  expect(failure.message).toContain(`${files.key}: is not the key of ${files.cert}`);
});

test('a certificate is taken until the moment it ends, by the clock that counts, and one that has ended to renew it', async () => {
  const { dir } = await issued();
  const files = { cert: join(dir, 'tls.crt'), key: join(dir, 'tls.key'), ca: join(dir, 'ca.crt') };
  const { notAfter } = (await openCredentials(files)).read;
  const taken = async (asOf: (() => number) | null) => (await openCredentials(files, null, asOf)).read.notAfter;
  expect(await taken(() => notAfter - 1)).toBe(notAfter);
  const ended = await failureOf('CG_CREDENTIALS', () => taken(() => notAfter));
  expect(ended.message).toContain(`the certificate expired at ${new Date(notAfter).toISOString()}`);
  expect(await taken(null)).toBe(notAfter);
});

test('a trust bundle for which there is no room holds at once, and is written when there is', async (context) => {
  const { ca, dir } = await issued();
  const place = ownFileSystem(context, '1m');
  cpSync(dir, place, { recursive: true });
  const { watched, said, files } = await watching(place);
  const old = readFileSync(files.ca, 'utf8');
  await prepareRoot({ certsDir: ca.certsDir, store: ca.store, trustDomain: TRUST_DOMAIN, actor: 'test' });
  const fresh = readFileSync(join(ca.certsDir, 'ca.crt'), 'utf8');
  const filler = fill(place);
  watched.trust(fresh, true);
  expect([watched.current.ca, readFileSync(files.ca, 'utf8')]).toEqual([fresh, old]);
  expect(said.join('')).toContain('could not be written');
  rmSync(filler);
  await eventually('it is written', () => readFileSync(files.ca, 'utf8') === fresh || undefined);
  expect(watched.current.ca).toBe(fresh);
});

test('a key in the clear that others than its owner can read is taken with a warning, and one that they cannot without', async () => {
  const { ca, dir } = await issued();
  const { watched, said, files } = await watching(dir);
  expect(said.join('')).not.toContain('can get at the key');
  await issueToDirectory(ca.authority, { ...request(), out: dir, force: true });
  chmodSync(files.key, 0o640);
  expect(await watched.look()).toBe(true);
  const lines = said.filter((line) => line.includes('can get at the key'));
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ level: 'warn', file: files.key, mode: '0640' });
});
