import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { StoredAuditEntry } from '../../src/store/audit-entry.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { closing, integrityOf, newFolder, newStore, runScript } from './fixture.ts';

const writer = join(import.meta.dirname, 'writing-process.ts');

it('two processes that issue and revoke at once on one store lose nothing and never see it locked', async () => {
  const path = join(newFolder(), 'certgate.db');
  await newStore(path).close();
  const watching = closing(openSqliteStore(path));
  const seen: number[] = [];
  const watch = setInterval(() => void watching.revision().then((revision) => seen.push(revision)), 5);
  const ended = await Promise.all([runScript(writer, [path, '150']), runScript(writer, [path, '150'])]);
  clearInterval(watch);
  expect(ended.map(({ code, err }) => ({ code, err }))).toEqual([
    { code: 0, err: '' },
    { code: 0, err: '' },
  ]);

  const lines = ended.flatMap(({ out }) => out.trim().split('\n'));
  const added = lines.filter((line) => line.startsWith('added ')).map((line) => line.slice(6));
  const revoked = lines.filter((line) => line.startsWith('revoked ')).map((line) => line.slice(8));
  expect(added).toHaveLength(300);
  const listed = await watching.listCertificates({ now: Date.now(), limit: 1000 });
  expect(listed.map((record) => record.serial).toSorted()).toEqual(added.toSorted());
  expect((await watching.revocationsSince(0)).map((r) => r.serial).toSorted()).toEqual(revoked.toSorted());

  const audit: StoredAuditEntry[] = [];
  audit.push(...(await watching.listAudit({ limit: 1000 })));
  expect(audit.filter((entry) => entry.action === 'certificate.issue')).toHaveLength(300);
  expect(audit.filter((entry) => entry.action === 'certificate.revoke')).toHaveLength(150);
  expect(await watching.revision()).toBe(450); // one a commit, none given twice
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  await watching.close();
  expect(integrityOf(path)).toBe('ok');
});
