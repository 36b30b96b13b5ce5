// SQLite opens for reading alone, without a word, what it cannot open for writing at that moment: for want of a descriptor.
import { join } from 'node:path';
import type { DatabaseSyncOptions } from 'node:sqlite';
import { expect, it, vi } from 'vitest';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { closing, newAudit, newFolder, newStore } from './fixture.ts';

const files = vi.hoisted(() => ({ opened: 0, forReading: 0 }));

vi.mock('node:sqlite', async (original) => {
  const real = await original<typeof import('node:sqlite')>();
  return {
    ...real,
    DatabaseSync: class extends real.DatabaseSync {
      constructor(path: string | Buffer | URL, options: DatabaseSyncOptions = {}) {
        files.opened++;
        if (files.opened !== files.forReading) super(path, options);
        else super(new URL(String(path).replace('mode=rw', 'mode=ro')), { ...options, readOnly: true });
      }
    },
  };
});

it('a store that could be opened for reading alone at first is opened anew, and written', async () => {
  const path = join(newFolder(), 'certgate.db');
  await newStore(path).close();
  files.forReading = files.opened + 1;
  const store = closing(openSqliteStore(path));
  expect(files.opened).toBe(files.forReading + 1);
  await store.addAudit(newAudit());
});
