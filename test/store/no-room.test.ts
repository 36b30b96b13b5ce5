import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { openReopeningStore } from '../../src/store/reopening.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { fill, ownFileSystem } from './file-system.ts';
import {
  closing,
  failureOf,
  integrityOf,
  NOW,
  newAudit,
  newFolder,
  newRecord,
  newStore,
  run,
  runScript,
} from './fixture.ts';

const writer = join(import.meta.dirname, 'writing-process.ts');
const isRoot = process.getuid?.() === 0;

type Printed = { code: string; message: string; hint: string };
const oneOf = (text: string): Printed => JSON.parse(text) as Printed;

it('a full disk is an error that says so, records nothing by halves, and ends when there is room again', async (context) => {
  const folder = ownFileSystem(context, '2m');
  const path = join(folder, 'certgate.db');
  const store = newStore(path);
  const kept = [newRecord()];
  await store.addCertificate(kept[0] ?? newRecord(), newAudit());
  const filler = fill(folder);
  let error: Awaited<ReturnType<typeof failureOf<'CG_STORE_FULL'>>> | undefined;
  while (error === undefined) {
    const record = newRecord({ der: new Uint8Array(5000) }); // the log may still have some room of its own
    error = await failureOf('CG_STORE_FULL', async () => {
      await store.addCertificate(record, newAudit());
      kept.push(record);
    }).catch(() => undefined);
  }
  expect(error.message).toContain(path);
  expect(error.hint).toContain('df -h');
  expect(error.exitCode).toBe(6);
  const serials = async () => (await store.listCertificates({ now: NOW })).map((record) => record.serial).toSorted();
  expect(await serials()).toEqual(kept.map((record) => record.serial).toSorted());
  expect(await store.listAudit({})).toHaveLength(kept.length);

  rmSync(filler);
  const record = newRecord({ der: new Uint8Array(5000) });
  await store.addCertificate(record, newAudit());
  expect(await serials()).toContain(record.serial);
  await store.close();
  expect(integrityOf(path)).toBe('ok');
});

it('a store cannot be made on a full disk, and nothing is left of the attempt', async (context) => {
  const folder = ownFileSystem(context, '1m');
  const filler = fill(folder);
  const path = join(folder, 'certgate.db');
  await failureOf('CG_STORE_FULL', () => openSqliteStore(path, { create: true }));
  await failureOf('CG_STORE_MISSING', () => openSqliteStore(path));
  rmSync(filler);
  await newStore(path).addAudit(newAudit());
});

it('a limit on file sizes is an error of the store, and what was promised before it is kept', async () => {
  const path = join(newFolder(), 'certgate.db');
  await newStore(path).close();
  const blocks = Math.ceil(statSync(path).size / 1024) + 150;
  const command = `ulimit -f ${blocks} && exec "$0" "$@"`;
  const ended = await run('bash', ['-c', command, process.execPath, writer, path, '100000']);
  expect(ended.code).toBe(9);
  const error = oneOf(ended.err);
  expect(['CG_STORE_IO', 'CG_STORE_FULL']).toContain(error.code);
  expect(error.message).toContain(path);
  const promised = ended.out
    .split('\n')
    .filter((line) => line.startsWith('added '))
    .map((line) => line.slice(6));
  expect(promised.length).toBeGreaterThan(0);
  const store = closing(openSqliteStore(path));
  for (const serial of promised) expect(await store.standing('aa11', serial)).not.toBeNull();
  await store.close();
  expect(integrityOf(path)).toBe('ok');
});

it('a store that this user may not write is an error that says so, whether the file or its folder forbids it', async (context) => {
  const folder = newFolder();
  const path = join(folder, 'certgate.db');
  await newStore(path).close();
  const asOther = isRoot ? { uid: 65534, gid: 65534 } : {};
  const reads = await runScript('--check', [writer], asOther).catch((error: unknown) => ({
    code: 1,
    err: String(error),
  }));
  if (reads.code !== 0) context.skip(`an ordinary user cannot read this checkout: ${reads.err}`);

  chmodSync(path, 0o444);
  chmodSync(folder, 0o555);
  onTestFinished(() => chmodSync(folder, 0o755));
  const forbidden = oneOf((await runScript(writer, [path, '1'], asOther)).err);
  expect(forbidden.code).toBe('CG_STORE_READONLY');
  expect(forbidden.message).toContain(path);

  chmodSync(folder, 0o777);
  const readable = oneOf((await runScript(writer, [path, '1'], asOther)).err);
  expect(readable.code).toBe('CG_STORE_READONLY');
  expect(readable.hint).toContain('ls -la');

  chmodSync(path, 0o000);
  expect(oneOf((await runScript(writer, [path, '1'], asOther)).err).code).toBe('CG_STORE_READONLY');
});

it('a file system that became read-only refuses to record, and says so', async (context) => {
  const folder = ownFileSystem(context, '4m');
  const path = join(folder, 'certgate.db');
  await newStore(path).close();
  const remounted = spawnSync('mount', ['-o', 'remount,ro', folder], { encoding: 'utf8' });
  expect(remounted.stderr).toBe('');
  const ended = await runScript(writer, [path, '1']);
  expect(ended.code).toBe(9);
  const error = oneOf(ended.err);
  expect(error.code).toBe('CG_STORE_READONLY');
  expect(error.message).toContain(path);
});

it('a file system that is read-only, as a snapshot is, is no bar to who only reads, unless a log there is not in the file yet', async (context) => {
  const source = newStore();
  await source.addAudit(newAudit());
  const folder = ownFileSystem(context, '4m');
  const [whole, torn] = [join(folder, 'whole.db'), join(folder, 'torn.db')];
  for (const suffix of ['', '-wal']) copyFileSync(source.location + suffix, torn + suffix);
  const revision = await source.revision();
  await source.close();
  copyFileSync(source.location, whole);
  expect(spawnSync('mount', ['-o', 'remount,ro', folder], { encoding: 'utf8' }).stderr).toBe('');
  const store = closing(openSqliteStore(whole, { readOnly: true }));
  expect(await store.revision()).toBe(revision);
  await failureOf('CG_STORE_READONLY', () => openSqliteStore(torn, { readOnly: true }));
  await failureOf('CG_STORE_READONLY', () => openSqliteStore(whole));
});

it('a store that a process opened while its disk was read-only is written again once the disk can be', async (context) => {
  const source = newStore();
  await source.addAudit(newAudit());
  const folder = ownFileSystem(context, '4m');
  const path = join(folder, 'certgate.db');
  // As the last writer left it when the disk failed.
  for (const suffix of ['', '-wal', '-shm']) copyFileSync(source.location + suffix, path + suffix);
  const remount = (how: 'ro' | 'rw'): void => {
    expect(spawnSync('mount', ['-o', `remount,${how}`, folder], { encoding: 'utf8' }).stderr).toBe('');
  };
  remount('ro');
  const store = closing(openReopeningStore(path, async () => openSqliteStore(path)));
  const revision = await store.revision();
  await failureOf('CG_STORE_READONLY', () => store.addAudit(newAudit()));
  remount('rw');
  await vi.waitFor(() => failureOf('CG_STORE_LOST', () => store.revision()), { timeout: 10_000, interval: 1 });
  expect(await store.revision()).toBe(revision);
  await store.addAudit(newAudit());
});
