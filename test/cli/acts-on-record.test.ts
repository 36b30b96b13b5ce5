// Each act of an operator leaves one entry in the CA's record, with who did it, what it was done to and which certificate.
// What enrols and renews at the gate is in test/enroll.
import { spawnSync } from 'node:child_process';
import { cpSync, writeFileSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import type { StoredAuditEntry } from '../../src/store/audit-entry.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { CA_EXTENSIONS, newCompany } from '../authority/company.ts';
import { newFolder } from '../store/fixture.ts';
import { type Ran, runIn } from './run-in.ts';

const WHO = `cli:${userInfo().username}@${hostname().toLowerCase()}`;
let dir: string;

const ran = (line: string, env?: NodeJS.ProcessEnv): Promise<Ran> => runIn(dir, line.split(' '), env);

async function record(): Promise<readonly StoredAuditEntry[]> {
  const store = openSqliteStore(join(dir, 'state', 'certgate.db'), { readOnly: true });
  try {
    return await store.listAudit({ limit: 1000 });
  } finally {
    await store.close();
  }
}

/** What `line` left on record. */
async function left(line: string, env: NodeJS.ProcessEnv = {}): Promise<readonly StoredAuditEntry[]> {
  const before = await record();
  const { code, all } = await ran(line, env);
  expect(code, all).toBe(0);
  return (await record()).slice(before.length);
}

beforeEach(async () => {
  dir = newFolder();
  await ran('init --dir .');
});

const DOMAIN = 'certgate.internal';
const SERIAL: unknown = expect.stringMatching(/^[0-9a-f]{20,}$/);
const ANY: unknown = expect.anything();

/** And from where: the process and its terminal. */
const from = (detail: object): Record<string, unknown> => ({
  ...{ ...detail, pid: process.pid, tty: expect.stringMatching(/^(none|unknown|\/dev\/.+)$/) as unknown },
});

test('making a CA is on record', async () => {
  expect(await record()).toEqual([
    expect.objectContaining({
      ...{ actor: WHO, action: 'ca.init', object: DOMAIN },
      detail: expect.objectContaining(from({})) as unknown,
    }),
  ]);
});

/** Commands in order, and what the last leaves. */
const acts: ReadonlyArray<readonly [lines: readonly string[], action: string, object: string, detail: object]> = [
  [['issue worker/a'], 'certificate.issue', 'worker/a', { serial: SERIAL, fingerprint: ANY }],
  [
    ['issue worker/a', 'revoke worker/a --reason keyCompromise'],
    'certificate.revoke',
    'worker/a',
    { serial: SERIAL, reason: 'keyCompromise' },
  ],
  [['lock identity worker/a --for 2h --reason drill'], 'client.lock', 'worker/a', { reason: 'drill' }],
  [['lock all --reason drill', 'unlock all'], 'client.unlock', 'all', {}],
  [['token create worker/a'], 'token.create', 'worker/a', { token: ANY, uses: 1 }],
  [['token create worker/a', 'token revoke TOKEN'], 'token.revoke', 'worker/a', { token: ANY, usesLeft: 1 }],
  [['ca rotate issuer'], 'ca.rotate-issuer', DOMAIN, { changes: ANY }],
  [['ca rotate issuer', 'ca rotate issuer --rollback'], 'ca.rotate-issuer.rollback', DOMAIN, { changes: ANY }],
  [['ca rotate root prepare'], 'ca.rotate-root.prepare', DOMAIN, { changes: ANY }],
  [
    ['ca rotate root prepare', 'ca rotate root prepare --rollback'],
    'ca.rotate-root.prepare.rollback',
    DOMAIN,
    { changes: ANY },
  ],
  [['ca rotate root prepare', 'ca rotate root activate'], 'ca.rotate-root.activate', DOMAIN, { changes: ANY }],
  [
    ['ca rotate root prepare', 'ca rotate root activate', 'ca rotate root activate --rollback'],
    'ca.rotate-root.activate.rollback',
    DOMAIN,
    { changes: ANY },
  ],
  [
    ['ca rotate root prepare', 'ca rotate root activate', 'ca rotate root retire'],
    'ca.rotate-root.retire',
    DOMAIN,
    { changes: ANY },
  ],
  [
    ['ca rotate root prepare', 'ca rotate root activate', 'ca rotate root retire', 'ca rotate root retire --rollback'],
    'ca.rotate-root.retire.rollback',
    DOMAIN,
    { changes: ANY },
  ],
  [['ca csr'], 'ca.request', DOMAIN, { generation: 2, requestFile: ANY }],
  [
    ['issue worker/a', 'export ./worker-a --format pem'],
    'key.export',
    'worker/a',
    { serial: SERIAL, format: 'pem', file: expect.stringMatching(/worker-a\.pem$/) as unknown },
  ],
  [['crl export'], 'crl.export', DOMAIN, { issuer: ANY, number: 1, revoked: 0 }],
  [['backup --out b'], 'ca.backup', DOMAIN, { out: ANY, keys: true }],
];

test.each(acts.map(([lines, ...rest]) => [lines.join(', then '), lines, ...rest] as const))(
  '%s: one entry, of who did it',
  async (_name, lines, action, object, detail) => {
    let token = '';
    for (const line of lines.slice(0, -1)) {
      await ran(line);
      token = String((await record()).at(-1)?.detail['token'] ?? '');
    }
    const entries = await left((lines.at(-1) ?? '').replace('TOKEN', token));
    expect(entries).toEqual([
      expect.objectContaining({ actor: WHO, action, object, detail: expect.objectContaining(from(detail)) as unknown }),
    ]);
  },
);

test('an issuer that a company signed is on record when it is taken', async () => {
  const company = newCompany();
  dir = newFolder();
  expect(await ran(`init --dir . --root-cert ${company.root.cert}`)).toMatchObject({ code: 0 });
  const { out } = await ran('ca csr');
  const [request = ''] = /-----BEGIN[\s\S]*REQUEST-----$/m.exec(out) ?? [];
  writeFileSync(join(dir, 'issuer.pem'), company.sign(request, CA_EXTENSIONS, 'root'));
  expect(await left('ca import issuer.pem')).toEqual([
    expect.objectContaining({
      ...{ actor: WHO, action: 'ca.import', object: DOMAIN },
      detail: expect.objectContaining(from({ changes: ANY })) as unknown,
    }),
  ]);
});

/** Commands in order; the last is refused, and leaves this. */
const refusals: ReadonlyArray<readonly [lines: readonly string[], code: string]> = [
  [['lock identity worker/a --reason drill', 'issue worker/a'], 'CG_LOCKED'],
  [['issue worker/a --csr other.csr'], 'CG_CSR_NAME'],
  [['issue worker/a --csr small.csr'], 'CG_CSR_KEY'],
];

test.each(refusals.map(([lines, code]) => [lines.join(', then '), lines, code] as const))(
  '%s: one entry of the refusal',
  async (_name, lines, code) => {
    const request = (file: string, bits: number, ...rest: readonly string[]): string =>
      `req -new -newkey rsa:${bits} -nodes -keyout ${join(dir, 'tls.key')} -out ${join(dir, file)} ${rest.join(' ')}`;
    spawnSync('openssl', request('other.csr', 2048, '-subj', '/CN=a -addext subjectAltName=DNS:b.example').split(' '));
    spawnSync('openssl', request('small.csr', 1024, '-subj', '/CN=a').split(' '));
    for (const line of lines.slice(0, -1)) await ran(line);
    const before = await record();
    expect((await ran(lines.at(-1) ?? '')).code).toBe(3);
    expect((await record()).slice(before.length)).toEqual([
      expect.objectContaining({
        ...{ actor: WHO, action: 'certificate.refuse', object: 'worker/a' },
        detail: expect.objectContaining(from({ code, reason: ANY })) as unknown,
      }),
    ]);
  },
);

test('who called sudo, and from where by SSH, is on record where the environment has it', async () => {
  const env = { SUDO_USER: 'alice', SSH_CONNECTION: '192.0.2.7 50122 192.0.2.1 22' };
  const [entry] = await left('issue worker/a', env);
  expect(entry?.detail).toMatchObject(from({ sudoUser: 'alice', sshFrom: '192.0.2.7' }));
  const [other] = await left('issue worker/b');
  expect(Object.keys(other?.detail ?? {})).not.toContain('sudoUser');
});

test('an export of what another CA certified, or without a store at hand, leaves nothing', async () => {
  await ran('issue worker/a');
  const before = await record();
  const elsewhere = newFolder();
  cpSync(join(dir, 'worker-a'), join(elsewhere, 'worker-a'), { recursive: true });
  const home = dir;
  dir = elsewhere;
  expect(await ran('export ./worker-a --format pem')).toMatchObject({ code: 0 });
  await ran('init --dir . --trust-domain other.internal');
  expect(await left('export ./worker-a --format pem --force')).toEqual([]);
  dir = home;
  expect(await left('export ./worker-a --format jwk --public')).toEqual([]);
  expect(await record()).toEqual(before);
});

test('a new passphrase is on record, and is not in it', async () => {
  const env = { CERTGATE_PASSPHRASE: 'correct-horse-battery-staple' };
  const entries = await left('ca passphrase', env);
  expect(entries).toEqual([
    expect.objectContaining({
      actor: WHO,
      action: 'ca.passphrase',
      object: DOMAIN,
      detail: from({ certsDir: ANY, encrypted: true }),
    }),
  ]);
  expect(JSON.stringify(entries)).not.toContain('horse');
});

test('a restore is on record in what was restored', async () => {
  await ran('crl export --out list.crl');
  await ran('backup --out b');
  expect(await ran('restore b --dir again --crl list.crl')).toMatchObject({ code: 0 });
  dir = join(dir, 'again');
  expect((await record()).at(-1)).toMatchObject({
    ...{ actor: WHO, action: 'ca.restore', object: DOMAIN },
    detail: from({}),
  });
});

test('a request that waits and is shown again leaves nothing, nor does a lock that was not there', async () => {
  await ran('ca csr');
  expect(await left('ca csr')).toEqual([]);
  const before = await record();
  await ran('unlock identity worker/a');
  expect(await record()).toEqual(before);
});

test('what fails before anything is done is on no record', async () => {
  const before = (await record()).length;
  writeFileSync(join(dir, 'open'), 'a passphrase', { mode: 0o644 });
  for (const line of [
    'ca passphrase --new-passphrase-file not-there',
    'ca passphrase --new-passphrase-file open',
    'crl export --out certgate.yaml',
    'crl export --out not-there/issuer.crl',
  ]) {
    expect((await ran(line)).code, line).not.toBe(0);
  }
  expect((await record()).slice(before)).toEqual([]);
});
