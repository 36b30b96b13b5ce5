import { appendFileSync, copyFileSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openAuditLog } from '../../src/observe/audit-log.ts';
import { tailAudit } from '../../src/observe/audit-tail.ts';
import { auditRecord, newFolder } from './records.ts';

const TEN = Array.from({ length: 10 }, (_, i) => i + 1);

/** Numbers of the lines that a tail gives until it has given `until`. */
async function numbersUntil(
  path: string,
  until: number,
  onEnd: (found: readonly number[]) => Promise<void>,
  after = 0,
) {
  const stop = new AbortController();
  const found: number[] = [];
  for await (const line of tailAudit(path, { after, signal: stop.signal })) {
    if (line === null) await onEnd(found);
    else if (line.seq > 0) found.push(line.seq);
    if (found.includes(until)) stop.abort();
  }
  return found;
}

async function write(path: string, count: number): Promise<void> {
  const log = await openAuditLog(path);
  for (let i = 0; i < count; i++) await log.append(auditRecord({ requestId: `r-${i}` }));
  await log.close();
}

test('lines are followed through renames, restarts of the writer and files that begin empty, each once', async () => {
  const path = join(newFolder(), 'audit.jsonl');
  let log = await openAuditLog(path);
  const steps: Array<() => Promise<void>> = [
    async () => log.append(auditRecord()),
    // The writer still has the renamed file open: 2 goes into it, 3 into a new one.
    async () => renameSync(path, `${path}.1`),
    async () => log.append(auditRecord()),
    async () => log.append(auditRecord()),
    async () => {
      await log.close();
      log = await openAuditLog(path);
      await log.append(auditRecord());
    },
    // Two rotations between two looks; and an empty file, as logrotate's `create` makes it.
    async () => {
      renameSync(path, `${path}.2`);
      await log.append(auditRecord());
      await log.append(auditRecord());
      renameSync(path, `${path}.3`);
      writeFileSync(path, '', { mode: 0o600 });
      await log.append(auditRecord());
    },
    async () => log.append(auditRecord()),
    async () => log.append(auditRecord()),
    async () => log.append(auditRecord()),
  ];
  const found = await numbersUntil(path, 10, async () => steps.shift()?.());
  await log.close();
  expect(found).toEqual(TEN);
});

test('a tail that begins after a number finds it in the file where it is, and goes on when that file is deleted', async () => {
  const path = join(newFolder(), 'audit.jsonl');
  await write(path, 4);
  renameSync(path, `${path}.1`);
  await write(path, 4);
  const found = await numbersUntil(
    path,
    10,
    async (seen) => {
      if (seen.includes(8) && !seen.includes(9)) {
        renameSync(path, `${path}.2`);
        rmSync(`${path}.1`);
        await write(path, 2);
        rmSync(`${path}.2`);
      }
    },
    2,
  );
  expect(found).toEqual(TEN.slice(2));
});

test('a line is given when it is finished, and a file that was copied and cut goes on by its numbers', async () => {
  const path = join(newFolder(), 'audit.jsonl');
  await write(path, 5);
  const text = readFileSync(path, 'latin1');
  const middle = text.length - 40;
  writeFileSync(path, text.slice(0, middle));
  let step = 0;
  const found = await numbersUntil(path, 7, async (seen) => {
    step++;
    if (step === 1) {
      expect(seen).toEqual([1, 2, 3, 4]);
      appendFileSync(path, text.slice(middle));
    } else if (step === 2) {
      copyFileSync(path, `${path}.1`);
      truncateSync(path);
      await write(path, 2);
    }
  });
  expect(found).toEqual(TEN.slice(0, 7));
});
