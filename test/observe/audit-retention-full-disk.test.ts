import { appendFileSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { Checkpoint } from '../../src/observe/audit-checkpoint.ts';
import { filesOf } from '../../src/observe/audit-files.ts';
import { openAuditLog } from '../../src/observe/audit-log.ts';
import { verifyAudit } from '../../src/observe/audit-verify.ts';
import { ownFileSystem } from '../store/file-system.ts';
import { auditRecord } from './records.ts';
import { judge, signingOf, upkeepOf } from './signed.ts';

test('on a disk that is really full what may go is put on record and goes, and there is room again', async (context) => {
  const mounted = ownFileSystem(context, '256k');
  const made: Checkpoint[] = [];
  const path = join(mounted, 'audit.jsonl');
  const signing = { ...signingOf((checkpoint) => void made.push(checkpoint)), failed: () => {} };
  let rotated = 0;
  const before = upkeepOf({ rotateSize: 8000, keepFiles: 1000 }, { rotated: () => void rotated++ });
  const first = await openAuditLog(path, { signing, upkeep: before });
  for (let i = 0; rotated < 6; i++) await first.append(auditRecord({ requestId: `f-${i}` }));
  await first.close();
  expect(existsSync(join(mounted, 'audit.reserve'))).toBe(true);
  const filler = join(mounted, 'filler');
  writeFileSync(filler, '');
  expect(() => {
    for (;;) appendFileSync(filler, Buffer.alloc(4096));
  }).toThrow('ENOSPC');

  let retired = 0;
  const upkeep = upkeepOf({ keepFiles: 2 }, { retired: () => void retired++, failed: () => {} });
  const log = await openAuditLog(path, { signing, upkeep, known: made.at(-1)?.record ?? { seq: 0, hash: '' } });
  await vi.waitFor(async () => expect([retired, (await filesOf(path)).length]).toEqual([1, 3]), { timeout: 10_000 });
  await log.append(auditRecord({ requestId: 'after' }));
  await vi.waitFor(() => expect(existsSync(join(mounted, 'audit.reserve'))).toBe(true), { timeout: 10_000 });
  await log.close();
  const { findings, retired: said } = await verifyAudit(await filesOf(path), { judge });
  expect([findings, said?.rule]).toEqual([[], 'keepFiles 2']);
});
