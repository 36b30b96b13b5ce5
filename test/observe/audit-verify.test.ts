import { appendFileSync, copyFileSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { hashOf, START } from '../../src/observe/audit-chain.ts';
import { type Checkpoint, checkpointIn } from '../../src/observe/audit-checkpoint.ts';
import { filesOf } from '../../src/observe/audit-files.ts';
import { recordJson } from '../../src/observe/audit-lines.ts';
import { type AuditLogOptions, openAuditLog } from '../../src/observe/audit-log.ts';
import type { Signing } from '../../src/observe/audit-signing.ts';
import { verifyAudit } from '../../src/observe/audit-verify.ts';
import { auditRecord, link, newFolder } from './records.ts';
import { judge, signingOf, upkeepOf } from './signed.ts';

let folder: string;
let path: string;
let made: Checkpoint[];

beforeEach(() => {
  folder = newFolder();
  path = join(folder, 'audit.jsonl');
  made = [];
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

const signing = signingOf((checkpoint) => void made.push(checkpoint));

/** Appends `count` records, then closes, which signs. */
async function write(count: number, options: AuditLogOptions = { signing }, from = 0): Promise<void> {
  const log = await openAuditLog(path, options);
  for (let i = from; i < from + count; i++) await log.append(auditRecord({ requestId: `r-${i}` }));
  await log.close();
}

const lines = (): string[] => readFileSync(path, 'latin1').split('\n').slice(0, -1);
const rewrite = (changed: readonly string[]): void => writeFileSync(path, changed.map((line) => `${line}\n`).join(''));

/** What is found, a line each. */
async function found(kept: readonly Checkpoint[] = []): Promise<string[]> {
  const verdict = await verifyAudit(await filesOf(path), {
    judge,
    kept: kept.map((checkpoint) => ({ from: 'kept', checkpoint })),
  });
  return verdict.findings.map(({ harmless, line, words }) => `${harmless ? 'note' : 'wrong'} ${line}: ${words}`);
}

const newestMade = (): Checkpoint => {
  const one = made.at(-1);
  if (one === undefined) throw new Error('nothing was signed');
  return one;
};

describe('a record as it was written', () => {
  test('is found so, through restarts and rotations, with how far it is signed', async () => {
    for (let i = 0; i < 4; i++) {
      await write(5, { signing }, 5 * i);
      renameSync(path, `${path}.${9 - i}`);
    }
    await write(3, { signing }, 20);
    expect(await found([...made])).toEqual([]);
    const verdict = await verifyAudit(await filesOf(path), { judge });
    expect([verdict.files, verdict.lines, verdict.unchained, verdict.head.seq]).toEqual([5, 28, 0, 28]);
    expect(verdict.signed?.record.seq).toBe(27);
  });

  test('is found so with lines of before the chain in front, of which nothing is known', async () => {
    writeFileSync(path, `${recordJson(auditRecord())}\n`.repeat(3));
    await write(2);
    expect(await found()).toEqual([]);
    const [, , third = '', fourth = ''] = lines();
    expect(JSON.parse(fourth)).toMatchObject({ seq: 1, prev: hashOf(`${third}\n`) });
    rewrite(lines().map((line, i) => (i === 2 ? line.replace('etl-1', 'etl-2') : line)));
    expect(await found()).toEqual([expect.stringMatching(/^wrong 4: what stands before record 1 was changed/)]);
  });

  test('is found so while it is written and signed by two at once', async () => {
    const logs = await Promise.all([openAuditLog(path, { signing }), openAuditLog(path, { signing })]);
    await Promise.all(
      logs.flatMap((log, of) =>
        Array.from({ length: 300 }, async (_, i) => {
          await new Promise((resolve) => setTimeout(resolve, i % 40));
          await log.append(auditRecord({ requestId: `${of}-${i}` }));
          if (i % 50 === 0) await log.checkpoint();
          log.outcome({ time: 1, requestId: `${of}-${i}`, outcome: 200, ending: 'complete', ms: 1 });
        }),
      ),
    );
    for (const log of logs) await log.close();
    expect(made.length).toBeGreaterThan(5);
    expect(await found([...made])).toEqual([]);
    expect(new Set(lines().filter((line) => line.includes('"path"')))).toHaveProperty('size', 600);
  });

  test('is found so when the clock went back', async () => {
    const log = await openAuditLog(path, { signing });
    for (const time of [5, 3, 1]) await log.append(auditRecord({ time }));
    await log.close();
    expect(await found()).toEqual([]);
  });

  test('is found so when a signature took long, and others were written meanwhile', async () => {
    const slow = Promise.withResolvers<void>();
    const log = await openAuditLog(path, {
      signing: {
        ...signing,
        sign: async (head) => {
          await slow.promise;
          return signing.sign(head);
        },
      },
    });
    await log.append(auditRecord());
    const signed = log.checkpoint();
    for (let i = 0; i < 20; i++) await log.append(auditRecord({ requestId: `r-${i}` }));
    slow.resolve();
    await signed;
    await log.close();
    expect(made[0]?.record.seq).toBe(1);
    expect(await found([...made])).toEqual([]);
  });
});

test('a signature that is made while the log is being closed stands behind what was still written then', async () => {
  const [asked, signed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const sign: Signing['sign'] = async (record) => {
    asked.resolve();
    await signed.promise;
    return signing.sign(record);
  };
  const log = await openAuditLog(path, { signing: { ...signing, sign, every: 1 } });
  await log.append(auditRecord());
  await asked.promise;
  log.outcome({ time: 1, requestId: 'r-1', outcome: 200, ending: 'complete', ms: 1 });
  const handle = await open(path);
  const handles = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const really = Reflect.get(handles, 'write') as (...how: unknown[]) => Promise<unknown>;
  const slow = vi.spyOn(handles, 'write').mockImplementation(async function (this: FileHandle, ...how: unknown[]) {
    signed.resolve();
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    return really.apply(this, how);
  } as never);
  await log.close();
  slow.mockRestore();
  expect(lines().map((line) => Object.keys(JSON.parse(line) as object)[1])).toEqual([
    'requestId',
    'requestId',
    'checkpoint',
    'checkpoint',
  ]);
  expect(await found([...made])).toEqual([]);
});

describe('a line that a crash tore', () => {
  test('is told and is no tampering, whether something follows it or not, even NUL octets', async () => {
    for (const torn of ['{"time":17', '\0'.repeat(70_000), 'x'.repeat(400_000), '{"time":1,"seq":99']) {
      await write(2);
      appendFileSync(path, torn);
      expect((await found([...made])).at(-1)).toMatch(
        /^note \d+: this line was cut short .*no record stands after it yet$/,
      );
      await write(1);
      expect((await found([...made])).at(-1)).toMatch(/^note \d+: .*it was there when record \d+ was written/);
    }
    expect(lines().filter((line) => line.endsWith('}')).length).toBe(12 + 8);
    expect((await found([...made])).filter((one) => one.startsWith('wrong'))).toEqual([]);
  });

  test('is told as changed when somebody adds to it later', async () => {
    await write(2);
    appendFileSync(path, '{"time":17');
    await write(2);
    rewrite(lines().map((line) => (line === '{"time":17' ? '{"time":18' : line)));
    expect(await found()).toEqual([expect.stringMatching(/^wrong 3: record 3 was changed/)]);
  });
});

describe('what somebody did to it is told with its place:', () => {
  beforeEach(() => write(8));

  test('a record changed', async () => {
    rewrite(lines().map((line, i) => (i === 3 ? line.replace('etl-1', 'etl-9') : line)));
    expect(await found()).toEqual([
      expect.stringMatching(/^wrong 4: record 4 was changed: its SHA-256 is [0-9a-f]{64}, and the record that follows/),
    ]);
  });

  test('the last record before the checkpoint changed', async () => {
    rewrite(lines().map((line, i) => (i === 7 ? line.replace('etl-1', 'etl-9') : line)));
    expect(await found()).toEqual([expect.stringMatching(/^wrong 8: record 8 was changed/)]);
  });

  test('records taken out, from the middle and from the beginning', async () => {
    const all = lines();
    rewrite(all.toSpliced(3, 1));
    expect(await found()).toEqual(['wrong 4: record 4 is missing before record 5']);
    rewrite(all.toSpliced(3, 2));
    expect(await found()).toEqual(['wrong 4: records 4 to 5 are missing before record 6']);
    rewrite(all.slice(2));
    expect(await found()).toEqual([expect.stringMatching(/^wrong 1: records 1 to 2 are missing/)]);
  });

  test('two records exchanged, and one repeated', async () => {
    const [a = '', b = '', c = '', ...rest] = lines();
    rewrite([a, c, b, ...rest]);
    expect(await found()).toEqual([
      'wrong 2: record 2 is missing before record 3',
      'wrong 3: record 2 stands after record 3: repeated, or moved from its place',
    ]);
    rewrite([a, b, c, b, ...rest]);
    expect(await found()).toEqual(['wrong 4: record 2 stands after record 3: repeated, or moved from its place']);
  });

  test('a line put in, and a record made unreadable', async () => {
    const all = lines();
    rewrite(all.toSpliced(3, 0, recordJson(auditRecord({ identity: 'user/mallory' }))));
    expect(await found()).toEqual(['wrong 4: this line is no record: it was put in later; no record is missing here']);
    rewrite(all.with(3, '\0'.repeat(300)));
    expect(await found()).toEqual(['wrong 5: record 4 is missing before record 5; audit.jsonl:4 is no record']);
    rewrite(all.with(3, 'x'.repeat(3_000_000)));
    expect(await found()).toEqual(['wrong 5: record 4 is missing before record 5; audit.jsonl:4 is no record']);
  });

  test('all of it chained anew without the key: its checkpoints, or the one that was kept, do not fit', async () => {
    const [kept] = made;
    const chain = (bodies: readonly string[]): string[] => {
      let head = START;
      return bodies.map((body) => {
        const next = link(body, head);
        head = next.head;
        return next.line.slice(0, -1);
      });
    };
    const bodies = lines().map((line) => line.replace(/,"seq".*/, '}').replace('r-3', 'r-x'));
    rewrite(chain(bodies));
    expect(await found()).toEqual([
      expect.stringMatching(/^wrong 9: the checkpoint in record 9 is not valid: it speaks of/),
    ]);
    rewrite(chain(bodies.slice(0, -1)));
    expect(await found()).toEqual([]);
    expect((await verifyAudit([path], { judge })).signed).toBeNull();
    expect(await found(kept === undefined ? [] : [kept])).toEqual([
      expect.stringMatching(/^wrong null: record 8, which was signed at .* was changed/),
    ]);
  });

  test('a forged checkpoint', async () => {
    const last = lines().at(-1) ?? '';
    const forged = last.replace('"record":8', '"record":7');
    rewrite(lines().with(8, forged));
    expect(await found()).toEqual(['wrong 9: the checkpoint in record 9 is not valid: its signature is wrong']);
    const checkpoint = checkpointIn(JSON.parse(forged));
    expect(await found(checkpoint === null ? [] : [checkpoint])).toContain(
      'wrong null: the checkpoint is not valid: its signature is wrong',
    );
  });

  test('the end cut off, which only a checkpoint that was kept can tell', async () => {
    rewrite(lines().slice(0, 5));
    expect(await found()).toEqual([]);
    expect(await found([newestMade()])).toEqual([
      expect.stringMatching(/^wrong null: records 6 to 8 are missing at the end: record 8 was signed at 2026-/),
    ]);
    truncateSync(path, 0);
    expect(await found([newestMade()])).toEqual([expect.stringMatching(/^wrong null: records 1 to 8 are missing/)]);
  });

  test('a whole file taken out from between', async () => {
    renameSync(path, `${path}.2`);
    await write(3);
    renameSync(path, `${path}.1`);
    await write(3);
    expect(await found()).toEqual([]);
    rmSync(`${path}.1`);
    expect(await found()).toEqual(['wrong 1: records 10 to 13 are missing before record 14']);
  });

  test('an older copy put back while nobody wrote: the next line shows what is missing, for ever', async () => {
    copyFileSync(path, join(folder, 'copy'));
    await write(4);
    copyFileSync(join(folder, 'copy'), path);
    const told: string[] = [];
    await write(2, { signing, known: newestMade().record, missing: (words) => told.push(words) });
    expect(told).toEqual(['it ends with record 9, but record 13 was signed']);
    expect(await found()).toEqual(['wrong 10: records 10 to 13 are missing before record 14']);
    await write(2, { signing, known: newestMade().record, missing: (words) => told.push(words) });
    expect(told).toHaveLength(1);
  });

  test('a record that was signed, changed while nobody wrote: the next line does not vouch for it', async () => {
    const told: string[] = [];
    rewrite(
      lines()
        .map((line, i) => (i === 7 ? line.replace('etl-1', 'etl-9') : line))
        .slice(0, 8),
    );
    await write(2, { signing, known: newestMade().record, missing: (words) => told.push(words) });
    expect(told).toEqual(['record 8 is not the one that was signed']);
    expect(await found()).toEqual([expect.stringMatching(/^wrong 8: record 8 was changed/)]);
  });
});

test('the file cut while it is written is told by the next line', async () => {
  const log = await openAuditLog(path, { signing });
  for (let i = 0; i < 5; i++) await log.append(auditRecord({ requestId: `r-${i}` }));
  rewrite(lines().slice(0, 3));
  await log.append(auditRecord({ requestId: 'after' }));
  await log.close();
  expect(await found()).toEqual(['wrong 4: records 4 to 5 are missing before record 6']);
});

test('what cannot be signed is told, and the record goes on', async () => {
  const failures: unknown[] = [];
  const failing: Signing = {
    ...signing,
    sign: () => Promise.reject(new Error('no signer')),
    failed: (error) => failures.push(error),
  };
  await write(3, { signing: failing });
  expect(failures).toHaveLength(1);
  expect(await found()).toEqual([]);
});

test('no number of notes hides what was changed, and no number of odd lines is too many', async () => {
  const log = await openAuditLog(path, { signing });
  await log.append(auditRecord({ requestId: 'first' }));
  for (let i = 0; i < 120; i++) {
    appendFileSync(path, 'x');
    await log.append(auditRecord({ requestId: `r-${i}` }));
  }
  await log.close();
  expect((await found()).every((one) => one.startsWith('note'))).toBe(true);
  rewrite(lines().map((line) => line.replace('r-118"', 'r-xxx"')));
  expect((await found()).filter((one) => one.startsWith('wrong'))).toEqual([expect.stringMatching(/was changed/)]);
  appendFileSync(path, 'y\n'.repeat(1000));
  const told = await found();
  expect(told.filter((one) => one.startsWith('wrong')).at(-1)).toMatch(
    /^wrong 1242: this line is no record, and no record/,
  );
});

test('a line without a number that is put in front of what is left once the front is retired', async () => {
  for (const i of [0, 1]) {
    await write(3, { signing }, 3 * i);
    renameSync(path, `${path}.${i}`);
  }
  const log = await openAuditLog(path, {
    signing,
    upkeep: upkeepOf({ keepFiles: 1 }),
    known: newestMade().record,
  });
  await log.append(auditRecord());
  await vi.waitFor(async () => expect(await filesOf(path)).toEqual([`${path}.1`, path]));
  await log.close();
  expect(await found()).toEqual([]);

  const forged = `${recordJson(auditRecord({ requestId: 'forged' }))}\n`;
  const second = readFileSync(`${path}.1`);
  writeFileSync(`${path}.1`, Buffer.concat([Buffer.from(forged.repeat(2)), second]));
  expect(await found()).toEqual([
    'wrong 1: 2 lines without a number before record 5: put in later, or nothing says what they are',
  ]);
  const alone = await verifyAudit([`${path}.1`], { judge, partial: true });
  expect(alone.findings.map(({ harmless }) => harmless)).toEqual([true, true]);

  // Of an older certgate, for all that anybody can tell.
  writeFileSync(`${path}.1`, second);
  writeFileSync(`${path}.0`, forged);
  expect(await found()).toEqual([
    'note null: 1 line without a number: what vouched for them was retired, so that anybody may have written them',
  ]);
});
