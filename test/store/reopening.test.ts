import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { CertgateError } from '../../src/errors.ts';
import { openReopeningStore } from '../../src/store/reopening.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { Store } from '../../src/store/store.ts';
import { closing, failureOf, newAudit, newFolder, newRecord, newStore } from './fixture.ts';

it('a store that a process holds for long fails while the file is away and works again when it is back', async () => {
  const path = join(newFolder(), 'certgate.db');
  const first = newStore(path);
  const record = newRecord();
  await first.addCertificate(record, newAudit());
  await first.changeCa({ meta: { trustDomain: 'prefect.example' }, at: 0 }, newAudit());
  await first.close();

  const opened: Store[] = [];
  const open = async (): Promise<Store> => {
    const one = openSqliteStore(path);
    opened.push(one);
    return one;
  };
  const store = closing(openReopeningStore(path, open));
  expect(await store.meta('trustDomain')).toBe('prefect.example');
  const revision = await store.revision();
  expect([store.openings, opened.length]).toEqual([1, 1]);
  renameSync(path, `${path}.away`);
  await vi.waitFor(() => failureOf('CG_STORE_LOST', () => store.revision()), { timeout: 10_000, interval: 1 });
  await failureOf('CG_STORE_MISSING', () => store.revision());
  await failureOf('CG_STORE_MISSING', () => store.standing(record.issuer, record.serial));
  renameSync(`${path}.away`, path);
  expect(await store.revision()).toBe(revision);
  expect(await store.standing(record.issuer, record.serial)).toMatchObject({ identity: record.identity });
  // Who was told of nothing by a call that failed sees it by this.
  expect(store.openings).toBeGreaterThan(1);
  await store.close();
  for (const one of opened) await failureOf('CG_STORE_CLOSED', () => one.revision());
});

it('a store that a process holds for long asks for approval before it adds a certificate', async () => {
  const path = join(newFolder(), 'certgate.db');
  await newStore(path).close();
  const store = closing(openReopeningStore(path, async () => openSqliteStore(path)));
  const refuse = (): never => {
    throw new CertgateError('CG_LOCK_GATE', { what: 'test' });
  };
  await failureOf('CG_LOCK_GATE', () => store.addCertificate(newRecord(), newAudit(), refuse));
});
