import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { Checkpoint } from '../../src/observe/audit-checkpoint.ts';
import { filesOf } from '../../src/observe/audit-files.ts';
import { openAuditLog } from '../../src/observe/audit-log.ts';
import { verifyAudit } from '../../src/observe/audit-verify.ts';
import { ownFileSystem } from '../store/file-system.ts';
import { auditRecord, idsIn } from './records.ts';
import { judge, signingOf, upkeepOf } from './signed.ts';

test('a disk that is really full while the record is rotated has lost nothing that was acknowledged, and the chain goes on', async (context) => {
  const mounted = ownFileSystem(context, '256k');
  const made: Checkpoint[] = [];
  const path = join(mounted, 'audit.jsonl');
  const filler = join(mounted, 'filler');
  writeFileSync(filler, Buffer.alloc(64 * 1024));
  let rotated = 0;
  const upkeep = upkeepOf({ rotateSize: 8000 }, { rotated: () => void rotated++, failed: () => {} });
  const log = await openAuditLog(path, {
    signing: { ...signingOf((checkpoint) => void made.push(checkpoint)), failed: () => {} },
    upkeep,
  });
  const acknowledged: string[] = [];
  const append = (requestId: string): Promise<unknown> =>
    log.append(auditRecord({ requestId })).then(() => acknowledged.push(requestId));
  for (let i = 0, refused = 0; refused < 200; i++) await append(`f-${i}`).catch(() => refused++);
  expect([log.healthy(), rotated > 5]).toEqual([false, true]);
  rmSync(filler);
  await vi.waitFor(() => expect(log.healthy()).toBe(true), { timeout: 30_000 });
  for (let i = 0; i < 60; i++) await append(`g-${i}`);
  await log.close();
  const ids = (await Promise.all((await filesOf(path)).map(idsIn))).flat();
  expect(ids.filter((id) => id !== 'gap')).toEqual(acknowledged);
  const kept = made.map((checkpoint) => ({ from: 'kept', checkpoint }));
  expect((await verifyAudit(await filesOf(path), { judge, kept })).findings).toEqual([]);
});
