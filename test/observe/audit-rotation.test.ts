import { generateKeyPairSync } from 'node:crypto';
import { copyFileSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { placeOf, START } from '../../src/observe/audit-chain.ts';
import type { Checkpoint } from '../../src/observe/audit-checkpoint.ts';
import { filesOf } from '../../src/observe/audit-files.ts';
import { type AuditLog, type AuditLogOptions, openAuditLog } from '../../src/observe/audit-log.ts';
import { retirable } from '../../src/observe/audit-retention.ts';
import { retirementJson } from '../../src/observe/audit-retirement.ts';
import { rotatedName } from '../../src/observe/audit-rotation.ts';
import { tailAudit } from '../../src/observe/audit-tail.ts';
import { type Verdict, verifyAudit } from '../../src/observe/audit-verify.ts';
import { auditRecord, idsIn, jsonLines, link, newFolder } from './records.ts';
import { judge, NEVER, signingOf, signRetirement, upkeepOf } from './signed.ts';

let folder: string;
let path: string;
let made: Checkpoint[];
const signing = signingOf((checkpoint) => void made.push(checkpoint));

beforeEach(() => {
  folder = newFolder();
  path = join(folder, 'audit.jsonl');
  made = [];
});

afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const names = (): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl'))
    .toSorted();

async function verified(options: Partial<Parameters<typeof verifyAudit>[1]> = {}): Promise<Verdict> {
  return verifyAudit(await filesOf(path), { judge, ...options });
}

async function found(options: Partial<Parameters<typeof verifyAudit>[1]> = {}): Promise<string[]> {
  const { findings } = await verified(options);
  return findings.map(({ harmless, file, words }) => `${harmless ? 'note' : 'wrong'} ${basename(file)}: ${words}`);
}

const recordLines = (log: AuditLog, count: number, prefix = 'r'): Promise<unknown> =>
  Promise.all(Array.from({ length: count }, (_, i) => log.append(auditRecord({ requestId: `${prefix}-${i}` }))));

/** A record in as many files, each of ten records and what the gate adds; the last is being written. */
async function inFiles(count: number, options: AuditLogOptions = { signing }): Promise<void> {
  for (let i = 0; i < count; i++) {
    let rotated = i === count - 1;
    const log = await openAuditLog(path, {
      ...options,
      upkeep: upkeepOf({ rotateSize: rotated ? Number.POSITIVE_INFINITY : 1000 }, { rotated: () => (rotated = true) }),
    });
    await recordLines(log, 10, `f${i}`);
    await vi.waitFor(() => expect(rotated).toBe(true));
    await log.close();
  }
}

const kept = () => made.map((checkpoint) => ({ from: 'kept', checkpoint }));

describe('a record that is long enough', () => {
  test('ends with a checkpoint and goes on in a file whose first line names the one before and its hash', async () => {
    await inFiles(3);
    expect(names()).toEqual([
      expect.stringMatching(/^audit-\d{8}T\d{6}Z-0{10}11\.jsonl$/),
      expect.stringMatching(/Z-0{10}\d\d\.jsonl$/),
      'audit.jsonl',
    ]);
    const [first = '', second = '', third = ''] = await filesOf(path);
    expect(jsonLines(first).at(-1)).toHaveProperty('checkpoint');
    expect(jsonLines(second)[0]).toMatchObject({ continues: basename(first), seq: 12 });
    expect(jsonLines(third)[0]).toMatchObject({ continues: basename(second) });
    expect(await found({ kept: kept() })).toEqual([]);
    expect((await Promise.all([first, second, third].map(idsIn))).flat()).toHaveLength(30);
  });

  test('does so once, whoever of two gates on it sees it first, and under load', async () => {
    const rotated: string[] = [];
    const upkeep = upkeepOf({ rotateSize: 60_000 }, { rotated: (to) => void rotated.push(to) });
    const logs = await Promise.all([openAuditLog(path, { signing, upkeep }), openAuditLog(path, { signing, upkeep })]);
    for (let i = 0; i < 60; i++) await Promise.all(logs.map((log, of) => recordLines(log, 10, `${of}-${i}`)));
    for (const log of logs) await log.close();
    expect(rotated.length).toBeGreaterThan(3);
    expect(rotated.toSorted()).toEqual((await filesOf(path)).slice(0, -1).toSorted());
    // None is of a few lines: that would be the second of two that rotated for the same reason.
    for (const file of rotated) expect(readFileSync(file).length).toBeGreaterThanOrEqual(60_000);
    expect(await found({ kept: kept() })).toEqual([]);
    expect((await Promise.all((await filesOf(path)).map(idsIn))).flat()).toHaveLength(1200);
  });

  test('or old enough goes on in another one, and not before', async () => {
    const log = await openAuditLog(path, { signing, upkeep: upkeepOf({ rotateEvery: 3_600_000 }) });
    await recordLines(log, 3);
    await log.close();
    expect(names()).toHaveLength(1);
    // The test's records are of a fixed time, long ago; the gate's own lines are of now.
    const aged = await openAuditLog(path, { signing, upkeep: upkeepOf({ rotateEvery: 1 }) });
    await vi.waitFor(() => expect(names().length).toBeGreaterThan(1));
    await aged.close();
    expect(await found({ kept: kept() })).toEqual([]);
  });

  test('goes on without a checkpoint at its end when none can be signed, and that is told', async () => {
    const failures: unknown[] = [];
    const failing = {
      ...signing,
      sign: () => Promise.reject(new Error('no signer')),
      failed: (error: unknown) => failures.push(error),
    };
    await inFiles(2, { signing: failing });
    expect(failures.length).toBeGreaterThan(0);
    expect(names()).toHaveLength(2);
    expect(await found()).toEqual([]);
  });

  test('refuses what it cannot write while no new one can be begun, and loses nothing', async () => {
    const handle = await open('/dev/null');
    const handles = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    const upkeep = upkeepOf({ rotateSize: 3000 }, { failed: () => {} });
    const log = await openAuditLog(path, { signing, upkeep });
    // The disk is full when the new file is begun, until three were refused.
    let refused = 0;
    const write = Reflect.get(handles, 'write') as (...asked: unknown[]) => Promise<unknown>;
    vi.spyOn(handles, 'write').mockImplementation(async function (this: FileHandle, ...asked: unknown[]) {
      if (String(asked[0]).includes('"continues"') && refused < 3) throw new Error('ENOSPC: made by the test');
      return Reflect.apply(write, this, asked);
    } as never);
    const answered: string[] = [];
    for (let i = 0; i < 40; i++) {
      await log.append(auditRecord({ requestId: `r-${i}` })).then(
        () => answered.push(`r-${i}`),
        (error: unknown) => {
          refused++;
          expect(String(error)).toContain('ENOSPC');
          expect(log.healthy()).toBe(false);
        },
      );
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect(refused).toBe(3);
    expect(log.healthy()).toBe(true);
    await log.close();
    const ids = (await Promise.all((await filesOf(path)).map(idsIn))).flat();
    expect(ids.filter((id) => id !== 'gap')).toEqual(answered);
    expect(await found({ kept: kept() })).toEqual([]);
    expect(jsonLines(path)[0]).toHaveProperty('continues');
  });

  test('is followed through each rotation, every line once', async () => {
    const log = await openAuditLog(path, { signing, upkeep: upkeepOf({ rotateSize: 4000 }) });
    const stop = new AbortController();
    const seen: number[] = [];
    const writing = (async () => {
      for (let i = 0; i < 300; i++) {
        await recordLines(log, 2, `r${i}`);
        if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 30));
      }
      await log.close();
      return readFileSync(path, 'latin1').trimEnd().split('\n').at(-1) ?? '';
    })();
    let last = Number.POSITIVE_INFINITY;
    void writing.then((line) => {
      last = placeOf(line)?.seq ?? 0;
    });
    for await (const line of tailAudit(path, { signal: stop.signal })) {
      if (line !== null) seen.push(line.seq);
      if ((seen.at(-1) ?? 0) >= last) stop.abort();
    }
    expect(names().length).toBeGreaterThan(20);
    expect(seen).toEqual(Array.from({ length: last }, (_, i) => i + 1));
  });
});

describe('retention', () => {
  const retireTo = async (keepFiles: number, changes = {}): Promise<string[]> => {
    const failures: string[] = [];
    let looked = 0;
    const upkeep = upkeepOf(
      { keepFiles },
      {
        failed: (what, error) => void failures.push(`${what}: ${String(error)}`),
        judge: async () => {
          looked++;
          return judge;
        },
        ...changes,
      },
    );
    const log = await openAuditLog(path, { signing, upkeep, known: made.at(-1)?.record ?? null });
    // It has looked twice: what it does it has done.
    await vi.waitFor(() => expect(looked).toBeGreaterThan(3));
    await log.close();
    return failures;
  };

  test('removes the oldest files only after a signed line says which records went, by which rule', async () => {
    await inFiles(5);
    const all = await filesOf(path);
    const [, , boundary = ''] = all;
    expect(await retireTo(2)).toEqual([]);
    expect(await filesOf(path)).toEqual(all.slice(2));
    const older = await found({ kept: kept() });
    expect(older.length).toBeGreaterThan(0);
    for (const one of older)
      expect(one).toMatch(/^note kept: it speaks of record \d+; the files that are here begin with/);
    const { retired, retiredBy } = await verified();
    const begins = jsonLines(boundary)[0] as { seq: number; prev: string };
    expect(retired).toMatchObject({ from: 1, to: { seq: begins.seq - 1, hash: begins.prev }, rule: 'keepFiles 2' });
    expect(retiredBy).toBe('the test');
    expect(readFileSync(path, 'latin1')).toContain(`"files":["${basename(all[0] ?? '')}","${basename(all[1] ?? '')}"]`);
  });

  test('by age removes what ended before, and goes on from one time to the next', async () => {
    await inFiles(4);
    const log = await openAuditLog(path, {
      signing,
      upkeep: upkeepOf({ keepFor: 1 }),
      known: made.at(-1)?.record ?? null,
    });
    await vi.waitFor(() => expect(names()).toEqual(['audit.jsonl']));
    await log.close();
    expect(await found()).toEqual([]);
    await inFiles(3);
    expect(await retireTo(1)).toEqual([]);
    const { retired, findings } = await verified();
    expect(findings).toEqual([]);
    expect(retired?.from).toBeGreaterThan(30);
    expect(names()).toHaveLength(2);
  });

  test('keeps what the newest checkpoint speaks of, and what no checkpoint covers yet', async () => {
    await inFiles(3);
    const failures: string[] = [];
    const [oldest] = made;
    const upkeep = upkeepOf({ keepFor: 1 }, { failed: (_what, error) => void failures.push(String(error)) });
    const log = await openAuditLog(path, { upkeep, known: oldest?.record ?? null });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await log.close();
    expect([names().length, failures]).toEqual([3, []]);
  });

  test('removes nothing that somebody has changed or cut, and says why', async () => {
    await inFiles(4);
    const [first = '', second = ''] = await filesOf(path);
    const text = readFileSync(second, 'latin1');
    writeFileSync(second, text.replace('f1-3', 'f1-x'));
    expect((await retireTo(1)).join()).toContain('was changed');
    writeFileSync(second, text.split('\n').slice(0, -3).join('\n').concat('\n'));
    expect((await retireTo(1)).join()).toContain('which does not follow record');
    writeFileSync(second, text);
    renameSync(second, join(folder, 'elsewhere'));
    expect((await retireTo(1)).join()).toContain('which does not follow record');
    renameSync(join(folder, 'elsewhere'), second);
    rmSync(first);
    expect((await retireTo(1)).join()).toMatch(/records 1 to 11 are not here, and were not retired by the gate/);
    expect(existsSync(second)).toBe(true);
  });

  test('removes nothing when its line cannot be signed or written', async () => {
    await inFiles(3);
    const failures = await retireTo(1, { sign: () => Promise.reject(new Error('no signer')) });
    expect(failures).toEqual(['retired: Error: no signer']);
    expect(names()).toHaveLength(3);
  });
});

describe('of a record from which the gate has retired files is told with its place:', () => {
  beforeEach(async () => {
    await inFiles(6);
    const done = Promise.withResolvers<void>();
    const upkeep = upkeepOf({ keepFiles: 3 }, { retired: () => done.resolve() });
    const log = await openAuditLog(path, { signing, upkeep, known: made.at(-1)?.record ?? null });
    await done.promise;
    await log.close();
  });

  test('nothing, as long as nobody has done anything to it', async () => {
    expect(names()).toHaveLength(4);
    expect((await verified()).retired?.rule).toBe('keepFiles 3');
    expect(await found()).toEqual([]);
  });

  /** Changes the line that says what was retired, and chains what follows anew. */
  function rewritten(change: (body: string) => string): void {
    const lines = readFileSync(path, 'latin1').trimEnd().split('\n');
    const begin = placeOf(lines[0] ?? '');
    let head = { seq: (begin?.seq ?? 1) - 1, hash: begin?.prev ?? START.hash };
    const bodies = lines.map((line) => line.replace(/,"seq":\d+,"prev":"[0-9a-f]{64}"\}$/, '}'));
    const changed = bodies
      .map((body) => (body.includes('"retired":{') ? change(body) : body))
      .filter((body) => body !== '');
    writeFileSync(
      path,
      // Checkpoints speak of the lines that were.
      changed
        .filter((body) => !body.includes('"checkpoint":{'))
        .map((body) => {
          const next = link(body, head);
          head = next.head;
          return next.line;
        })
        .join(''),
    );
  }

  test('a front that somebody else cut', async () => {
    const [first = '', second = ''] = await filesOf(path);
    const to = (await verified()).retired?.to.seq ?? 0;
    rmSync(first);
    const begins = placeOf(readFileSync(second, 'latin1').split('\n')[0] ?? '')?.seq ?? 0;
    expect(await found()).toEqual([
      `wrong ${basename(second)}: records ${to + 1} to ${begins - 1} are missing: the gate has retired what is before record ${to + 1}, and no more: the chain begins here with record ${begins}, and the files before it are not among those verified`,
    ]);
    // A checkpoint of later says nothing of what was before.
    expect((await found({ kept: kept().slice(-1) })).filter((one) => one.startsWith('wrong'))).toHaveLength(1);
  });

  test('and what of that stands in its way, to who removes files: once, and when there is something to remove', async () => {
    const [first = ''] = await filesOf(path);
    rmSync(first);
    const retiring = (keepFiles: number, unfinished: boolean) =>
      retirable(path, { rules: { ...NEVER, keepFiles }, now: 0, saved: 1000, judge: async () => judge, unfinished });
    await expect(retiring(4, true)).rejects.toThrow('were not retired by the gate');
    expect(await retiring(4, false)).toBe(null);
    await expect(retiring(1, false)).rejects.toThrow('were not retired by the gate');
  });

  test('a file missing in the middle, by its name', async () => {
    const [, second = '', third = ''] = await filesOf(path);
    rmSync(second);
    expect(await found()).toEqual([
      expect.stringMatching(
        new RegExp(
          `^wrong ${basename(third)}: records \\d+ to \\d+, and the file ${basename(second)} are missing before record \\d+$`,
        ),
      ),
    ]);
  });

  test('no word of the gate that it has retired anything', async () => {
    rewritten(() => '');
    expect(await found()).toEqual([
      expect.stringMatching(/^wrong audit-.*: records 1 to \d+ are missing: the chain begins here/),
    ]);
  });

  test('a retirement that is signed by another key, or that says something else than was signed', async () => {
    const { retired } = await verified();
    if (retired === null) throw new Error('nothing was retired');
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const foreign = await signRetirement(retired, other);
    rewritten(() => retirementJson(foreign, []));
    expect(await found()).toEqual([
      expect.stringMatching(/^wrong audit.jsonl: the retirement in record \d+ is not valid: its signature is wrong$/),
      expect.stringMatching(/^wrong audit-.*: records 1 to \d+ are missing/),
    ]);
    rewritten(() => retirementJson({ ...retired, to: { ...retired.to, seq: retired.to.seq + 1 } }, []));
    expect(await found()).toContainEqual(expect.stringMatching(/its signature is wrong$/));
  });

  test('a retirement of an earlier time in place of the newest', async () => {
    const { retired: older } = await verified();
    if (older === null) throw new Error('nothing was retired');
    const log = await openAuditLog(path, {
      signing,
      upkeep: upkeepOf({ keepFiles: 1 }),
      known: made.at(-1)?.record ?? null,
    });
    await vi.waitFor(() => expect(names()).toHaveLength(2));
    await log.close();
    expect(await found()).toEqual([]);
    const { retired: newer } = await verified();
    // The older one again after the newer, as rightly signed as it was.
    const honest = readFileSync(path, 'latin1');
    const end = await verified();
    writeFileSync(path, honest + link(retirementJson(older, []), end.head).line);
    expect(await found()).toEqual([
      expect.stringMatching(
        /^wrong audit.jsonl: the retirement in record \d+ is not valid: it ends with record \d+, and the one before it with \d+/,
      ),
    ]);
    writeFileSync(path, honest);
    rewritten((body) => (body.includes(`"to":${newer?.to.seq}`) ? retirementJson(older, []) : body));
    expect(await found()).toContainEqual(expect.stringMatching(/^wrong audit-.*: records \d+ to \d+ are missing/));
    // Into a record that does not have the line that it speaks of.
    const text = readFileSync(path, 'latin1').trimEnd().split('\n');
    const bodies = text.map((line) => line.replace(/,"seq":\d+,"prev":"[0-9a-f]{64}"\}$/, '}').replace('f5-2', 'f5-x'));
    let head = older.to;
    writeFileSync(
      path,
      bodies
        .map((body) => {
          const next = link(body, head);
          head = next.head;
          return next.line;
        })
        .join(''),
    );
    for (const name of names()) if (name !== 'audit.jsonl') rmSync(join(folder, name));
    expect(await found()).toContainEqual(
      expect.stringMatching(/is not valid: it speaks of a record \d+ that is not here/),
    );
  });

  test('named alone, the files that are left are verified for what they are', async () => {
    const [, second = ''] = await filesOf(path);
    const alone = await verifyAudit([second], { judge, partial: true });
    expect(alone.findings.map(({ harmless }) => harmless)).toEqual([true]);
  });
});

test('a file that stands under its old and its new name, as a copy, is told as repeated and never retired', async () => {
  await inFiles(3);
  const [first = ''] = await filesOf(path);
  copyFileSync(first, `${path}.copy`);
  expect(await found()).toContainEqual(expect.stringMatching(/^wrong .*: record 1 stands after record 11: repeated/));
  const failures: string[] = [];
  const upkeep = upkeepOf({ keepFiles: 1 }, { failed: (_what, error) => void failures.push(String(error)) });
  const log = await openAuditLog(path, { signing, upkeep, known: made.at(-1)?.record ?? null });
  await vi.waitFor(() => expect(failures).toHaveLength(1));
  await log.close();
  expect(names()).toHaveLength(3);
});

test('what a file is called when the record leaves it sorts by time and says its last number', () => {
  expect(rotatedName('/s/audit.jsonl', Date.UTC(2026, 10, 30, 9, 5, 7, 8), 42)).toBe(
    '/s/audit-20261130T090507Z-000000000042.jsonl',
  );
});

test('a file that somebody puts beside the record does not say where the record goes on when the gate rotates it', async () => {
  const upkeep = upkeepOf({ rotateSize: 4000 });
  const log = await openAuditLog(path, { signing, upkeep });
  await recordLines(log, 2);
  const evil = link('{"time":1}', { seq: 900_000_000_000_000, hash: 'a'.repeat(64) });
  writeFileSync(`${path}.evil`, evil.line);
  await recordLines(log, 10);
  await vi.waitFor(() => expect(names()).toHaveLength(2));
  await recordLines(log, 2);
  await log.close();
  rmSync(`${path}.evil`);
  expect(await found({ kept: kept() })).toEqual([]);
});
