import { createPrivateKey, X509Certificate } from 'node:crypto';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createAuthority } from '../../src/authority/create.ts';
import { plainKeyStore } from '../../src/authority/key-store.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { closing, failureOf, integrityOf, newFolder, run } from '../store/fixture.ts';
import { newCa, request, TRUST_DOMAIN } from './fixture.ts';

const FILES = ['ca.crt', 'issuer.crt', 'issuer.key', 'root.crt', 'root.key'];
const YEAR = 365 * 86_400_000;

function placeIn(dir: string) {
  return { certsDir: join(dir, 'certs'), stateDir: join(dir, 'state'), trustDomain: TRUST_DOMAIN, actor: 'test' };
}

describe('a new CA', () => {
  it('is a root of 10 years, an issuer of 1 year that may issue leaves only, and a bundle of both', async () => {
    const { certsDir } = await newCa();
    expect(readdirSync(certsDir).toSorted()).toEqual(FILES);
    const read = (name: string) => readFileSync(join(certsDir, name), 'utf8');
    const [root, issuer] = [new X509Certificate(read('root.crt')), new X509Certificate(read('issuer.crt'))];
    expect(root.verify(root.publicKey)).toBe(true);
    expect(issuer.verify(root.publicKey)).toBe(true);
    expect(issuer.checkIssued(root)).toBe(true);
    expect(root.checkPrivateKey(createPrivateKey(read('root.key')))).toBe(true);
    expect(issuer.checkPrivateKey(createPrivateKey(read('issuer.key')))).toBe(true);
    expect(read('ca.crt')).toBe(read('root.crt') + read('issuer.crt'));
    const years = (c: X509Certificate) => (c.validToDate.getTime() - c.validFromDate.getTime()) / YEAR;
    expect(years(root)).toBeCloseTo(10, 1);
    expect(years(issuer)).toBeCloseTo(1, 1);
    expect(Date.now() - root.validFromDate.getTime()).toBeGreaterThanOrEqual(60_000);
  });

  it('issues certificates that OpenSSL verifies with its root', async (context) => {
    const { certsDir, storePath, dir } = await newCa();
    const store = closing(openSqliteStore(storePath));
    const authority = await loadAuthority({ certsDir, store, trustDomain: TRUST_DOMAIN });
    const leaf = join(dir, 'leaf.pem');
    writeFileSync(leaf, (await authority.issue(request())).chainPem);
    const args = ['verify', '-x509_strict', '-purpose', 'sslclient', '-CAfile', join(certsDir, 'root.crt')];
    const ended = await run('openssl', [...args, '-untrusted', join(certsDir, 'issuer.crt'), leaf]).catch(() => null);
    if (ended === null) context.skip('no openssl program here');
    expect(ended).toMatchObject({ code: 0, out: `${leaf}: OK\n` });
  });

  it('has a store that is whole without its log, where SQLite could not bring that in at its last close', async () => {
    const held: DatabaseSync[] = [];
    const close = Object.getOwnPropertyDescriptor(DatabaseSync.prototype, 'close')?.value as () => void;
    const closes = vi.spyOn(DatabaseSync.prototype, 'close').mockImplementation(function (this: DatabaseSync) {
      const other = new DatabaseSync(this.location() ?? '');
      other.prepare('PRAGMA user_version').get();
      held.push(other);
      close.call(this); // is not the last one, as far as SQLite knows
    });
    onTestFinished(() => closes.mockRestore());
    const { storePath } = await newCa();
    closes.mockRestore();
    expect(held.length).toBeGreaterThan(1);
    for (const other of held) other.close();
    expect(integrityOf(storePath)).toBe('ok');
    expect(await closing(openSqliteStore(storePath)).listCa()).toHaveLength(2);
  });

  it('has a store that knows its trust domain and root, and that it was made, by whom', async () => {
    const { storePath, certsDir } = await newCa();
    const store = closing(openSqliteStore(storePath));
    const root = new X509Certificate(readFileSync(join(certsDir, 'root.crt')));
    expect(await store.meta('trustDomain')).toBe(TRUST_DOMAIN);
    expect(await store.meta('rootFingerprint')).toBe(root.fingerprint256.replaceAll(':', '').toLowerCase());
    expect(await store.listAudit({})).toMatchObject([{ actor: 'test', action: 'ca.init', object: TRUST_DOMAIN }]);
  });

  it.each([0o000, 0o777])(
    'has private keys and a store that only their owner can read, under umask %o',
    async (umask) => {
      const dir = newFolder();
      mkdirSync(join(dir, 'certs'));
      mkdirSync(join(dir, 'state'));
      const before = process.umask(umask);
      onTestFinished(() => void process.umask(before));
      const { files, store } = await createAuthority(placeIn(dir));
      const mode = (path: string) => statSync(path).mode & 0o777;
      expect([files.rootKey, files.issuerKey, store].map(mode)).toEqual([0o600, 0o600, 0o600]);
      expect([files.rootCertificate, files.issuerCertificate, files.bundle].map(mode)).toEqual([0o644, 0o644, 0o644]);
    },
  );

  it('leaves the other files of its folder alone, and nothing but its own behind', async () => {
    const dir = newFolder();
    mkdirSync(join(dir, 'certs'));
    writeFileSync(join(dir, 'certs', 'README.md'), 'hello');
    await createAuthority(placeIn(dir));
    expect(readdirSync(join(dir, 'certs')).toSorted()).toEqual(['README.md', ...FILES]);
    expect(readdirSync(join(dir, 'state'))).toEqual(['certgate.db']);
  });

  it.each(['root.key', 'root.crt', 'issuer.key', 'issuer.crt', 'ca.crt'])(
    'is refused where %s is, names it, and changes nothing',
    async (name) => {
      const dir = newFolder();
      mkdirSync(join(dir, 'certs'));
      writeFileSync(join(dir, 'certs', name), 'mine');
      const error = await failureOf('CG_CA_EXISTS', () => createAuthority(placeIn(dir)));
      expect(error.facts.files).toEqual([join(dir, 'certs', name)]);
      expect(readdirSync(join(dir, 'certs'))).toEqual([name]);
      expect(readFileSync(join(dir, 'certs', name), 'utf8')).toBe('mine');
      expect(existsSync(join(dir, 'state'))).toBe(false);
    },
  );

  it('is refused where a store is', async () => {
    const { certsDir, dir } = await newCa();
    rmSync(certsDir, { recursive: true });
    const error = await failureOf('CG_CA_EXISTS', () => createAuthority(placeIn(dir)));
    expect(error.facts.files).toEqual([join(dir, 'state', 'certgate.db')]);
  });

  it('is made once when two make it at the same time', async () => {
    const dir = newFolder();
    const ended = await Promise.allSettled([createAuthority(placeIn(dir)), createAuthority(placeIn(dir))]);
    expect(ended.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const reasons = ended.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
    expect(reasons).toMatchObject([{ code: 'CG_CA_EXISTS' }]);
    const store = closing(openSqliteStore(join(dir, 'state', 'certgate.db')));
    await loadAuthority({ certsDir: join(dir, 'certs'), store, trustDomain: TRUST_DOMAIN });
    expect(readdirSync(join(dir, 'certs')).toSorted()).toEqual(FILES);
  });

  it('takes back what it placed when it cannot place the rest', async () => {
    const dir = newFolder();
    mkdirSync(join(dir, 'certs'));
    writeFileSync(join(dir, 'state'), 'a file where a folder should be');
    await failureOf('CG_CA_FILE', () => createAuthority(placeIn(dir)));
    expect(readdirSync(join(dir, 'certs'))).toEqual([]);
  });

  it('removes what a killed attempt left unfinished, keys of every folder, and what one that runs has begun never', async () => {
    const dir = newFolder();
    const keyDir = join(dir, 'vault');
    const end = '999999998-aaaaaaaa';
    const [gone, alive] = [end, `${process.pid}-cccccccc`].map((which) => {
      const draft = join(dir, 'certs', `.certgate.creating-${which}`);
      mkdirSync(draft, { recursive: true });
      writeFileSync(join(draft, 'root.key'), 'secret');
      return draft;
    }) as [string, string];
    for (const folder of ['state', 'vault']) mkdirSync(join(dir, folder));
    const files = [
      ...['', '-wal', '-shm'].map((suffix) => join(dir, 'state', `.certgate.db.creating-${end}${suffix}`)),
      ...['', '-journal'].map((suffix) => join(dir, 'state', `..certgate.db.creating-${end}.creating-${end}${suffix}`)),
      join(keyDir, `.root.key.creating-${end}`),
    ];
    for (const file of files) writeFileSync(file, 'secret');
    await createAuthority({ ...placeIn(dir), root: { kind: 'new', keyDir } });
    expect([gone, ...files].filter((path) => existsSync(path))).toEqual([]);
    expect(existsSync(alive)).toBe(true);
  });

  it('names a file that a failing device did not take by the name that it would have had', async () => {
    const dir = newFolder();
    const broken = (path: string): never => {
      throw Object.assign(new Error(`EIO: i/o error, fsync '${path}'`), { code: 'EIO', syscall: 'fsync', path });
    };
    const keys = { ...plainKeyStore, write: async (path: string) => broken(path) };
    for (const keyDir of [join(dir, 'certs'), join(dir, 'vault')]) {
      const { message } = await failureOf('CG_CA_FILE', () =>
        createAuthority({ ...placeIn(dir), keys, root: { kind: 'new', keyDir } }),
      );
      expect(message).toBe(`${join(keyDir, 'root.key')} cannot be written: the device failed`);
    }
    expect(readdirSync(join(dir, 'certs'))).toEqual([]);
  });

  it('says of the root’s key that an interrupted attempt has placed elsewhere that it is of no other CA', async () => {
    const dir = newFolder();
    const keyDir = join(dir, 'vault');
    const end = '999999998-aaaaaaaa';
    const place = { ...placeIn(dir), root: { kind: 'new', keyDir } } as const;
    mkdirSync(join(dir, 'certs', `.certgate.creating-${end}`), { recursive: true });
    mkdirSync(keyDir);
    writeFileSync(join(keyDir, `.root.key.creating-${end}`), 'secret');
    writeFileSync(join(keyDir, 'root.key'), 'another');
    const other = await failureOf('CG_CA_EXISTS', () => createAuthority(place));
    expect(other.hint).toContain("it is another CA's key");
    rmSync(join(keyDir, 'root.key'));
    linkSync(join(keyDir, `.root.key.creating-${end}`), join(keyDir, 'root.key'));
    const elsewhere = { ...place, ...placeIn(newFolder()) };
    expect((await failureOf('CG_CA_EXISTS', () => createAuthority(elsewhere))).hint).toContain("another CA's key");
    const { hint } = await failureOf('CG_CA_EXISTS', () => createAuthority(place));
    expect(hint).toContain('an init of this CA was interrupted');
    renameSync(join(keyDir, 'root.key'), join(keyDir, 'root.key.interrupted'));
    await createAuthority(place);
    expect(readdirSync(keyDir).toSorted()).toEqual(['root.key', 'root.key.interrupted']);
  });

  it.each(['', 'Prefect.example', 'a b', 'spiffe://x', '127.0.0.1', 'x'.repeat(256)])(
    'is not made for %o, which is no trust domain',
    async (trustDomain) => {
      const dir = newFolder();
      await failureOf('CG_TRUST_DOMAIN', () => createAuthority({ ...placeIn(dir), trustDomain }));
      expect(readdirSync(dir)).toEqual([]);
    },
  );

  it('is made for a trust domain longer than a common name may be', async () => {
    const trustDomain = `${'a'.repeat(60)}.${'b'.repeat(60)}.example`;
    await createAuthority({ ...placeIn(newFolder()), trustDomain });
  });
});
