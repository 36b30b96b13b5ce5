// What is refused on a disk that is full or read-only, and what works there all the same: nothing is recorded by halves,
// nothing is left of an attempt, and a CA on a dying disk can still be backed up.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished, type TestContext, vi } from 'vitest';
import { makeBackup } from '../../src/authority/backup.ts';
import { writeNewFile } from '../../src/authority/files.ts';
import { issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { restoreBackup } from '../../src/authority/restore.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { runIn } from '../cli/run-in.ts';
import { fill, ownFileSystem } from '../store/file-system.ts';
import { closing, failureOf, HOUR, newFolder } from '../store/fixture.ts';
import { backedUp, backupOf, restoreOf } from './backup-fixture.ts';
import { type MadeCa, newCa, type OpenCa, openCa, request, TRUST_DOMAIN } from './fixture.ts';

const placeOf = (dir: string): MadeCa => ({
  dir,
  certsDir: join(dir, 'certs'),
  storePath: join(dir, 'state', 'certgate.db'),
});

/** A CA on a file system of its own. */
async function caOn(folder: string): Promise<MadeCa> {
  cpSync((await newCa()).dir, folder, { recursive: true });
  return placeOf(folder);
}

async function opened(ca: MadeCa): Promise<OpenCa> {
  const store = closing(openSqliteStore(ca.storePath));
  return { ...ca, store, authority: await loadAuthority({ certsDir: ca.certsDir, store, trustDomain: TRUST_DOMAIN }) };
}

function remount(folder: string, how: 'ro' | 'rw', context: TestContext): void {
  const { status, stderr } = spawnSync('mount', ['-o', `remount,${how}`, folder], { encoding: 'utf8' });
  if (status === 0) return;
  process.stderr.write(`skipped: ${context.task.name}: ${stderr}\n`);
  context.skip(`it cannot be remounted: ${stderr}`);
}

it('on a full disk nothing is issued or revoked, the records stay readable, and all goes on when there is room', async (context) => {
  const folder = ownFileSystem(context, '4m');
  const { authority, store } = await opened(await caOn(folder));
  const { record } = await authority.issue(request());
  const names = { identity: 'worker/etl-1', profile: 'client', ttlMs: HOUR, actor: 'test' } as const;
  const filler = fill(folder);

  const onDisk = await failureOf('CG_OUT_UNUSABLE', () =>
    issueToDirectory(authority, { ...names, out: join(folder, 'out') }),
  );
  expect(onDisk.message).toContain('no room');
  // The log beside the store may have some room of its own: until that is used up.
  const full = async (deed: () => Promise<unknown>) => {
    for (let n = 0; n < 200; n++) {
      const failed = await failureOf('CG_STORE_FULL', deed).catch(() => null);
      if (failed !== null) return failed;
    }
    throw new Error('never full');
  };
  const issuing = await full(() => authority.issue(request()));
  expect(issuing.hint).toContain('df -h');
  const before = await store.listCertificates({ now: Date.now(), limit: 1000 });
  await failureOf('CG_STORE_FULL', () => authority.revoke({ serial: record.serial }, 'keyCompromise', 'test'));
  await failureOf('CG_STORE_FULL', () => authority.issue(request()));
  expect(await store.standing(record.issuer, record.serial)).toMatchObject({ revokedAt: null });
  expect(await store.listCertificates({ now: Date.now(), limit: 1000 })).toEqual(before);
  expect(readdirSync(folder).toSorted()).toEqual(['certs', 'filler', 'state']);

  rmSync(filler);
  await authority.revoke({ serial: record.serial }, 'keyCompromise', 'test');
  await issueToDirectory(authority, { ...names, out: join(folder, 'out') });
  expect(await store.standing(record.issuer, record.serial)).not.toMatchObject({ revokedAt: null });
});

it('a CA on a full disk can be backed up to another, and no backup or restore leaves a part of itself on a full one', async (context) => {
  const folder = ownFileSystem(context, '4m');
  const ca = await caOn(folder);
  const { store, authority } = await opened(ca);
  const { record } = await authority.issue(request());
  fill(folder);
  const backup = await backedUp({ ...ca, dir: newFolder() });
  const dir = join(newFolder(), 'restored');
  await restoreBackup(restoreOf(backup, dir, { withoutCrl: true }));
  const restored = closing(openSqliteStore(join(dir, 'state', 'certgate.db')));
  expect(await restored.standing(record.issuer, record.serial)).toEqual(
    await store.standing(record.issuer, record.serial),
  );

  const small = ownFileSystem(context, '96k');
  for (const attempt of [
    () => makeBackup(backupOf(ca, join(small, 'backup'))),
    () => restoreBackup(restoreOf(backup, join(small, 'restored'), { withoutCrl: true })),
    () => restoreBackup(restoreOf(backup, small, { withoutCrl: true })),
  ]) {
    const error = await failureOf('CG_BACKUP_WRITE', attempt);
    expect([error.message, error.hint, error.exitCode]).toEqual([
      expect.stringMatching(/cannot be written: no room is left there$/),
      expect.stringContaining('df -h'),
      6,
    ]);
    expect(readdirSync(small)).toEqual([]);
  }
});

it.for([
  ['was closed', true],
  ['lost its writer', false],
] as const)(
  'a CA that %s before its disk became read-only can be backed up; nothing is issued, and no backup put there',
  async ([, closed], context) => {
    const source = await openCa();
    const { record } = await source.authority.issue(request());
    if (closed) await source.store.close();
    const folder = ownFileSystem(context, '4m');
    cpSync(source.dir, folder, { recursive: true });
    const ca = placeOf(folder);
    expect(readdirSync(join(folder, 'state'))).toHaveLength(closed ? 1 : 3);
    mkdirSync(join(folder, 'empty'));
    remount(folder, 'ro', context);

    await failureOf('CG_STORE_READONLY', async () => (await opened(ca)).authority.issue(request()));
    await failureOf('CG_STORE_READONLY', async () =>
      (await opened(ca)).authority.revoke({ serial: record.serial }, 'superseded', 'test'),
    );
    const backup = await backedUp({ ...ca, dir: newFolder() });
    for (const attempt of [
      () => makeBackup(backupOf(ca, join(folder, 'backup'))),
      () => restoreBackup(restoreOf(backup, join(folder, 'restored'), { withoutCrl: true })),
      () => restoreBackup(restoreOf(backup, join(folder, 'empty'), { withoutCrl: true })),
    ]) {
      const error = await failureOf('CG_BACKUP_WRITE', attempt);
      expect(error.message).toContain('read-only');
    }
    const dir = join(newFolder(), 'restored');
    await restoreBackup(restoreOf(backup, dir, { withoutCrl: true }));
    const restored = await opened(placeOf(dir));
    expect(await restored.store.standing(record.issuer, record.serial)).toMatchObject({ revokedAt: null });
    await restored.authority.issue(request());
  },
);

it.for([
  ['nobody has open', () => {}],
  [
    'was left with what no process could finish',
    (state: string) => {
      writeFileSync(join(state, 'certgate.db-wal'), '', { mode: 0o600 });
      writeFileSync(join(state, 'certgate.db-shm'), Buffer.alloc(28_672), { mode: 0o600 });
    },
  ],
] as const)('a CA that %s on a full disk can be backed up to another', async ([, leave], context) => {
  const source = await openCa();
  const { record } = await source.authority.issue(request());
  await source.store.close();
  const folder = ownFileSystem(context, '1m');
  cpSync(source.dir, folder, { recursive: true });
  const ca = placeOf(folder);
  leave(join(folder, 'state'));
  fill(folder);
  const dir = join(newFolder(), 'restored');
  await restoreBackup(restoreOf(await backedUp({ ...ca, dir: newFolder() }), dir, { withoutCrl: true }));
  const restored = await opened(placeOf(dir));
  expect(await restored.store.standing(record.issuer, record.serial)).toMatchObject({ revokedAt: null });
});

it('a CA that nobody has open on a full disk can be read there, and says so when somebody has written since', async (context) => {
  const source = await openCa();
  const { record } = await source.authority.issue(request());
  await source.store.close();
  const folder = ownFileSystem(context, '1m');
  cpSync(source.dir, folder, { recursive: true });
  const { storePath } = placeOf(folder);
  const filler = fill(folder);
  await failureOf('CG_STORE_FULL', async () => openSqliteStore(storePath));
  const store = closing(openSqliteStore(storePath, { readOnly: true }));
  expect(await store.standing(record.issuer, record.serial)).toMatchObject({ revokedAt: null });

  rmSync(filler);
  const { store: writer, authority } = await opened(placeOf(folder));
  await authority.revoke({ serial: record.serial }, 'superseded', 'test');
  await writer.close();
  // It is not looked at with each reading.
  await vi.waitFor(() => failureOf('CG_STORE_LOST', () => store.revision()), { timeout: 30_000 });
  const again = closing(openSqliteStore(storePath, { readOnly: true }));
  expect(await again.standing(record.issuer, record.serial)).not.toMatchObject({ revokedAt: null });
});

it('what cannot be written to its end leaves no name behind, and the message has the one that was asked for', async (context) => {
  const folder = ownFileSystem(context, '1m');
  fill(folder);
  const path = join(folder, 'new.key');
  await expect(writeNewFile(path, 'x'.repeat(9000), 0o600)).rejects.toMatchObject({ code: 'ENOSPC', path });
  expect(readdirSync(folder)).toEqual(['filler']);

  const { code, said } = await runIn(folder, ['init', '--dir', 'new']);
  expect(code).toBe(1);
  expect(said.split('\n')).toEqual([
    `error: ${join(folder, 'new', 'certgate.yaml')}: no space is left on the device (write) [CG_FILE]`,
    'hint: free some space, and try again: df -h',
  ]);
  expect(readdirSync(folder)).toEqual(['filler']);
});

it('a CA is made whole or not at all where there is room for a part of it, and what is missing is room', async (context) => {
  for (const size of ['100k', '180k', '220k', '260k', '300k', '340k']) {
    const folder = ownFileSystem(context, size);
    const { code, said } = await runIn(folder, ['init']);
    expect(code, size).toBe(6);
    expect(said.split('\n')[0], size).toBe(
      `error: no space to write ${join(folder, 'state', 'certgate.db')}: database or disk is full (SQLite 13) [CG_STORE_FULL]`,
    );
    expect(readdirSync(folder), size).toEqual([]);
  }
});

it('a CA whose configuration cannot be made durable is taken back whole, and the same command makes one', async () => {
  const folder = newFolder();
  const handle = await open(folder);
  await handle.close();
  const prototype = Object.getPrototypeOf(handle) as typeof handle;
  const sync = Object.getOwnPropertyDescriptor(prototype, 'sync')?.value as () => Promise<void>;
  const flushes = vi.spyOn(prototype, 'sync').mockImplementation(async function (this: typeof handle) {
    if (existsSync(join(folder, 'certgate.yaml'))) {
      throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO', syscall: 'fsync' });
    }
    await sync.call(this);
  });
  onTestFinished(() => flushes.mockRestore());
  const { code, said } = await runIn(folder, ['init']);
  expect(code).toBe(1);
  expect(said.split('\n')).toEqual([
    `error: ${folder}: the device failed (fsync) [CG_FILE]`,
    `hint: look at it with \`ls -lad ${folder}\``,
  ]);
  expect(readdirSync(folder)).toEqual([]);
  flushes.mockRestore();
  expect(await runIn(folder, ['init'])).toMatchObject({ code: 0 });
});
