import { spawn, spawnSync } from 'node:child_process';
import { type KeyObject, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { caKeyFiles, changePassphrase } from '../../src/authority/change-passphrase.ts';
import { openKeyStore, readKey } from '../../src/authority/key-store.ts';
import { passphraseFile, passphraseValue } from '../../src/authority/passphrase.ts';
import { generateKey } from '../../src/pki/keys.ts';
import { failureOf, newFolder } from '../store/fixture.ts';

const program = join(import.meta.dirname, 'passphrase-process.ts');
const killer = join(import.meta.dirname, 'kill-at.ts');
const NAMES = ['issuer-2.key', 'root.key'];
const OLD = passphraseValue('the old one', 'the old passphrase');
const NEW = passphraseValue('the new one', 'the new passphrase');

interface Folder {
  readonly certs: string;
  /** Files of the passphrases. */
  readonly old: string;
  readonly next: string;
  readonly keys: ReadonlyMap<string, KeyObject>;
}

/** Two keys, encrypted under the old passphrase, quickly: OpenSSL counts to 1. */
async function folderOfKeys(): Promise<Folder> {
  const dir = newFolder();
  const certs = join(dir, 'certs');
  mkdirSync(certs, { mode: 0o700 });
  const [old, next] = [join(dir, 'old'), join(dir, 'new')];
  writeFileSync(old, 'the old passphrase\n', { mode: 0o600 });
  writeFileSync(next, 'the new passphrase\n', { mode: 0o600 });
  const keys = new Map<string, KeyObject>();
  for (const name of NAMES) {
    const { privateKey } = await generateKey();
    keys.set(name, privateKey);
    const input = privateKey.export({ type: 'pkcs8', format: 'pem' });
    const args = ['pkcs8', '-topk8', '-iter', '1', '-passout', `file:${old}`];
    const { stdout, status } = spawnSync('openssl', args, { input, encoding: 'utf8' });
    expect(status).toBe(0);
    writeFileSync(join(certs, name), stdout, { mode: 0o600 });
  }
  writeFileSync(join(certs, 'tls.key'), 'not a key of the CA', { mode: 0o600 });
  return { certs, old, next, keys };
}

async function change(folder: Folder, from: string, to: string, killAt: number, umask = 0o022) {
  const command = `umask ${umask.toString(8)}; exec "$@"`;
  const args = ['-c', command, 'sh', process.execPath, '--import', killer, program, folder.certs, from, to];
  const child = spawn('/bin/sh', args, {
    env: { ...process.env, KILL_AT: String(killAt) },
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
  });
  const steps: Buffer[] = [];
  child.stdio[3]?.on('data', (bytes: Buffer) => steps.push(bytes));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  return { code, signal, steps: Number(Buffer.concat(steps).toString()) };
}

/** Which of the keys open with the new passphrase (or in the clear); the others must with the old one. */
async function opened({ certs, keys }: Folder): Promise<readonly boolean[]> {
  const found: boolean[] = [];
  for (const [name, key] of keys) {
    const path = join(certs, name);
    const read = await readKey(path, OLD).catch(() => readKey(path, NEW));
    expect(read.key.equals(key), name).toBe(true);
    const text = readFileSync(path, 'utf8');
    found.push(
      !text.includes('ENCRYPTED') ||
        (await readKey(path, NEW).then(
          () => true,
          () => false,
        )),
    );
  }
  return found;
}

const modesIn = (folder: string): readonly string[] =>
  readdirSync(folder).map((name) => (statSync(join(folder, name)).mode & 0o777).toString(8));

describe('another passphrase', () => {
  test('opens every generation of keys, and the old one does not', async () => {
    const folder = await folderOfKeys();
    const paths = await caKeyFiles(folder.certs);
    expect(paths).toEqual(NAMES.map((name) => join(folder.certs, name)));
    await changePassphrase({ paths, from: OLD, to: NEW });
    for (const path of paths) {
      await failureOf('CG_PASSPHRASE', () => readKey(path, OLD));
      expect(await readKey(path, NEW)).toMatchObject({ encrypted: true, weakness: null });
    }
    expect(await opened(folder)).toEqual([true, true]);
    expect(new Set(modesIn(folder.certs))).toEqual(new Set(['600']));
    expect(readdirSync(folder.certs).toSorted()).toEqual([...NAMES, 'tls.key']);
  });

  test('is the first for plain keys, and can be taken away again', async () => {
    const folder = await folderOfKeys();
    const paths = await caKeyFiles(folder.certs);
    await changePassphrase({ paths, from: OLD, to: null });
    for (const path of paths) expect((await readKey(path, null)).encrypted).toBe(false);
    await changePassphrase({ paths: paths.slice(0, 1), from: null, to: NEW });
    expect(await opened(folder)).toEqual([true, true]);
    await failureOf('CG_PASSPHRASE', () => readKey(paths[0] ?? '', null));
  });

  test('with a wrong old one nothing changes, though other keys were opened already', async () => {
    const folder = await folderOfKeys();
    const paths = await caKeyFiles(folder.certs);
    const { privateKey } = await generateKey();
    const other = join(folder.certs, 'issuer-3.key');
    await openKeyStore({ passphrase: passphraseValue('a third', 'a third passphrase') }).write(other, privateKey);
    const before = [...paths, other].map((path) => readFileSync(path, 'utf8'));
    await failureOf('CG_PASSPHRASE', () => changePassphrase({ paths: [...paths, other], from: OLD, to: NEW }));
    expect([...paths, other].map((path) => readFileSync(path, 'utf8'))).toEqual(before);
    expect(readdirSync(folder.certs).toSorted()).toEqual([
      'issuer-2.key',
      'issuer-3.key',
      ...NAMES.slice(1),
      'tls.key',
    ]);
  });

  test('too short for new keys is refused, and nothing changes', async () => {
    const folder = await folderOfKeys();
    const paths = await caKeyFiles(folder.certs);
    const short = passphraseValue('the new one', 'seven77');
    const { message } = await failureOf('CG_PASSPHRASE', () => changePassphrase({ paths, from: OLD, to: short }));
    expect(message).not.toContain('seven77');
    expect(await opened(folder)).toEqual([false, false]);
  });
});

describe('a kill before any step of the change', () => {
  test.each([
    ['leaves every key whole, and its mode 0600, with umask 000', 0],
    ['leaves every key whole, and its mode 0600, with umask 777', 0o777],
  ])(
    '%s',
    async (_, umask) => {
      const template = await folderOfKeys();
      const fresh = (): Folder => {
        const certs = join(newFolder(), 'certs');
        mkdirSync(certs, { mode: 0o700 });
        for (const name of readdirSync(template.certs)) copyFileSync(join(template.certs, name), join(certs, name));
        return { ...template, certs };
      };
      // Into the clear: that takes no quarter of a second for each key.
      const { steps } = await change(fresh(), template.old, '-', 0, umask);
      expect(steps).toBeGreaterThanOrEqual(10);
      const outcomes = new Set<string>();
      const first = umask === 0 ? 1 : steps - 5;
      for (let n = first; n <= steps; n++) {
        const folder = fresh();
        const { signal } = await change(folder, template.old, '-', n, umask);
        expect(signal).toBe('SIGKILL');
        const changed = await opened(folder);
        outcomes.add(changed.filter(Boolean).length.toString());
        for (const mode of modesIn(folder.certs))
          expect(umask === 0 ? [mode] : ['0', mode]).toContain(umask === 0 ? '600' : mode);
      }
      // From none to both, one by one.
      expect([...outcomes].toSorted()).toEqual(['0', '1', '2']);
    },
    120_000,
  );

  test('and between two renames is mended by the same change once more', async () => {
    const folder = await folderOfKeys();
    const paths = await caKeyFiles(folder.certs);
    await changePassphrase({ paths: paths.slice(0, 1), from: OLD, to: NEW });
    expect(await opened(folder)).toEqual([true, false]);
    await changePassphrase({ paths, from: OLD, to: NEW });
    expect(await opened(folder)).toEqual([true, true]);
  });
});

describe('a passphrase from a file', () => {
  const fileWith = (content: string | Uint8Array, mode = 0o600): string => {
    const path = join(newFolder(), 'passphrase');
    writeFileSync(path, content, { mode });
    return path;
  };

  test.each([
    ['without a line end', 'correct horse', 'correct horse'],
    ['with one', 'correct horse\n', 'correct horse'],
    ['from Windows', 'correct horse\r\nmore\r\n', 'correct horse'],
    ['with spaces at both ends', ' correct horse \n', ' correct horse '],
    ['of 1023 octets', 'x'.repeat(1023), 'x'.repeat(1023)],
  ])('is its first line: %s', async (_, content, passphrase) => {
    expect(Buffer.from(await passphraseFile(fileWith(content)).read()).toString()).toBe(passphrase);
  });

  test.each([
    ['empty', ''],
    ['an empty first line', '\nsecret-second-line\n'],
    ['with a NUL', 'secret\0rest'],
    ['of 1024 octets', 'secret'.repeat(200)],
  ])('is refused without a word of it: %s', async (_, content) => {
    const { message, hint } = await failureOf('CG_PASSPHRASE', () => passphraseFile(fileWith(content)).read());
    expect(message + hint).not.toContain('secret');
  });

  test('that others can read is not used', async () => {
    await failureOf('CG_KEY_MODE', () => passphraseFile(fileWith('correct horse', 0o640)).read());
    await failureOf('CG_KEY_MODE', () => passphraseFile(fileWith('correct horse', 0o604)).read());
  });

  test('that is a pipe is read once, for all keys', async () => {
    const path = join(newFolder(), 'pipe');
    expect(spawnSync('mkfifo', ['-m', '600', path]).status).toBe(0);
    const secret = randomBytes(12).toString('hex');
    const writer = spawn('/bin/sh', ['-c', `printf '%s\\n' ${secret} > ${path}`]);
    const source = passphraseFile(path);
    expect(Buffer.from(await source.read()).toString()).toBe(secret);
    expect(Buffer.from(await source.read()).toString()).toBe(secret);
    writer.kill();
  });
});

describe('the key store', () => {
  test('encrypts new keys of a CA whose key was opened at a prompt, and leaves those of a plain CA plain', async () => {
    const folder = await folderOfKeys();
    const { privateKey } = await generateKey();
    const asked = openKeyStore({ passphrase: null, prompt: OLD });
    await asked.write(join(folder.certs, 'before.key'), privateKey);
    expect(readFileSync(join(folder.certs, 'before.key'), 'utf8')).toMatch(/^-----BEGIN PRIVATE KEY/);
    await asked.read(join(folder.certs, 'issuer-2.key'));
    await asked.write(join(folder.certs, 'after.key'), privateKey);
    expect((await readKey(join(folder.certs, 'after.key'), OLD)).key.equals(privateKey)).toBe(true);
  });

  test('warns of weak encryption, with what puts it right', async () => {
    const folder = await folderOfKeys();
    const warnings: string[] = [];
    const keys = openKeyStore({ passphrase: OLD, warn: (sentence) => warnings.push(sentence) });
    await keys.read(join(folder.certs, 'issuer-2.key'));
    expect(warnings).toEqual([
      expect.stringMatching(/issuer-2\.key is weakly encrypted: .* counts to 1, .*ca passphrase/),
    ]);
  });

  test('replaces no file', async () => {
    const folder = await folderOfKeys();
    const { privateKey } = await generateKey();
    const path = join(folder.certs, 'issuer-2.key');
    await expect(openKeyStore({ passphrase: null }).write(path, privateKey)).rejects.toMatchObject({ code: 'EEXIST' });
  });

  test('says of a wrong passphrase where it came from and which key it does not open, and no more', async () => {
    const folder = await folderOfKeys();
    const path = join(folder.certs, 'issuer-2.key');
    const { message } = await failureOf('CG_PASSPHRASE', () => openKeyStore({ passphrase: NEW }).read(path));
    expect(message).toBe(`${path}: the new one does not open it`);
  });
});

test('a key behind a link is written anew where it is, and the link stays', async () => {
  const { certs, keys } = await folderOfKeys();
  const away = join(newFolder(), 'root.key');
  renameSync(join(certs, 'root.key'), away);
  symlinkSync(away, join(certs, 'root.key'));
  await changePassphrase({ paths: await caKeyFiles(certs), from: OLD, to: NEW });
  expect(lstatSync(join(certs, 'root.key')).isSymbolicLink()).toBe(true);
  const { key } = await readKey(away, NEW);
  expect(key.equals(keys.get('root.key') as KeyObject)).toBe(true);
  expect(readdirSync(dirname(away))).toEqual(['root.key']);
});
