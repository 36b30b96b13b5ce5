// Each act of an operator leaves one entry in the CA's record, with who did it, what it was done to and which certificate.
// What enrols and renews at the gate is in test/enroll.
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import type { Io } from '../../src/cli/io.ts';
import { run } from '../../src/cli/program.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { StoredAuditEntry } from '../../src/store/store.ts';
import { newFolder } from '../store/fixture.ts';

const WHO = `cli:${userInfo().username}@${hostname().toLowerCase()}`;
let dir: string;

async function ran(line: string, env: NodeJS.ProcessEnv = {}): Promise<{ code: number; out: string }> {
  const out: string[] = [];
  const io: Io = {
    out: (text) => void out.push(text),
    say: (text) => void out.push(text),
    input: async () => new Uint8Array(),
    env,
    cwd: dir,
    program: 'certgate',
    isTerminal: false,
  };
  return { code: await run(line.split(' '), io), out: out.join('\n') };
}

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
  const { code, out } = await ran(line, env);
  expect(code, out).toBe(0);
  return (await record()).slice(before.length);
}

beforeEach(async () => {
  dir = newFolder();
  await ran('init --dir .');
});

const DOMAIN = 'certgate.internal';
const SERIAL: unknown = expect.stringMatching(/^[0-9a-f]{20,}$/);
const ANY: unknown = expect.anything();

test('making a CA is on record', async () => {
  expect(await record()).toEqual([expect.objectContaining({ actor: WHO, action: 'ca.init', object: DOMAIN })]);
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
      expect.objectContaining({ actor: WHO, action, object, detail: expect.objectContaining(detail) as unknown }),
    ]);
  },
);

test('a new passphrase is on record, and is not in it', async () => {
  const env = { CERTGATE_PASSPHRASE: 'correct-horse-battery-staple' };
  const entries = await left('ca passphrase', env);
  expect(entries).toEqual([
    expect.objectContaining({
      actor: WHO,
      action: 'ca.passphrase',
      object: DOMAIN,
      detail: { certsDir: ANY, encrypted: true },
    }),
  ]);
  expect(JSON.stringify(entries)).not.toContain('horse');
});

test('a restore is on record in what was restored', async () => {
  await ran('crl export --out list.crl');
  await ran('backup --out b');
  expect(await ran('restore b --dir again --crl list.crl')).toMatchObject({ code: 0 });
  dir = join(dir, 'again');
  expect((await record()).at(-1)).toMatchObject({ actor: WHO, action: 'ca.restore', object: DOMAIN });
});

test('a request that waits and is shown again leaves nothing, nor does a lock that was not there', async () => {
  await ran('ca csr');
  expect(await left('ca csr')).toEqual([]);
  const before = await record();
  await ran('unlock identity worker/a');
  expect(await record()).toEqual(before);
});
