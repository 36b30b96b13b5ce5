// For tests that change a record: one of a few records and how they went, in three files or more, signed.
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import type { Checkpoint } from '../../src/observe/audit-checkpoint.ts';
import { filesOf } from '../../src/observe/audit-files.ts';
import { openAuditLog } from '../../src/observe/audit-log.ts';
import { auditRecord } from './records.ts';
import { signingOf, upkeepOf } from './signed.ts';

/** Its files, oldest first; `made` gets its checkpoints. */
export async function recordInFiles(folder: string, made: Checkpoint[]): Promise<readonly string[]> {
  const path = join(folder, 'audit.jsonl');
  const signing = signingOf((checkpoint) => void made.push(checkpoint));
  for (let i = 0; i < 3; i++) {
    let rotated = i === 2;
    const rotateSize = rotated ? Number.POSITIVE_INFINITY : 1000;
    const upkeep = upkeepOf({ rotateSize }, { rotated: () => (rotated = true) });
    const log = await openAuditLog(path, { signing, upkeep });
    for (let j = 0; j < 4; j++) {
      const requestId = `r-${i}-${j}`;
      await log.append(auditRecord({ requestId }));
      log.outcome({ time: 1, requestId, outcome: 201, ending: 'complete', ms: 4 });
    }
    await vi.waitFor(() => expect(rotated).toBe(true));
    await log.close();
  }
  return await filesOf(path);
}
