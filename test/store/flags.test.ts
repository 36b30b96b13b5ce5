import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { APPLICATION_ID, migrations } from '../../src/store/schema.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { closing, NOW, newAudit, newFolder, newStore } from './fixture.ts';

const flag = (identity: string, reason: string, flaggedAt = NOW) => ({ identity, reason, flaggedAt });

test('the first flag stands until it is taken off, and the next one stands then', async () => {
  const store = newStore();
  expect(await store.flag(flag('worker/b', 'first'), null, newAudit())).toBe(true);
  expect(await store.flag(flag('worker/b', 'second', NOW + 1), null, newAudit())).toBe(false);
  expect(await store.flag(flag('worker/a', 'other', NOW - 1), null, newAudit())).toBe(true);
  expect(await store.flags()).toEqual([flag('worker/a', 'other', NOW - 1), flag('worker/b', 'first')]);
  const audit = ({ reason }: { reason: string }) => newAudit({ action: 'client.unflag', detail: { reason } });
  expect(await store.unflag('worker/b', audit)).toEqual(flag('worker/b', 'first'));
  expect(await store.unflag('worker/b', audit)).toBeNull();
  expect(await store.flag(flag('worker/b', 'third'), null, newAudit())).toBe(true);
  expect((await store.flags()).map(({ reason }) => reason)).toEqual(['other', 'third']);
  // One act for each that changed something.
  expect(await store.listAudit({})).toHaveLength(4);
});

test('a token that was flagged before an upgrade has flagged its identity after it; one for several names has not', async () => {
  const path = join(newFolder(), 'certgate.db');
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA journal_mode = WAL`);
  for (const step of migrations.slice(0, 13)) db.exec(step);
  db.exec('PRAGMA user_version = 13');
  const token = db.prepare(
    `INSERT INTO tokens (id, secret_hash, subject, uses, uses_left, ttl, expires_at, created_at, created_by, flagged_at, flag)
       VALUES (?, ?, ?, 1, 0, 1, ?, ?, 'test', ?, ?)`,
  );
  const add = (n: number, subject: string, flaggedAt: number | null, reason: string | null) =>
    token.run(`${n}`.repeat(16), 'ab'.repeat(32), subject, NOW + 1, NOW, flaggedAt, reason);
  add(1, 'worker/a', NOW + 2, 'later');
  add(2, 'worker/a', NOW + 1, 'first');
  add(3, 'worker/a-*', NOW, 'a name of it');
  add(4, 'worker/b', null, null);
  db.close();
  const store = closing(openSqliteStore(path));
  expect(await store.flags()).toEqual([flag('worker/a', 'first', NOW + 1)]);
});
