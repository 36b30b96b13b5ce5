import { copyFileSync, renameSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { closing, failureOf, NOW, newAudit, newFolder, newRecord, newStore } from './fixture.ts';

// A look at the files may be a few milliseconds old when something is read, so reading is asked until it fails.
const untilLost = <T>(read: () => Promise<T>) =>
  vi.waitFor(() => failureOf('CG_STORE_LOST', read), { timeout: 10_000, interval: 1 });

describe('a store that is open and then', () => {
  it.each([
    ['moved away', (path: string) => renameSync(path, `${path}.old`), 'moved or deleted'],
    ['deleted', (path: string) => rmSync(path), 'moved or deleted'],
    [
      'replaced by a copy of itself',
      (path: string) => {
        copyFileSync(path, `${path}.copy`);
        renameSync(`${path}.copy`, path);
      },
      'replaced',
    ],
    ['cut short', (path: string) => truncateSync(path, 4096), 'cut short'],
    ['robbed of its log', (path: string) => rmSync(`${path}-wal`), '-wal'],
    ['robbed of its shared memory', (path: string) => rmSync(`${path}-shm`), '-shm'],
    ['gone with its folder', (path: string) => rmSync(join(path, '..'), { recursive: true }), 'moved or deleted'],
  ])('%s says so at the next look, with place and remedy', async (_, lose, words) => {
    const path = join(newFolder(), 'certgate.db');
    const store = newStore(path);
    await store.addAudit(newAudit());
    await store.revision();
    lose(path);
    const error = await untilLost(() => store.revision());
    expect(error.message).toContain(path);
    expect(error.message).toContain(words);
    expect(error.hint).not.toBe('');
  });

  it('cut short is damaged, and a certificate that cannot be recorded is refused', async () => {
    const path = join(newFolder(), 'certgate.db');
    await newStore(path).close();
    const store = closing(openSqliteStore(path));
    truncateSync(path, 4096);
    await failureOf('CG_STORE_CORRUPT', () => store.addCertificate(newRecord(), newAudit()));
  });

  it('deleted takes no certificate: what no one else could find is not recorded', async () => {
    const path = join(newFolder(), 'certgate.db');
    const store = newStore(path);
    await store.addAudit(newAudit());
    rmSync(path);
    await failureOf('CG_STORE_LOST', () => store.addCertificate(newRecord(), newAudit()));
    await failureOf('CG_STORE_LOST', () => store.revoke(['ff'], 'unspecified', NOW, () => newAudit()));
  });

  it('replaced answers no standing from the past', async () => {
    const path = join(newFolder(), 'certgate.db');
    const store = newStore(path);
    const record = newRecord();
    await store.addCertificate(record, newAudit());
    renameSync(path, `${path}.old`);
    for (const suffix of ['-wal', '-shm']) renameSync(path + suffix, `${path}.old${suffix}`);
    await closing(openSqliteStore(path, { create: true })).addAudit(newAudit());
    await untilLost(() => store.standing(record.issuer, record.serial));
    await untilLost(() => store.revocationsSince(0));
    await untilLost(() => store.listCertificates({ now: NOW }));
  });
});
