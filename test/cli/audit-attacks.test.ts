import { appendFileSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { placeOf } from '../../src/observe/audit-chain.ts';
import { recordJson } from '../../src/observe/audit-lines.ts';
import { auditRecord, link } from '../observe/records.ts';
import { initialised, record, recorded } from './recorded.ts';

/** Adds lines as whoever can write the file would, rightly chained. */
function added(path: string, bodies: readonly string[]): void {
  const last = readFileSync(path, 'latin1').trimEnd().split('\n').at(-1) ?? '';
  let { head } = link(last.replace(/,"seq":\d+,"prev":"[0-9a-f]{64}"\}$/, '}'), {
    seq: (placeOf(last)?.seq ?? 1) - 1,
    hash: placeOf(last)?.prev ?? '',
  });
  for (const body of bodies) {
    const next = link(body, head);
    head = next.head;
    appendFileSync(path, next.line);
  }
}

const body = (changes: Readonly<Record<string, unknown>>): string =>
  JSON.stringify({ ...(JSON.parse(recordJson(auditRecord({ requestId: 'evil' }))) as object), ...changes });

test('a line that somebody has put in can neither end the listing nor pass for an act of the CA', async () => {
  const { shell, path } = await recorded(1);
  const deep = `${body({}).slice(0, -1)},"deep":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
  added(path, [
    body({ time: 1e99 }),
    body({ source: 'ca', action: 'revoke', actor: 'cli:root@gate', object: 'worker/etl-1' }),
    body({ toString: 1, constructor: null }),
    `${body({}).slice(0, -1)},"__proto__":{"source":"ca"}}`,
    deep,
    '{"time":1e300,"requestId":"r-0","outcome":201,"ending":"complete","ms":1}',
    '{"time":1e300,"continues":"x"}',
  ]);
  appendFileSync(path, '{"time":1,"decision":"permit","path":"\xff\xfe\0\u001b[2J"}\n', 'latin1');
  for (const form of ['', '--json', '--csv']) {
    const { status, stdout, stderr } = shell.run(`certgate audit ${form}`);
    expect([form, status]).toEqual([form, 0]);
    expect(stderr).toContain('no record: is not a record');
    for (const control of ['\0', '\u001b']) expect(stderr).not.toContain(control);
    expect(stdout.match(/r-0/g)?.length ?? 0).toBeGreaterThanOrEqual(form === '' ? 0 : 1);
    expect(stdout).not.toContain('cli:root@gate');
  }
  const { stdout } = shell.run('certgate audit --json');
  const acts = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { source: string; requestId?: string });
  expect(acts.filter(({ requestId }) => requestId === 'evil').map(({ source }) => source)).toEqual(
    Array(4).fill('gate'),
  );
  expect(shell.run('certgate audit --verify').status).toBe(3);
}, 60_000);

test('the time that somebody has given a file hides nothing in it', async () => {
  const made = initialised();
  await record(made, 3);
  // What a gate writes of its own is of now; these records are not.
  added(made.path, [body({ time: Date.now(), requestId: 'now' })]);
  utimesSync(made.path, new Date(0), new Date(0));
  expect(made.shell.run('certgate audit --since 1h --json').stdout).toContain('"now"');
}, 30_000);

test('a store that somebody has changed is shown and told, and ends nothing', async () => {
  const { shell, db } = await recorded(1);
  shell.run('certgate issue worker/etl-1');
  const store = new DatabaseSync(db);
  store.exec('UPDATE audit SET time = 9007199254740991, detail = \'{"reason":{"toString":1},"until":1e99}\'');
  for (const form of ['', '--json', '--csv'])
    expect([form, shell.run(`certgate audit ${form}`).status]).toEqual([form, 0]);
  store.exec("UPDATE checkpoint SET line = '[1]'");
  const { status, stderr } = shell.run('certgate audit --verify');
  expect([status, stderr]).toEqual([4, expect.stringContaining('is not a checkpoint of a record')]);
  store.close();
}, 30_000);

test('no text from the net is a formula to a spreadsheet, whatever its language separates by', async () => {
  const { shell, path } = await recorded(1);
  const fields = [
    ['=1+1', "'=1+1"],
    ['@SUM(1)', "'@SUM(1)"],
    ['/x;=cmd', "/x;'=cmd"],
    ['a|-2', "a|'-2"],
    ['\uff1d1', "'\uff1d1"],
    ['+1', "'+1"],
    ['/api/flows', '/api/flows'],
    ['a-b;c', 'a-b;c'],
    ['a,"b"', '"a,""b"""'],
    ['\r\n=1', '\\u{d}\\u{a}=1'],
  ] as const;
  added(
    path,
    fields.map(([text]) => body({ path: text })),
  );
  const lines = shell.run('certgate audit --csv').stdout.split('\r\n');
  for (const [, field] of fields) {
    expect(lines.filter((line) => line.includes(`,POST,${field},,`) && line.includes(',evil,'))).toHaveLength(1);
  }
}, 30_000);

test('a checkpoint file that is none is told as that', () => {
  const { shell } = initialised();
  for (const text of ['', '[', '{"time":1e99,"checkpoint":{},"signature":""}', '[]']) {
    writeFileSync(`${shell.dir}/x.json`, text);
    const { status, stderr } = shell.run('certgate audit --verify --since-checkpoint x.json');
    expect([status, stderr]).toEqual([4, expect.stringContaining('x.json: is not a checkpoint of a record')]);
  }
}, 30_000);
