import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type AccessLine,
  accessClient,
  accessLogOf,
  accessSubject,
  flushLog,
  type Log,
  type LogLevel,
  openLog,
} from '../../src/observe/log.ts';
import { jsonLines, newFolder } from './records.ts';

const WRITER = new URL('log-writer.ts', import.meta.url).pathname;

/** A log that writes into an array of lines. */
function collected(level: LogLevel = 'info'): { log: Log; lines: string[]; last: () => Record<string, unknown> } {
  const lines: string[] = [];
  const log = openLog({ level, destination: { write: (line) => lines.push(line) } });
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? '') as Record<string, unknown> };
}

const SUBJECT = {
  identity: 'worker/etl-1',
  serial: '4f00aa',
  address: '192.0.2.7',
  method: 'POST',
  path: '/api/flow_runs/',
  operation: 'create_flow_run',
} as const;
const ACCESS: AccessLine = {
  subject: accessSubject(
    accessClient(SUBJECT.identity, SUBJECT.serial, SUBJECT.address),
    SUBJECT.method,
    SUBJECT.path,
    SUBJECT.operation,
  ),
  requestId: 'r-1',
  decision: 'permit',
  code: null,
  status: 201,
  ms: 12,
  bytesIn: 340,
  bytesOut: 1200,
};

/** Resolves when the writer has said so; rejects when it ended before. */
async function done(words: Readable): Promise<void> {
  for await (const word of words) if (String(word) === 'done\n') return;
  throw new Error('the writer ended without a word');
}

describe('a line', () => {
  test('is JSON with level, time and msg, and for a request exactly the documented fields', () => {
    const { log, lines, last } = collected();
    accessLogOf(log)?.(ACCESS);
    expect(lines[0]?.endsWith('}\n')).toBe(true);
    const { time, ...rest } = last();
    const { subject: _, ...line } = ACCESS;
    expect(rest).toEqual({ level: 'info', ...SUBJECT, ...line, msg: 'request' });
    expect(new Date(String(time)).toISOString()).toBe(time);
  });

  test('has the fields as JSON has them, and needs none', () => {
    const { log, lines, last } = collected('debug');
    const when = new Date(0);
    log.debug({ left: undefined, none: null, when, count: 3n, list: [1, 'b'], inside: { a: true } }, 'all');
    const { level, time: _, ...rest } = last();
    const written = { none: null, when: when.toISOString(), count: '3', list: [1, 'b'], inside: { a: true } };
    expect({ level, ...rest }).toEqual({ level: 'debug', ...written, msg: 'all' });
    log.error('alone');
    log.error({}, 'no fields');
    expect(lines.slice(1).map((line) => line.replace(/"time":"[^"]*"/, '"time":""'))).toEqual([
      '{"level":"error","time":"","msg":"alone"}\n',
      '{"level":"error","time":"","msg":"no fields"}\n',
    ]);
  });

  test('is not written below the level', () => {
    const { log, lines } = collected('warn');
    accessLogOf(log)?.(ACCESS);
    log.info('listening');
    log.warn('look');
    expect(lines).toHaveLength(1);
  });

  test('is one line of printable ASCII whatever a peer sent, and reads back as it was', () => {
    const { log, lines, last } = collected();
    const nasty = 'x\r\n{"level":"error"}\u001b[2J\u009b\u2028\u202e\u0000"\\é😀';
    log.warn({ path: nasty, nested: { [nasty]: [nasty] } }, `refused ${nasty}`);
    expect(lines[0]).toMatch(/^[\x20-\x7e]+\n$/);
    expect(last()).toMatchObject({ path: nasty, nested: { [nasty]: [nasty] }, msg: `refused ${nasty}` });
  });
});

describe('a secret', () => {
  test.each([
    'authorization',
    'Authorization',
    'proxy-authorization',
    'cookie',
    'set-cookie',
    'Prefect-Csrf-Token',
    'token',
    'password',
    'passphrase',
    'clientSecret',
    'privateKey',
    'private_key',
    'authString',
    'apiKey',
    'key',
  ])('under the name %s is replaced, also in headers and lists', (name) => {
    const { log, lines } = collected();
    log.info({ [name]: 'hunter2' }, 'top');
    log.info({ request: { headers: { [name]: 'hunter2' } }, list: [{ [name]: ['hunter2'] }] }, 'nested');
    expect(lines.join('')).not.toContain('hunter2');
    expect(lines.join('').match(/\[redacted\]/g)).toHaveLength(3);
  });

  test('inside of a text is replaced: an Authorization value, a private key', () => {
    const { log, lines } = collected();
    log.info(`sent Authorization: Basic ${btoa('admin:hunter2')} to prefect`);
    log.error({ stack: new Error('refused Bearer pnu_Abc123def').stack }, 'fault');
    log.info({ reason: 'bad -----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----' }, 'key');
    const text = lines.join('');
    expect(text).not.toMatch(/YWRtaW46|pnu_Abc|MC4CAQAw/);
    expect(text.match(/\[redacted\]/g)?.length).toBeGreaterThanOrEqual(3);
    for (const line of lines) expect(JSON.parse(line)).toBeTruthy();
  });

  test('inside of a text is replaced also where that is escaped, and the line stays one of JSON', () => {
    const { log, lines } = collected();
    log.info('sent Authorization: Bearer\tpnu_Abc123def');
    log.info({ reason: `-----BEGIN PRIVATE KEY-----"hunter2\\"hunter2` }, 'key');
    log.info({ reason: JSON.stringify({ key: '-----BEGIN EC PRIVATE KEY-----\nhunter2\n-----END' }) }, 'in JSON');
    expect(lines.join('')).not.toMatch(/pnu_Abc|hunter2/);
    for (const line of lines) expect(JSON.parse(line)).toBeTruthy();
  });

  test('is all that is replaced', () => {
    const { log, last } = collected();
    const fields = {
      keyId: 'ab12',
      tokenId: 'e51a431979fce488',
      publicKey: 'P-256',
      keyboard: 1,
      none: null,
      reason: 'basic constraints, bearer of news',
    };
    log.info(fields, 'basic checks');
    expect(last()).toMatchObject({ ...fields, msg: 'basic checks' });
  });

  test('is not reached through objects without end', () => {
    const { log, lines } = collected();
    const round: Record<string, unknown> = { password: 'hunter2' };
    round['self'] = round;
    log.info({ round }, 'round');
    log.info({ bytes: Buffer.from('hunter2') }, 'bytes');
    expect(lines.join('')).not.toContain('hunter2');
    expect(lines).toHaveLength(2);
  });
});

describe('what can not be written', () => {
  test('costs the fields, not the line nor who says it, and nothing of them is told', () => {
    const { log, lines, last } = collected();
    const odd: ReadonlyArray<Readonly<Record<string, unknown>>> = [
      {
        get a(): string {
          throw new Error('hunter2');
        },
      },
      { a: { toJSON: () => JSON.parse('hunter2') as unknown } },
      {
        a: new Proxy(
          {},
          {
            ownKeys() {
              throw new Error('hunter2');
            },
          },
        ),
      },
    ];
    for (const fields of odd) {
      log.error(fields, 'fault');
      expect(last()).toMatchObject({ level: 'error', fields: '[unreadable]', msg: 'fault' });
    }
    expect(lines).toHaveLength(odd.length);
    expect(lines.join('')).not.toContain('hunter2');
  });

  test('as it is, is written as it can be, without secrets', () => {
    const { log, lines, last } = collected();
    const round = Object.assign(new Error('round'), { password: 'hunter2', count: 3n });
    Object.assign(round, { self: round });
    const says = { toJSON: () => ({ token: 'hunter2', count: 3n }) };
    log.error({ round, says, list: [says], when: new Date(Number.NaN), map: new Map([['token', 'hunter2']]) }, 'odd');
    const said = { token: '[redacted]', count: '3' };
    expect(last()).toMatchObject({
      round: { password: '[redacted]', count: '3', self: { self: { self: '[too deep]' } } },
      says: said,
      list: [said],
      when: null,
      map: {},
    });
    expect(lines.join('')).not.toContain('hunter2');
  });

  test('whatever fields say, there is one line of JSON with level, time and msg', () => {
    const { log, lines, last } = collected();
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc
        .array(
          fc.constantFrom('-----BEGIN PRIVATE KEY-----', '-----END', '"', '\\', '\n', 'Bearer ', 'aB1', '\ud800', 'é'),
        )
        .map((parts) => parts.join('')),
    );
    const fields = fc.dictionary(
      text,
      fc.oneof(text, fc.bigInt(), fc.date(), fc.constant(undefined), fc.jsonValue({ maxDepth: 3 })),
    );
    fc.assert(
      fc.property(fields, text, (some, message) => {
        lines.length = 0;
        log.warn({ ...some, reason: message }, message);
        expect(lines).toHaveLength(1);
        expect(lines[0]).toMatch(/^[\x20-\x7e]+\n$/);
        const { level, msg } = last();
        if (!('level' in some)) expect(level).toBe('warn');
        if (!/BEGIN|Bearer|Basic/i.test(message)) expect(msg).toBe(message);
      }),
      { numRuns: 300 },
    );
  });
});

describe('the destination', () => {
  let folder: string;

  beforeEach(() => {
    folder = newFolder();
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test('may be a file, 0600, which holds every line in order once flushed', async () => {
    const path = join(folder, 'certgate.log');
    const log = openLog({ level: 'info', destination: path });
    for (let i = 0; i < 1000; i++) {
      accessLogOf(log)?.({ ...ACCESS, ms: i });
      if (i % 100 === 50) log.info({ ms: i }, 'between');
    }
    await flushLog(log);
    const numbers = (jsonLines(path) as { ms: number; msg: string }[]).map((line) => `${line.msg} ${line.ms}`);
    const expected = Array.from({ length: 1000 }, (_, i) =>
      i % 100 === 50 ? [`request ${i}`, `between ${i}`] : [`request ${i}`],
    );
    expect(numbers).toEqual(expected.flat());
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('gets what is not an access line without waiting for company', async () => {
    const path = join(folder, 'certgate.log');
    const log = openLog({ level: 'info', destination: path });
    log.info('listening');
    await expect.poll(() => readFileSync(path, 'utf8'), { timeout: 10_000 }).toContain('"msg":"listening"');
  });

  test('has every line when the process exits at once', () => {
    const { stderr, stdout } = spawnSync(process.execPath, [WRITER, '500', '100'], { encoding: 'utf8' });
    expect(stdout).toBe('done\n');
    expect(
      stderr
        .trimEnd()
        .split('\n')
        // At the very exit a chunk may overtake the one being written.
        .map((line) => Number((JSON.parse(line) as { path: string }).path.split('/')[1]))
        .toSorted((a, b) => a - b),
    ).toEqual(Array.from({ length: 500 }, (_, i) => i));
  });

  test('that nobody reads costs lines, not requests, and the log says so once it is read again', async () => {
    const child = spawn(process.execPath, [WRITER, '100000', '200', 'stay'], { stdio: ['pipe', 'pipe', 'pipe'] });
    await done(child.stdout);
    let dropped = false;
    for await (const line of createInterface({ input: child.stderr })) {
      expect(JSON.parse(line)).toBeTruthy();
      if (!line.includes('"msg":"log lines were dropped')) continue;
      dropped = true;
      child.stdin.end();
    }
    expect(dropped).toBe(true);
  });

  test('that is closed ends nothing but the log', async () => {
    const child = spawn(process.execPath, [WRITER, '10', '100', 'stay'], { stdio: ['pipe', 'pipe', 'pipe'] });
    child.stderr.destroy();
    await done(child.stdout);
    child.stdin.end();
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});

describe('of several processes that write to one pipe', () => {
  test('no line is mixed with another, and one that is too long for that is cut, with what it is about', async () => {
    const writer = (size: number) => `"${process.execPath}" "${WRITER}" 1000 ${size} several`;
    const child = spawn('sh', ['-c', `${writer(700)} & ${writer(3000)} & ${writer(5000)} & wait`], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const seen = { whole: 0, cut: 0, mixed: [] as string[] };
    for await (const line of createInterface({ input: child.stderr })) {
      try {
        const { msg, path, cut, characters } = JSON.parse(line) as Record<string, unknown>;
        if (msg === 'request' && typeof path === 'string') seen.whole++;
        else if (msg === 'request' && typeof cut === 'string' && Number(characters) > 5000) seen.cut++;
        else seen.mixed.push(line);
      } catch {
        seen.mixed.push(line);
      }
    }
    expect({ ...seen, mixed: seen.mixed.slice(0, 1) }).toEqual({ whole: 2000, cut: 1000, mixed: [] });
  });
});
