// A record whose file of before cannot be opened just now, for want of a descriptor: the chain waits for it, and is not begun anew.
import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { filesOf } from '../../src/observe/audit-files.ts';
import { openAuditLog } from '../../src/observe/audit-log.ts';
import { rotatedName } from '../../src/observe/audit-rotation.ts';
import { verifyAudit } from '../../src/observe/audit-verify.ts';
import { auditRecord, newFolder } from './records.ts';
import { judge } from './signed.ts';

const refused = vi.hoisted(() => ({ path: '', times: 0 }));

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  return {
    ...real,
    open: (path: string, ...more: [string?, number?]) => {
      if (path !== refused.path) return real.open(path, ...more);
      refused.times++;
      const words = `EMFILE: too many open files, open '${path}'`;
      return Promise.reject(Object.assign(new Error(words), { code: 'EMFILE', syscall: 'open', path }));
    },
  };
});

test('a record goes on where its file of before ended, and not from the beginning where that cannot be opened just now', async () => {
  const folder = newFolder();
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'audit.jsonl');
  const first = await openAuditLog(path);
  for (const requestId of ['a', 'b', 'c']) await first.append(auditRecord({ requestId }));
  await first.close();
  // As a kill leaves it between the two files.
  refused.path = rotatedName(path, Date.now(), 3);
  renameSync(path, refused.path);

  const log = await openAuditLog(path);
  await expect(log.append(auditRecord({ requestId: 'd' }))).rejects.toThrow(
    `the record ${path} cannot be written: too many open files`,
  );
  expect(refused.times).toBeGreaterThan(0);
  refused.path = '';
  await log.append(auditRecord({ requestId: 'e' }));
  await log.close();
  const { findings, head } = await verifyAudit(await filesOf(path), { judge });
  expect(findings.filter(({ harmless }) => !harmless)).toEqual([]);
  expect(head.seq).toBeGreaterThan(4);
});
