import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { storeFile } from '../../src/authority/layout.ts';
import { SCHEMA_VERSION } from '../../src/store/schema.ts';
import { checkedCa } from './checked-ca.ts';

const ca = checkedCa();

test('a store of before an upgrade that a command may only read is brought up to date by the command that its hint names', async () => {
  await ca.ran(['issue', 'worker/a']);
  const db = new DatabaseSync(storeFile(ca.path('state')));
  // The newest step alone undone.
  db.exec(`DROP TABLE flags; PRAGMA user_version = ${SCHEMA_VERSION - 1}`);
  db.close();
  const { code, said } = await ca.ran(['list']);
  expect([code, said]).toEqual([6, expect.stringContaining('[CG_STORE_OLDER]')]);
  const [, remedy = ''] = /`certgate ([^`]+)`/.exec(said) ?? [];
  expect((await ca.ran(remedy.split(' '))).code).toBe(0);
  expect((await ca.ran(['list'])).out).toContain('worker/a');
});
