import { appendFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { storeFile } from '../../src/authority/layout.ts';
import { openAuditLog } from '../../src/observe/audit-log.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { newAudit } from '../store/fixture.ts';
import { openShell } from './golden.ts';

const record = {
  requestId: 'r1',
  identity: 'worker/etl-1',
  serial: '5f',
  address: '192.0.2.7',
  method: 'POST',
  path: '/api/flow_runs/',
  operation: 'create_flow_run',
  object: null,
  decision: 'permit',
  code: null,
  status: 201,
  reason: null,
} as const;

async function shellWithRecords() {
  const shell = openShell();
  shell.run('certgate init && certgate issue worker/etl-1');
  const path = join(shell.dir, 'state', 'audit.jsonl');
  const log = await openAuditLog(path);
  const now = Date.now();
  await log.append({ ...record, time: now - 7_200_000 });
  const refusal = {
    decision: 'refuse',
    status: 403,
    code: 'CG_IDENTITY_NONE',
    reason: 'bad\u001b[2J',
    identity: null,
  } as const;
  await log.append({ ...record, ...refusal, time: now - 3_600_000 });
  await log.append({ ...record, time: now + 60_000, path: '/api/\u202elogs/' });
  await log.close();
  return { shell, path };
}

test("audit shows the gate's record and the CA's in one, by time", async () => {
  const { shell } = await shellWithRecords();
  const { stdout, stderr, status } = shell.run('certgate audit');
  expect(status).toBe(0);
  expect(stderr).toBe('');
  const lines = stdout.trim().split('\n').slice(1);
  expect(lines.map((line) => line.replace(/ {2,}/g, '  ').split('  ').slice(1, 4).join(' | '))).toEqual([
    'worker/etl-1 | permit | POST /api/flow_runs/ (create_flow_run)',
    '192.0.2.7 | refuse | POST /api/flow_runs/ (create_flow_run)',
    expect.stringMatching(/^cli:.+ \| - \| ca\.init certgate\.internal$/),
    expect.stringMatching(/^cli:.+ \| - \| certificate\.issue worker\/etl-1$/),
    'worker/etl-1 | permit | POST /api/\\u{202e}logs/ (create_flow_run)',
  ]);
  expect(stdout).toContain('403 bad\\u{1b}[2J [CG_IDENTITY_NONE]');
});

test('audit says of a misuse, of a key in two places, and of a refused renewal by what, from where, and what was wrong', async () => {
  const { shell } = await shellWithRecords();
  const store = openSqliteStore(storeFile(join(shell.dir, 'state')));
  const [token, address, problem] = ['0123456789abcdef', '192.0.2.9', 'somebody else\u001b[2J'];
  const flag = { identity: 'worker/etl-1', reason: problem, flaggedAt: Date.now() };
  const misuse = newAudit({ action: 'token.misuse', detail: { token, address, problem } });
  await store.flag(flag, null, { ...misuse, time: Date.now() });
  const detail = { problem: 'its key is in two places', locked: true };
  await store.addAudit(newAudit({ time: Date.now(), action: 'certificate.reuse', detail }));
  const byIssuer = { issuer: 'ci', iss: 'https://ci.test', sub: 'repo:a', jti: null, address, problem: 'used' };
  await store.addAudit(newAudit({ time: Date.now(), action: 'token.refuse', detail: byIssuer }));
  await store.close();
  const { stdout } = shell.run('certgate audit --identity worker/etl-1');
  expect(stdout).toMatch(
    /token\.misuse worker\/etl-1 +token 0123456789abcdef, problem somebody else\\u\{1b\}\[2J, address 192\.0\.2\.9\n/,
  );
  expect(stdout).toMatch(/certificate\.reuse worker\/etl-1 +problem its key is in two places\n/);
  expect(stdout).toMatch(
    /token\.refuse worker\/etl-1 +iss https:\/\/ci\.test, sub repo:a, problem used, address 192\.0\.2\.9\n/,
  );
});

test('audit filters by identity, time and decision', async () => {
  const { shell } = await shellWithRecords();
  const count = (flags: string) =>
    shell.run(`certgate audit --json ${flags}`).stdout.trim().split('\n').filter(Boolean).length;
  expect(count('')).toBe(5);
  expect(count('--identity worker/etl-1')).toBe(3);
  expect(count('--since 90m')).toBe(4);
  expect(count('--decision refuse')).toBe(1);
  expect(count('--decision permit --since 90m')).toBe(1);
  expect(count('--identity user/nobody')).toBe(0);
});

test('audit shows the newest, and says how many it left out', async () => {
  const { shell } = await shellWithRecords();
  const { stdout, stderr } = shell.run('certgate audit --limit 1 --json');
  expect(JSON.parse(stdout)).toMatchObject({ source: 'gate', path: '/api/\u202elogs/' });
  expect(stderr).toBe('4 older ones are not shown: --limit shows more\n');
});

test('audit reports a damaged line and goes on', async () => {
  const { shell, path } = await shellWithRecords();
  appendFileSync(path, '{"time":17\n');
  const { stdout, stderr, status } = shell.run('certgate audit --decision permit --json');
  expect(stdout.trim().split('\n')).toHaveLength(2);
  expect(stderr).toContain('audit.jsonl:4: no record');
  expect(status).toBe(0);
});

test('audit needs no gate to have run', () => {
  const shell = openShell();
  shell.run('certgate init');
  expect(shell.run('certgate audit').stdout).toContain('ca.init');
});

test('audit shows what is in the files that the record was in before', async () => {
  const { shell, path } = await shellWithRecords();
  renameSync(path, `${path}.1`);
  const log = await openAuditLog(path);
  await log.append({ ...record, time: Date.now() + 120_000, requestId: 'newest' });
  await log.close();
  const { stdout } = shell.run('certgate audit --json --decision permit');
  const ids = stdout
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { requestId: string }).requestId);
  expect(ids).toEqual(['r1', 'r1', 'newest']);
});
