import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { filesOf } from '../../src/observe/audit-files.ts';
import { openAuditLog } from '../../src/observe/audit-log.ts';
import { verifyAudit } from '../../src/observe/audit-verify.ts';
import { auditRecord, idsIn, newFolder } from './records.ts';

const ROUNDS = 10;
const SCRIPT = new URL('audit-writer.ts', import.meta.url).pathname;

/** mulberry32: the same numbers for the same seed. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

test('killed at ten random moments, two writers and a rotation among them, the record is whole and has all that was acknowledged', async () => {
  const seed = Number(process.env['CERTGATE_KILL_SEED'] ?? Date.now() % 1_000_000);
  process.stderr.write(`audit-kill: CERTGATE_KILL_SEED=${seed}\n`);
  const random = numbers(seed);
  const path = join(newFolder(), 'audit.jsonl');
  const acknowledged: string[] = [];

  async function read(child: ChildProcess, first: () => void): Promise<void> {
    if (child.stdout === null) throw new TypeError('no pipe');
    for await (const id of createInterface({ input: child.stdout })) {
      acknowledged.push(id);
      first();
    }
  }

  for (let round = 0; round < ROUNDS; round++) {
    const [wait, rotate] = [random() * 250, random() * 250];
    // A gate that drains and the one that took its place; and somebody who rotates meanwhile.
    const writers = (round % 2 === 0 ? ['a', 'b'] : ['a']).map((name) =>
      spawn(process.execPath, [SCRIPT, path, `k${round}${name}`], { stdio: ['ignore', 'pipe', 'inherit'] }),
    );
    const ended = writers.map((child) => once(child, 'exit'));
    const begun: Array<Promise<void>> = [];
    const reading = writers.map((child) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      begun.push(promise);
      return read(child, resolve);
    });
    await Promise.all(begun);
    const rotating = sleep(rotate).then(() => {
      if (round % 3 !== 2 && existsSync(path)) renameSync(path, `${path}.${round}`);
    });
    await sleep(wait);
    for (const child of writers) child.kill('SIGKILL');
    await Promise.all([...ended, ...reading, rotating]);

    // The restart.
    const log = await openAuditLog(path);
    await log.append(auditRecord({ requestId: `restart-${round}` }));
    await log.close();
    acknowledged.push(`restart-${round}`);
  }
  const files = await filesOf(path);
  expect(files.length).toBeGreaterThan(5);
  const verdict = await verifyAudit(files, { judge: () => ({ problem: null, by: null }) });
  expect(verdict.findings.filter((one) => !one.harmless)).toEqual([]);
  const found = new Set((await Promise.all(files.map(idsIn))).flat());
  expect(acknowledged.filter((id) => !found.has(id))).toEqual([]);
  expect(acknowledged.length).toBeGreaterThan(ROUNDS * 10);
});
