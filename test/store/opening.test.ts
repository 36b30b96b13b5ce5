import {
  chmodSync,
  closeSync,
  copyFileSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { SCHEMA_VERSION } from '../../src/store/schema.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { fileFailure } from '../../src/store/sqlite-file.ts';
import { addAll, closing, failureOf, integrityOf, NOW, newAudit, newFolder, newRecord, newStore } from './fixture.ts';

async function closedStore(): Promise<string> {
  const path = join(newFolder(), 'certgate.db');
  const store = newStore(path);
  await addAll(
    store,
    Array.from({ length: 50 }, () => newRecord({ der: new Uint8Array(3000) })),
  );
  await store.close();
  return path;
}

describe('making a store', () => {
  it.each([0o000, 0o022, 0o777])('gives it and what SQLite puts beside it mode 0600 under umask %o', async (umask) => {
    const path = join(newFolder(), 'certgate.db');
    const before = process.umask(umask);
    onTestFinished(() => void process.umask(before));
    const store = newStore(path);
    await store.addAudit(newAudit());
    const modes = readdirSync(join(path, '..')).map((name) => statSync(join(path, '..', name)).mode & 0o777);
    expect(modes).toEqual([0o600, 0o600, 0o600]);
  });

  it('never touches what is there', async () => {
    const path = await closedStore();
    const error = await failureOf('CG_STORE_EXISTS', () => openSqliteStore(path, { create: true }));
    expect(error.message).toContain(path);
    expect(await closing(openSqliteStore(path)).listCertificates({ now: NOW })).toHaveLength(50);
  });

  it('leaves nothing behind when its folder is missing', async () => {
    const folder = newFolder();
    await failureOf('CG_STORE_IO', () => openSqliteStore(join(folder, 'no', 'certgate.db'), { create: true }));
    expect(readdirSync(folder)).toEqual([]);
  });

  it('works under a name that would mean something in a URL or in SQL', async () => {
    const folder = join(newFolder(), "a b?mode=ro#x%41'ü");
    mkdirSync(folder);
    const store = newStore(join(folder, 'certgate.db'));
    await store.addAudit(newAudit());
    expect(readdirSync(folder)).toContain('certgate.db');
  });
});

describe('opening a store', () => {
  it('that is missing names the place and `certgate init`, and makes nothing', async () => {
    const folder = newFolder();
    const path = join(folder, 'certgate.db');
    const error = await failureOf('CG_STORE_MISSING', () => openSqliteStore(path));
    expect(error.message).toContain(path);
    expect(error.hint).toContain('certgate init');
    expect(error.exitCode).toBe(6);
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each([
    ['a text file', (path: string) => writeFileSync(path, 'hello world\n'.repeat(1000))],
    ['an empty file', (path: string) => writeFileSync(path, '')],
    ['a folder', (path: string) => mkdirSync(path)],
    ['a device', (path: string) => symlinkSync('/dev/null', path)],
    [
      'the database of another program',
      (path: string) => {
        const db = new DatabaseSync(path);
        db.exec('CREATE TABLE certificates (serial TEXT)');
        db.close();
      },
    ],
  ])('that is %s is refused as not a certgate store', async (_, make) => {
    const path = join(newFolder(), 'certgate.db');
    make(path);
    const error = await failureOf('CG_STORE_FOREIGN', () => openSqliteStore(path));
    expect(error.message).toContain(path);
  });

  it('of a newer certgate is refused with both versions, and is not changed', async () => {
    const path = await closedStore();
    const db = new DatabaseSync(path);
    db.exec(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`);
    db.close();
    const error = await failureOf('CG_STORE_NEWER', () => openSqliteStore(path));
    expect(error.facts).toEqual({ location: path, found: SCHEMA_VERSION + 1, known: SCHEMA_VERSION });
  });

  it('of an older certgate is not for reading only', async () => {
    const path = await closedStore();
    const db = new DatabaseSync(path);
    db.exec('PRAGMA user_version = 0');
    db.close();
    await failureOf('CG_STORE_OLDER', () => openSqliteStore(path, { readOnly: true }));
  });

  it.each([
    [8192, 'CG_STORE_CORRUPT'],
    [6000, 'CG_STORE_CORRUPT'],
    [4097, 'CG_STORE_CORRUPT'],
    [99, 'CG_STORE_CORRUPT'],
    [50, 'CG_STORE_FOREIGN'],
    [1, 'CG_STORE_FOREIGN'],
  ] as const)('that was cut to %d bytes is refused with %s', async (size, code) => {
    const path = await closedStore();
    truncateSync(path, size);
    const error = await failureOf<typeof code>(code, () => openSqliteStore(path));
    expect(error.message).toContain(path);
    expect(error.hint).toContain(path);
  });

  it('that was overwritten behind its first page is refused as damaged', async () => {
    const path = await closedStore();
    const file = openSync(path, 'r+');
    const { size } = fstatSync(file);
    writeSync(file, Buffer.alloc(size - 4096, 0xff), 0, size - 4096, 4096);
    closeSync(file);
    await failureOf('CG_STORE_CORRUPT', () => openSqliteStore(path));
  });

  it('that a backup tool took out of write-ahead mode brings it back there', async () => {
    const path = await closedStore();
    const copy = join(newFolder(), 'copy.db');
    const db = new DatabaseSync(path);
    db.exec(`VACUUM INTO '${copy}'`);
    db.close();
    const store = closing(openSqliteStore(copy));
    await store.addAudit(newAudit());
    expect(readdirSync(join(copy, '..'))).toContain('copy.db-wal');
    expect(await store.listCertificates({ now: NOW })).toHaveLength(50);
  });

  it('through a link works on the file that it leads to', async () => {
    const path = await closedStore();
    const alias = join(newFolder(), 'alias.db');
    symlinkSync(path, alias);
    const store = closing(openSqliteStore(alias));
    await store.addAudit(newAudit());
    expect(await closing(openSqliteStore(path)).revision()).toBe(await store.revision());
  });

  it('after the process that wrote it was killed finds everything that was committed', async () => {
    const path = await closedStore();
    const store = closing(openSqliteStore(path));
    const record = newRecord();
    await store.addCertificate(record, newAudit());
    const copy = join(newFolder(), 'certgate.db'); // what the disk holds at that moment, the log not yet folded in
    for (const suffix of ['', '-wal']) copyFileSync(path + suffix, copy + suffix);
    chmodSync(copy, 0o600);
    const again = openSqliteStore(copy);
    expect(await again.listCertificates({ serial: record.serial, now: NOW })).toHaveLength(1);
    await again.close();
    expect(integrityOf(copy)).toBe('ok');
  });
});

test('a device that fails, and whatever else the system refuses, is told as that and not as a fault of certgate', () => {
  const refused = (code: string): Error => Object.assign(new Error(`${code}: x, link`), { code, syscall: 'link' });
  expect(fileFailure(refused('EIO'), '/s.db')).toMatchObject({
    code: 'CG_STORE_IO',
    message: '/s.db cannot be used: the device failed',
  });
  expect(fileFailure(refused('EOPNOTSUPP'), '/s.db').code).toBe('CG_STORE_IO');
  expect(fileFailure(new TypeError('x'), '/s.db').code).toBe('CG_INTERNAL');
});
