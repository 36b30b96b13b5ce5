import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { isCertgateError } from '../../src/errors.ts';
import { type AuditLog, openAuditLog } from '../../src/observe/audit-log.ts';
import { ownFileSystem } from '../store/file-system.ts';
import { auditRecord, idsIn, jsonLines, newFolder, readAll } from './records.ts';

let folder: string;
let path: string;
/** What all file handles inherit from: where a test makes the disk fail. */
let handles: FileHandle;

beforeAll(async () => {
  const handle = await open('/dev/null');
  handles = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
});

beforeEach(() => {
  folder = newFolder();
  path = join(folder, 'audit.jsonl');
});

afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

function failure(code: string): Error {
  return Object.assign(new Error(`${code}: made by the test`), { code });
}

type Write = (bytes: Uint8Array, at: number, length?: number) => Promise<unknown>;

/** The second write from now on takes 40 bytes only, and what should follow it finds the disk full. */
function halveSecondWrite(): void {
  const write = Reflect.get(handles, 'write') as Write;
  let writes = 0;
  const halved = async function (this: FileHandle, bytes: Uint8Array, at: number): Promise<unknown> {
    writes++;
    if (writes === 3) throw failure('ENOSPC');
    return write.call(this, bytes, at, writes === 2 ? 40 : bytes.length - at);
  };
  vi.spyOn(handles, 'write').mockImplementation(halved as never);
}

/** How this process has `file` open, see open(2). */
function flagsOf(file: string): number {
  const fd = readdirSync('/proc/self/fd').find((each) => linkOf(each) === file);
  return Number.parseInt(/^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? '0', 8);
}

function linkOf(fd: string): string | null {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    // The one that lists them has gone.
    return null;
  }
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  return isCertgateError(error) ? `${error.code}: ${error.message}` : `no refusal: ${String(error)}`;
}

describe('a record', () => {
  test('is one JSON line with exactly the documented fields, in a file that only its owner can read', async () => {
    const log = await openAuditLog(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await log.append(auditRecord({ requestId: 'a', object: 'etl/prod', status: 201 }));
    expect(readFileSync(path, 'latin1')).toBe(
      '{"time":1790000000000,"requestId":"a","identity":"worker/etl-1","serial":"4f00aa","address":"192.0.2.7",' +
        '"method":"POST","path":"/api/flow_runs/","operation":"create_flow_run","object":"etl/prod",' +
        '"decision":"permit","code":null,"status":201,"reason":null,"role":null,"rule":null,' +
        `"seq":1,"prev":"${'0'.repeat(64)}"}\n`,
    );
    await log.close();
  });

  test('cannot forge another line or steer a terminal, whatever a peer called itself', async () => {
    const log = await openAuditLog(path);
    const nasty = 'x\r\n{"decision":"permit"}\u001b[2J\u009b1m\u2028\u2029\u202e\u0000\u007f"\\\ud800é😀';
    await log.append(auditRecord({ requestId: 'a', path: nasty, reason: nasty, identity: nasty, method: nasty }));
    const bytes = readFileSync(path, 'latin1');
    expect(bytes).toMatch(/^[\x20-\x7e]+\n$/);
    expect(JSON.parse(bytes)).toMatchObject({ path: nasty, reason: nasty, identity: nasty, method: nasty });
    await log.close();
  });

  test('is cut where a text is longer than any honest one', async () => {
    const log = await openAuditLog(path);
    await log.append(auditRecord({ path: `/${'a'.repeat(30_000)}` }));
    expect(statSync(path).size).toBeLessThan(2000);
    expect(readFileSync(path, 'latin1')).toContain('aaa... (30001 characters)');
    await log.close();
  });

  test('is acknowledged only when its write has returned, which is when it is on the disk', async () => {
    const log = await openAuditLog(path);
    expect(flagsOf(path) & constants.O_DSYNC).toBe(constants.O_DSYNC);
    const written = Promise.withResolvers<void>();
    const whole = Reflect.get(handles, 'write') as Write;
    const write = vi.spyOn(handles, 'write').mockImplementationOnce(async function (
      this: FileHandle,
      bytes: Uint8Array,
    ) {
      await written.promise;
      return whole.call(this, bytes, 0);
    } as never);
    let acknowledged = false;
    const appended = log.append(auditRecord()).then(() => {
      acknowledged = true;
    });
    await vi.waitFor(() => expect(write).toHaveBeenCalledTimes(1));
    await new Promise(setImmediate);
    expect(acknowledged).toBe(false);
    written.resolve();
    await appended;
    await log.close();
  });
});

/** Between two commits that nobody waits for, ms. */
const INTERVAL = 10;

describe('many records', () => {
  test('that come while the disk is busy share one write, in their order', async () => {
    const log = await openAuditLog(path);
    const write = vi.spyOn(handles, 'write');
    const ids = Array.from({ length: 1000 }, (_, i) => `r-${i}`);
    await Promise.all(ids.map((requestId) => log.append(auditRecord({ requestId }))));
    expect(write).toHaveBeenCalledTimes(1);
    expect(await idsIn(path)).toEqual(ids);
    await log.close();
  });

  test('that come one after another share a write for each ten milliseconds, however fast the disk is', async () => {
    const log = await openAuditLog(path);
    const write = vi.spyOn(handles, 'write');
    const began = performance.now();
    const appended: Promise<void>[] = [];
    for (let i = 0; i < 2000; i++) {
      appended.push(log.append(auditRecord({ requestId: `r-${i}` })));
      await new Promise(setImmediate);
    }
    await Promise.all(appended);
    // A timer may be a little early; turns of the event loop are many times as frequent.
    expect(write.mock.calls.length).toBeLessThanOrEqual((performance.now() - began) / 8 + 2);
    expect(await idsIn(path)).toHaveLength(2000);
    await log.close();
  });

  test('are written sooner when somebody waits for one of them and for nothing else', async () => {
    const log = await openAuditLog(path);
    const now = vi.spyOn(performance, 'now').mockReturnValue(1000);
    const first = log.append(auditRecord({ requestId: 'a' }));
    await first;
    await new Promise(setImmediate);
    const wait = vi.spyOn(globalThis, 'setTimeout');
    const waits = (): unknown[] => wait.mock.calls.map(([, ms]) => ms);
    const second = log.append(auditRecord({ requestId: 'b' }));
    expect(waits()).toEqual([INTERVAL]);
    // For what is written already.
    log.hurry(first);
    expect(waits()).toEqual([INTERVAL]);
    log.hurry(second);
    log.hurry(second);
    expect(waits()).toEqual([INTERVAL, 2]);
    await second;
    await new Promise(setImmediate);
    wait.mockClear();
    const third = log.append(auditRecord({ requestId: 'c' }));
    now.mockReturnValue(1001.5);
    log.hurry(third);
    expect(waits()).toEqual([INTERVAL]);
    await third;
    expect(await idsIn(path)).toEqual(['a', 'b', 'c']);
    await log.close();
  });

  test('are refused beyond the bound, and the record says how many are missing', async () => {
    const log = await openAuditLog(path, { maxWaiting: 10 });
    const results = Array.from({ length: 15 }, (_, i) => log.append(auditRecord({ requestId: `r-${i}` })));
    expect(await refusal(results[10] ?? Promise.resolve())).toMatch(/^CG_AUDIT_UNWRITABLE: .*10 records are waiting/);
    expect((await Promise.allSettled(results)).filter((result) => result.status === 'fulfilled')).toHaveLength(10);
    expect(log.healthy()).toBe(true);
    await log.append(auditRecord({ requestId: 'later' }));
    const items = jsonLines(path) as { requestId: string; reason: string | null }[];
    expect(items.filter((item) => item.requestId === 'gap').map((item) => item.reason)).toEqual([
      expect.stringMatching(/could not be written from .*; entries missing: 5/),
    ]);
    await log.close();
  });

  test('that wait when it is closed are written first, and later ones refused', async () => {
    const log = await openAuditLog(path);
    const results = Array.from({ length: 100 }, (_, i) => log.append(auditRecord({ requestId: `r-${i}` })));
    await log.close();
    await Promise.all(results);
    expect(await idsIn(path)).toHaveLength(100);
    expect(await refusal(log.append(auditRecord()))).toMatch(/^CG_AUDIT_UNWRITABLE: .*closed/);
  });
});

test('of two who write one record neither waits for the other’s turn to end', async () => {
  // Nobody’s time passes but that between two attempts.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  try {
    const [one, other] = [await openAuditLog(path), await openAuditLog(path)];
    for (const log of [one, other]) await log.append(auditRecord());
    await one.close();
    const third = await openAuditLog(path);
    await third.append(auditRecord());
    expect(await idsIn(path)).toHaveLength(3);
    for (const log of [other, third]) await log.close();
  } finally {
    vi.useRealTimers();
  }
});

describe('a failing disk', () => {
  async function failOnce(log: AuditLog): Promise<void> {
    await log.append(auditRecord({ requestId: 'before' }));
    const refused = refusal(log.append(auditRecord({ requestId: 'refused' })));
    expect(await refused).toMatch(/^CG_AUDIT_UNWRITABLE: .*ENOSPC/);
    expect(log.healthy()).toBe(false);
  }

  async function allIsWell(log: AuditLog): Promise<void> {
    await log.append(auditRecord({ requestId: 'after' }));
    expect(log.healthy()).toBe(true);
    await log.close();
  }

  test('that refuses the write makes it unhealthy until a write succeeds, and leaves a note of what is missing', async () => {
    const log = await openAuditLog(path);
    await log.append(auditRecord({ requestId: 'before' }));
    vi.spyOn(handles, 'write').mockRejectedValueOnce(failure('ENOSPC'));
    expect(await refusal(log.append(auditRecord()))).toMatch(/^CG_AUDIT_UNWRITABLE: .*ENOSPC/);
    expect(log.healthy()).toBe(false);
    await allIsWell(log);
    const items = jsonLines(path) as { requestId: string; code: string | null; reason: string | null }[];
    expect(items.map((item) => item.requestId)).toEqual(['before', 'gap', 'after']);
    expect(items[1]?.code).toBe('CG_AUDIT_UNWRITABLE');
    expect(items[1]?.reason).toMatch(/^the record could not be written from 20.*Z on; entries missing: 1$/);
  });

  test('that takes half a line has that half taken back', async () => {
    const log = await openAuditLog(path);
    halveSecondWrite();
    await failOnce(log);
    expect(await idsIn(path)).toEqual(['before']);
    await allIsWell(log);
    expect(await readAll(path)).toHaveLength(3);
    expect(await idsIn(path)).toEqual(['before', 'gap', 'after']);
  });

  test('that is in the file but not on the disk leaves no record of what was refused', async () => {
    const log = await openAuditLog(path);
    await log.append(auditRecord({ requestId: 'before' }));
    const whole = Reflect.get(handles, 'write') as Write;
    vi.spyOn(handles, 'write').mockImplementationOnce(async function (this: FileHandle, bytes: Uint8Array) {
      await whole.call(this, bytes, 0);
      throw failure('EIO');
    } as never);
    expect(await refusal(log.append(auditRecord({ requestId: 'refused' })))).toMatch(/EIO/);
    await allIsWell(log);
    expect(await idsIn(path)).toEqual(['before', 'gap', 'after']);
  });

  test('that will not give the half line back has it ended, so that the next record stands alone', async () => {
    const log = await openAuditLog(path);
    vi.spyOn(handles, 'truncate').mockRejectedValue(failure('EPERM'));
    halveSecondWrite();
    await failOnce(log);
    await allIsWell(log);
    const items = await readAll(path);
    expect(
      items.map((item) =>
        item.kind === 'record' ? item.record.requestId : item.kind === 'broken' ? item.problem : item.kind,
      ),
    ).toEqual(['before', 'is not a record', 'gap', 'after']);
  });

  test('is tried again without any append, once a second', async () => {
    const log = await openAuditLog(path);
    vi.spyOn(handles, 'write').mockRejectedValueOnce(failure('ENOSPC')).mockRejectedValueOnce(failure('ENOSPC'));
    expect(await refusal(log.append(auditRecord()))).toMatch(/ENOSPC/);
    await vi.waitFor(() => expect(log.healthy()).toBe(true), { timeout: 30_000 });
    expect(await idsIn(path)).toEqual(['gap']);
    await log.close();
  });
});

describe('the file', () => {
  test('is refused when it is none, or its folder is missing, and waiting for it never blocks', async () => {
    expect(await refusal(openAuditLog(join(folder, 'missing', 'audit.jsonl')))).toMatch(
      /^CG_AUDIT_UNWRITABLE: .*no such file or folder/,
    );
    mkdirSync(join(folder, 'folder'));
    expect(await refusal(openAuditLog(join(folder, 'folder')))).toMatch(/^CG_AUDIT_UNWRITABLE: .*it is a folder/);
    expect(await refusal(openAuditLog('/dev/null'))).toMatch(/^CG_AUDIT_UNWRITABLE: .*not a regular file/);
    spawnSync('mkfifo', [join(folder, 'fifo')]);
    expect(await refusal(openAuditLog(join(folder, 'fifo')))).toMatch(/^CG_AUDIT_UNWRITABLE: .*not a regular file/);
  });

  test('is added to, and a line that a crash cut short is ended first', async () => {
    const first = await openAuditLog(path);
    await first.append(auditRecord({ requestId: 'a' }));
    await first.close();
    appendFileSync(path, '{"time":17900');
    const second = await openAuditLog(path);
    await second.append(auditRecord({ requestId: 'b' }));
    await second.close();
    const items = await readAll(path);
    expect(
      items.map((item) =>
        item.kind === 'record' ? item.record.requestId : item.kind === 'broken' ? item.problem : item.kind,
      ),
    ).toEqual(['a', 'is not a record', 'b']);
  });

  test('that was renamed underneath is made anew, and no acknowledged record is in neither', async () => {
    const log = await openAuditLog(path);
    const acknowledged: string[] = [];
    for (let i = 0; i < 30; i++) {
      if (i % 10 === 5) renameSync(path, `${path}.${i}`);
      await log.append(auditRecord({ requestId: `r-${i}` }));
      acknowledged.push(`r-${i}`);
    }
    await log.close();
    const files = [`${path}.5`, `${path}.15`, `${path}.25`, path];
    expect((await Promise.all(files.map(idsIn))).flat()).toEqual(acknowledged);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('that was renamed has no more written to it, since it may be compressed by then', async () => {
    const log = await openAuditLog(path);
    await log.append(auditRecord({ requestId: 'a' }));
    renameSync(path, `${path}.1`);
    await log.append(auditRecord({ requestId: 'b' }));
    await log.close();
    expect([await idsIn(`${path}.1`), await idsIn(path)]).toEqual([['a'], ['b']]);
  });

  test('that was deleted underneath is made anew, with the record that was being written', async () => {
    const log = await openAuditLog(path);
    await log.append(auditRecord({ requestId: 'a' }));
    rmSync(path);
    await log.append(auditRecord({ requestId: 'b' }));
    await log.append(auditRecord({ requestId: 'c' }));
    expect(await idsIn(path)).toEqual(['b', 'c']);
    await log.close();
  });

  test('whose folder is gone makes it unhealthy, and it recovers when the folder is back', async () => {
    const inner = join(folder, 'inner');
    mkdirSync(inner);
    const log = await openAuditLog(join(inner, 'audit.jsonl'));
    await log.append(auditRecord({ requestId: 'a' }));
    rmSync(inner, { recursive: true });
    expect(await refusal(log.append(auditRecord({ requestId: 'b' })))).toMatch(
      /^CG_AUDIT_UNWRITABLE: .*no such file or folder/,
    );
    expect(log.healthy()).toBe(false);
    mkdirSync(inner);
    await log.append(auditRecord({ requestId: 'c' }));
    expect(await idsIn(join(inner, 'audit.jsonl'))).toEqual(['gap', 'c']);
    await log.close();
  });
});

test('after kill -9 at any moment, every acknowledged record is on disk and every line but a last torn one is whole', async () => {
  const acknowledged: string[] = [];
  for (const [round, enough] of [1, 10, 100, 1000, 3000].entries()) {
    const script = new URL('audit-writer.ts', import.meta.url).pathname;
    const child = spawn(process.execPath, [script, path, `k${round}`], { stdio: ['ignore', 'pipe', 'inherit'] });
    let seen = 0;
    for await (const id of createInterface({ input: child.stdout })) {
      acknowledged.push(id);
      if (++seen === enough) child.kill('SIGKILL');
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    expect(seen).toBeGreaterThanOrEqual(enough);
  }
  const found = new Set(await idsIn(path));
  expect(acknowledged.filter((id) => !found.has(id))).toEqual([]);
  const broken = (await readAll(path)).filter((item) => item.kind === 'broken');
  expect(broken.length).toBeLessThanOrEqual(5);
});

test('a disk that is really full loses nothing acknowledged, tears nothing, and is written again by itself when there is room', async (context) => {
  const mounted = ownFileSystem(context, '256k');
  const file = join(mounted, 'audit.jsonl');
  const filler = join(mounted, 'filler');
  writeFileSync(filler, Buffer.alloc(128 * 1024));
  const log = await openAuditLog(file);
  const acknowledged: string[] = [];
  let refused = 0;
  for (let i = 0; refused < 300; i++) {
    await log.append(auditRecord({ requestId: `f-${i}` })).then(
      () => acknowledged.push(`f-${i}`),
      () => refused++,
    );
  }
  expect(acknowledged.length).toBeGreaterThan(300);
  expect(log.healthy()).toBe(false);
  expect(await idsIn(file)).toEqual(acknowledged);
  rmSync(filler);
  await vi.waitFor(() => expect(log.healthy()).toBe(true), { timeout: 30_000 });
  await log.append(auditRecord({ requestId: 'after' }));
  await log.close();
  expect((await readAll(file)).every((item) => item.kind === 'record')).toBe(true);
  expect(await idsIn(file)).toEqual([...acknowledged, 'gap', 'after']);
  expect(readFileSync(file, 'latin1')).toContain('; entries missing: 300');
});
