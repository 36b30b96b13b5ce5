import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { expect, test } from 'vitest';
import { placeOf } from '../../src/observe/audit-chain.ts';
import type { Checkpoint } from '../../src/observe/audit-checkpoint.ts';
import { filesOf } from '../../src/observe/audit-files.ts';
import { itemOf } from '../../src/observe/audit-reader.ts';
import { verifyAudit } from '../../src/observe/audit-verify.ts';
import { recordInFiles } from './in-files.ts';
import { newFolder } from './records.ts';
import { judge } from './signed.ts';

/** Numbers from 0 to 1 that are the same each time for a seed (mulberry32). */
function chances(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const CHANGES: ReadonlyArray<(bytes: Buffer, at: number, chance: number) => Buffer> = [
  (bytes, at, chance) => Buffer.from(bytes).fill((bytes[at] ?? 0) ^ (1 << Math.floor(chance * 8)), at, at + 1),
  (bytes, at) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]),
  (bytes, at) => Buffer.concat([bytes.subarray(0, at), Buffer.from(' '), bytes.subarray(at)]),
  (bytes, at) => Buffer.from(bytes).fill('\n', at, at + 1),
  (bytes, at) => Buffer.from(bytes).fill(0, at, at + 1),
];

test('an octet changed, taken out or put in at any of two hundred places is told, and which record that is', async () => {
  const folder = newFolder();
  const made: Checkpoint[] = [];
  const files = await recordInFiles(folder, made);
  const [newest] = made.slice(-1);
  if (newest === undefined) throw new Error('nothing was signed');
  const kept = [{ from: 'kept', checkpoint: newest }];
  const look = async () => (await verifyAudit(await filesOf(files.at(-1) ?? ''), { judge, kept })).findings;
  expect(await look()).toEqual([]);
  const seed = Date.now();
  process.stderr.write(`seed ${seed}\n`);
  const chance = chances(seed);
  for (let i = 0; i < 200; i++) {
    const file = files[i % files.length] ?? '';
    const bytes = readFileSync(file);
    // Whoever can write could make another last line: nothing names that one yet.
    const end = file === files.at(-1) ? bytes.lastIndexOf(0x0a, -2) : bytes.length;
    const at = Math.floor(chance() * end);
    const copy = CHANGES[i % CHANGES.length]?.(bytes, at, chance()) ?? bytes;
    if (copy.equals(bytes)) continue;
    writeFileSync(file, copy);
    const wrong = (await look()).filter(({ harmless }) => !harmless);
    writeFileSync(file, bytes);
    const line = bytes.subarray(0, at).toString('latin1').split('\n').length;
    const text = bytes.toString('latin1').split('\n')[line - 1] ?? '';
    const { seq = 0 } = placeOf(text) ?? {};
    const names = (words: string): boolean =>
      new RegExp(`\\brecords? (?:\\d+ to )?(?:${seq}|${seq + 1})\\b`).test(words);
    const told = wrong.some((one) => names(one.words) || (one.file === file && Math.abs((one.line ?? -9) - line) <= 1));
    expect(told, `${basename(file)}:${line}, octet ${at}: ${JSON.stringify(wrong)}`).toBe(true);
  }
  rmSync(folder, { recursive: true });
}, 120_000);

test('a last line that no gate has written is told, though nothing names it yet', async () => {
  const folder = newFolder();
  const files = await recordInFiles(folder, []);
  const last = files.at(-1) ?? '';
  const bytes = readFileSync(last);
  const at = bytes.lastIndexOf(0x0a, -2) + 1;
  expect(itemOf({ number: 1, text: bytes.subarray(at, -1).toString(), ended: true, end: 0, hash: '' })?.kind).toBe(
    'checkpoint',
  );
  for (const put of ['[', '{"x":']) {
    writeFileSync(last, Buffer.concat([bytes.subarray(0, at), Buffer.from(put), bytes.subarray(at + put.length)]));
    const { findings } = await verifyAudit(files, { judge });
    expect(findings.map(({ harmless, words }) => `${harmless} ${words}`).join()).toMatch(
      /^false record \d+, the last, was changed: it can't be read$/,
    );
  }
  rmSync(folder, { recursive: true });
});
