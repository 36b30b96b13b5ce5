// The chain of the CA's acts, changed by hand: each change is told, also where no act stands behind it.

import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { verifyActs } from '../../src/cli/audit/verify-acts.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { closing, newAudit, newFolder, newStore } from '../store/fixture.ts';

/** What is found in a chain of four acts after `change`. */
async function found(change: string): Promise<readonly string[]> {
  const path = join(newFolder(), 'certgate.db');
  const store = newStore(path);
  for (let act = 1; act <= 4; act++) await store.addAudit(newAudit());
  await store.close();
  const db = new DatabaseSync(path);
  db.exec(change);
  db.close();
  return (await verifyActs(closing(openSqliteStore(path)), [])).findings.map(({ words }) => words);
}

test.each([
  ['that nothing was changed', 'SELECT 1', []],
  ['an act', "UPDATE audit SET actor = 'other' WHERE id = 2", ['act 2 was changed']],
  [
    'an act that names none any more',
    'UPDATE audit SET prev = NULL WHERE id = 3',
    ['act 3 names none', 'act 3 was changed'],
  ],
  [
    'the last act, which names none',
    "UPDATE audit SET prev = NULL, actor = 'other' WHERE id = 4",
    ['act 4 names none'],
  ],
  ['an act that is gone', 'DELETE FROM audit WHERE id = 2', ['act 2 is missing before act 3']],
  ['the first acts, which are gone', 'DELETE FROM audit WHERE id < 3', ['acts 1 to 2 are missing before act 3']],
])('%s is told', async (_what, change, words) => {
  const told = await found(change);
  expect(told).toHaveLength(words.length);
  for (const [i, one] of words.entries()) expect(told[i]).toContain(one);
});
