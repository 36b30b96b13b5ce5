import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { buffer } from 'node:stream/consumers';
import { beforeEach, describe, expect, test } from 'vitest';
import { serveControl } from '../../src/admin/control.ts';
import { publishCrls } from '../../src/authority/crl-publisher.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { type OcspResponder, openOcspResponder } from '../../src/authority/ocsp-responder.ts';
import { STATUS_PATHS } from '../../src/authority/status-urls.ts';
import { examineCa } from '../../src/cli/check/examine.ts';
import type { Io } from '../../src/cli/io.ts';
import { run } from '../../src/cli/program.ts';
import { loadConfig } from '../../src/config/load.ts';
import { openLog } from '../../src/observe/log.ts';
import { OCSP_ERRORS } from '../../src/pki/ocsp.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { portOf } from '../proxy/plain-proxy.ts';
import { closing, newAudit, newFolder, newRecord } from '../store/fixture.ts';

const DAY = 86_400_000;
let dir: string;

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly said: string;
}

async function ran(argv: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const [out, said]: [string[], string[]] = [[], []];
  const io: Io = {
    out: (text) => void out.push(text),
    say: (text) => void said.push(text),
    input: async () => new Uint8Array(),
    env,
    cwd: dir,
    program: 'certgate',
    isTerminal: false,
  };
  const code = await run([...argv], io);
  return { code, out: out.join('\n'), said: said.join('\n') };
}

/** What is not well, as `level check: found → remedy`, `later` ms from now. */
async function found(later = 0): Promise<readonly string[]> {
  const config = loadConfig({ file: undefined, env: {}, flags: {}, cwd: dir });
  const sections = await examineCa(config, Date.now() + later, (words) => `certgate ${words}`);
  return sections
    .flatMap(({ findings }) => findings)
    .filter(({ level }) => level !== 'ok')
    .map(({ level, check, found: what, remedy }) => `${level} ${check}: ${what} → ${remedy}`);
}

const path = (...names: string[]): string => join(dir, ...names);

/** Pastes what a finding says: certgate's own commands in this process, others into a shell. */
async function paste(remedy: string): Promise<void> {
  const words = remedy.split(' ');
  if (words[0] === 'certgate') expect(await ran(words.slice(1))).toMatchObject({ code: 0 });
  else execFileSync('sh', ['-c', remedy], { cwd: dir });
}

beforeEach(async () => {
  dir = newFolder();
  await ran(['init', '--dir', '.']);
});

test('a new CA is well, and looking at it changes and makes nothing', async () => {
  const listing = (): string[] =>
    readdirSync(dir, { recursive: true, encoding: 'utf8' })
      .toSorted()
      .map((name) => `${name} ${statSync(path(name)).mtimeMs} ${statSync(path(name)).size}`);
  const before = listing();
  expect(await found()).toEqual([]);
  expect(listing()).toEqual(before);
});

describe('what is not well is named with its value, and its remedy mends it:', () => {
  test.each<[string, () => unknown, string | RegExp]>([
    [
      'a key that others can read',
      () => chmodSync(path('certs/issuer.key'), 0o640),
      /^fail file mode: .*issuer.key is 0640: others can read it/,
    ],
    [
      'a root that others can change',
      () => chmodSync(path('certs/root.crt'), 0o666),
      /^fail file mode: .*root.crt is 0666: others can change it/,
    ],
    [
      'a configuration that others can change',
      () => chmodSync(path('certgate.yaml'), 0o666),
      /^fail file mode: .*certgate.yaml is 0666/,
    ],
    [
      'a state folder that others can look into',
      () => chmodSync(path('state'), 0o755),
      /^fail file mode: .*state is 0755/,
    ],
    [
      'everyone locked out',
      () => ran(['lock', 'all', '--reason', 'drill']),
      /^warn lock: everyone since \S+, without an end, by cli:\S+: drill/,
    ],
    [
      'a token for everybody of a kind',
      () => ran(['token', 'create', 'worker/*', '--uses', '3']),
      /^warn token: \S+ for worker\/\* lets anybody/,
    ],
    [
      'a CA that changed since the last backup',
      async () => {
        await ran(['backup', '--out', 'first']);
        await ran(['ca', 'rotate', 'issuer']);
      },
      /^warn backup: the CA itself has changed since the last/,
    ],
    [
      'a certificate that is gone, and in the backup',
      async () => {
        await ran(['backup', '--out', 'first']);
        unlinkSync(path('certs/root.crt'));
      },
      /^fail file: .*root.crt: ENOENT.*cp -p /,
    ],
    [
      'the key of another certificate',
      () => copyFileSync(path('certs/root.key'), path('certs/issuer.key')),
      /^fail key of issuer 1: .*issuer.key is the key of another certificate/,
    ],
    [
      'no key',
      () => renameSync(path('certs/issuer.key'), path('gone')),
      /^fail key of issuer 1: .*does not exist: nothing can be issued/,
    ],
  ])('%s', async (_what, ail, finding) => {
    await ail();
    const [one = '', ...more] = await found();
    expect(one).toMatch(finding);
    expect(more).toEqual([]);
    await paste(one.slice(one.indexOf(' → ') + 3));
    expect((await found()).filter((other) => other.startsWith(one.slice(0, one.indexOf(' → '))))).toEqual([]);
  });
});

test('what lies ahead is told by where it stands in its life', async () => {
  await ran(['issue', 'worker/etl-1', '--ttl', '60d']);
  await ran(['backup', '--out', 'first']);
  const names = async (days: number): Promise<string[]> =>
    (await found(days * DAY)).map((text) => text.slice(0, text.indexOf(':')));
  expect(await names(40)).toEqual([]);
  expect(await names(55)).toEqual(['warn identities']);
  expect(await names(62)).toEqual(['warn identities']);
  expect(await names(100)).toEqual([]);
  expect(await names(250)).toEqual(['warn issuer 1']);
  expect(await names(360)).toEqual(['fail issuer 1']);
  expect(await names(366)).toEqual(['fail issuer 1']);
  expect(await names(3640)).toEqual(['fail root 1', 'fail issuer 1']);
  expect((await found(250 * DAY))[0]).toMatch(
    /was to be rotated 6d\S* ago; ends in 11[45]d\S* → certgate ca rotate issuer$/,
  );
  expect((await found(55 * DAY))[0]).toMatch(
    /1 end soon and were not renewed: worker\/etl-1 in \S+ → certgate list worker\/etl-1$/,
  );
  expect((await found(-DAY)).map((text) => text.slice(0, text.indexOf(':')))).toEqual([
    'fail root 1',
    'fail issuer 1',
    'fail clock',
  ]);
});

test('a backup that was never made, or is old, is asked for by a command with a name for it', async () => {
  expect(await found(2 * DAY)).toEqual([
    expect.stringMatching(
      /^warn backup: none was ever made, and the CA is 2d\S* old → certgate backup --out certgate-backup-\d{4}-/,
    ),
  ]);
  await ran(['backup', '--out', 'first']);
  expect(await found(30 * DAY)).toEqual([]);
  await ran(['issue', 'worker/etl-1', '--ttl', '90d']);
  expect(await found(30 * DAY)).toEqual([
    expect.stringMatching(/the last is 30d\S* old; since then 1 issued, 0 revoked/),
  ]);
});

test('a rotation of the root that was left half-way is named at each step', async () => {
  await ran(['issue', 'worker/etl-1', '--ttl', '60d']);
  await ran(['ca', 'rotate', 'root', 'prepare']);
  await ran(['backup', '--out', 'first']);
  expect(await found(8 * DAY)).toEqual([
    expect.stringMatching(
      /^warn rotation to root 2: prepared 8d\S* ago, and not activated → certgate ca rotate root activate$/,
    ),
    expect.stringMatching(/^warn trust bundle: 1 were not seen to have .*worker\/etl-1; they keep the rotation/),
  ]);
  await ran(['ca', 'rotate', 'root', 'activate', '--without-waiting']);
  await ran(['backup', '--out', 'second']);
  expect((await found(8 * DAY)).filter((text) => !text.includes('trust bundle'))).toEqual([]);
  expect(await found(100 * DAY)).toContainEqual(
    expect.stringMatching(/^warn retirement of root 1: .* nobody needs it → certgate ca rotate root retire$/),
  );
});

test('of an encrypted key it says that it is one, and asks nobody', async () => {
  dir = newFolder();
  const env = { CERTGATE_PASSPHRASE: 'correct-horse-battery-staple' };
  expect(await ran(['init', '--dir', '.'], env)).toMatchObject({ code: 0 });
  const all = await found();
  expect(all).toHaveLength(2);
  for (const one of all) expect(one).toMatch(/^skip key of \w+ 1: is encrypted; whether .* takes its passphrase → $/);
  expect((await ran(['ca', 'check', '--json'])).out).toContain('"level": "skip"');
});

test('a store that is damaged, or gone, is a failure and the rest is looked at', async () => {
  const store = path('state/certgate.db');
  const whole = readFileSync(store);
  writeFileSync(store, Buffer.concat([whole.subarray(0, 8192), Buffer.alloc(8192, 7), whole.subarray(16_384)]), {
    mode: 0o600,
  });
  expect(await found()).toContainEqual(expect.stringMatching(/^fail store: /));
  truncateSync(store, 0);
  expect(await found()).toContainEqual(expect.stringMatching(/^fail store: .*it is empty/));
  unlinkSync(store);
  expect(await found()).toContainEqual(expect.stringMatching(/^fail store: .*does not exist|^fail store: .*no store/));
  expect(existsSync(store)).toBe(false);
});

test('an older store is not brought up to date by looking at it', async () => {
  const store = path('state/certgate.db');
  const db = new DatabaseSync(store);
  db.exec('PRAGMA user_version = 3');
  db.close();
  expect(await found()).toContainEqual(expect.stringMatching(/^warn store: .* is of schema 3, this certgate's is \d+/));
});

test('a key of the CA that nobody may rely on is a failure, with what puts another in its place', async () => {
  const args = ['req', '-x509', '-newkey', 'rsa:1024', '-nodes', '-subj', '/CN=weak', '-days', '3650'];
  execFileSync('openssl', [...args, '-keyout', path('weak.key'), '-out', path('weak.crt')], { stdio: 'ignore' });
  const { raw } = new X509Certificate(readFileSync(path('weak.crt')));
  const db = new DatabaseSync(path('state/certgate.db'));
  db.prepare("UPDATE authorities SET der = ? WHERE role = 'root'").run(raw);
  db.close();
  expect(await found()).toContainEqual(
    expect.stringMatching(/^fail key of root 1: is one of the kind RSA-1024, smaller than 2048 bits → certgate ca \S/),
  );
});

test('too many and too long certificates, forgotten locks and tokens, a misused token', async () => {
  const store = closing(openSqliteStore(path('state/certgate.db')));
  const now = Date.now();
  const year = { issuedAt: now, notBefore: now, notAfter: now + 500 * DAY };
  const der = new X509Certificate(readFileSync(path('certs/issuer.crt'))).raw;
  for (let n = 0; n < 21; n++)
    await store.addCertificate(newRecord({ ...year, der, identity: 'worker/many' }), newAudit());
  const lock = {
    scope: 'identity',
    subject: 'worker/old',
    reason: 'odd traffic',
    actor: 'cli:a@b',
    until: null,
  } as const;
  await store.lock({ ...lock, lockedAt: now - 30 * DAY }, newAudit());
  const token = {
    secretHash: 'a'.repeat(64),
    subject: 'worker/x',
    uses: 1,
    usesLeft: 1,
    ttlMs: DAY,
    createdBy: 'cli:a@b',
  };
  const common = { ...token, revokedAt: null, flaggedAt: null, flag: null, expiresAt: now + DAY };
  await store.addToken({ ...common, id: '1'.repeat(16), createdAt: now - 30 * DAY }, newAudit());
  await store.addToken({ ...common, id: '2'.repeat(16), createdAt: now }, newAudit());
  await store.flagToken('2'.repeat(16), 'used from elsewhere', now, newAudit());
  const all = (await found()).join('\n');
  expect(all).toContain(
    'warn identities: worker/many has 21 certificates that can be used, more than 20 → certgate list',
  );
  expect(all).toContain('warn lifetimes: 21 live longer than 398 days, one of worker/many');
  expect(all).toMatch(
    /warn lock: identity worker\/old since 30d\S*, .* odd traffic → certgate unlock identity worker\/old/,
  );
  expect(all).toContain('warn token: 1111111111111111 for worker/x lies about unused since 30d');
  expect(all).toContain('fail token: 2222222222222222 for worker/x was used as a thief would: used from elsewhere');
});

describe('the published list', () => {
  test('is missed where certificates name it, or where no gate runs', async () => {
    writeFileSync(path('certgate.yaml'), 'serve: {status: {url: "http://gate.test:8081"}}\n');
    expect(await found()).toEqual([
      expect.stringMatching(/^fail revocation list: certificates name http:\/\/gate.test:8081/),
    ]);
    writeFileSync(path('certgate.yaml'), 'serve: {status: {listen: "127.0.0.1:8081"}}\n');
    expect(await found()).toEqual([expect.stringMatching(/^warn revocation list: no gate runs.*→ certgate serve$/)]);
  });

  test('is held against the records', async () => {
    const store = closing(openSqliteStore(path('state/certgate.db')));
    const authority = await loadAuthority({ certsDir: path('certs'), store, trustDomain: 'certgate.internal' });
    const { issuer } = authority;
    const log = openLog({ level: 'error', destination: { write: () => {} } });
    const lists = await publishCrls({ store, issuers: () => [issuer], statusUrl: null, log });
    let answer: OcspResponder = openOcspResponder({ store, issuers: () => [issuer], failed: () => {} });
    const list = lists.crl(issuer.keyId);
    let served: Uint8Array | null = list === null ? null : Buffer.concat(list.parts);
    const server = createServer((request, response) => {
      if (request.url === STATUS_PATHS.crl(issuer.keyId) && served !== null) response.end(served);
      else if (request.url === STATUS_PATHS.ocsp) {
        void buffer(request).then(async (octets) => response.end((await answer(octets)).der));
      } else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const health = { status: 'ok', connections: 0 };
    const control = await serveControl(path('state/control.sock'), { 'GET /health': async () => health });
    try {
      writeFileSync(path('certgate.yaml'), `serve: {status: {listen: "127.0.0.1:${portOf(server)}"}}\n`);
      expect(await found()).toEqual([]);
      answer = async () => ({ der: OCSP_ERRORS.malformedRequest, fresh: null });
      const noOcsp: unknown = expect.stringMatching(/^fail OCSP: HTTP 200, and no answer in it/);
      expect(await found()).toEqual([noOcsp]);
      expect(await found(2 * DAY)).toContainEqual(
        expect.stringMatching(/^fail revocation list of issuer 1: is stale: 2d/),
      );
      await lists.stop();
      await ran(['issue', 'worker/etl-1']);
      await ran(['revoke', 'worker/etl-1']);
      expect(await found()).toContainEqual(expect.stringContaining('issuer 1: names 0 of 1 that are revoked'));
      await store.nextCrlNumber(issuer.keyId);
      expect(await found()).toContainEqual(expect.stringMatching(/issuer 1: is number 1, the store has given 2/));
      served = null;
      expect(await found()).toContainEqual(expect.stringContaining('issuer 1: is missing: HTTP 404'));
    } finally {
      await control.close();
      server.close();
    }
  });
});

describe('certgate ca check', () => {
  test('leaves 0, 8 for warnings, 1 for failures, and prints words where there is no UTF-8', async () => {
    const plain = await ran(['ca', 'check'], { LANG: 'C' });
    expect(plain.out).toContain('certificates of the CA\n----------------------\nok    root 1: active, ends in ');
    expect(plain.said).toMatch(/^well: \d+, warnings: \d, failed: 0, skipped: 0$/);
    await ran(['lock', 'all', '--reason', 'drill']);
    const signs = await ran(['ca', 'check', '--quiet'], { LC_ALL: 'en_US.UTF-8' });
    expect(signs.code).toBe(8);
    expect(signs.out).toContain('who is let in\n-------------\n‼  lock: everyone');
    expect(signs.out).toContain('\n   → certgate unlock all\n');
    expect(signs.out).not.toContain('√');
    const colourless = await ran(['ca', 'check', '--quiet'], { LC_ALL: 'en_US.UTF-8', NO_COLOR: '1' });
    expect(colourless.out).toContain('\nwarn  lock: everyone');
    expect(colourless.out).toContain('\n      -> certgate unlock all\n');
    chmodSync(path('certs/issuer.key'), 0o644);
    expect((await ran(['ca', 'check'])).code).toBe(1);
  });

  test('has the configuration that was named in every remedy, and the same findings as JSON', async () => {
    await ran(['lock', 'all', '--reason', 'drill']);
    const file = path('certgate.yaml');
    const { out, code } = await ran(['ca', 'check', '--json', '--config', file]);
    const { status, findings } = JSON.parse(out) as { status: string; findings: Array<Record<string, string>> };
    expect([status, code]).toEqual(['warn', 8]);
    for (const one of findings) expect(Object.keys(one)).toEqual(['section', 'check', 'level', 'found', 'remedy']);
    expect(findings.find(({ check }) => check === 'lock')).toMatchObject({
      section: 'who is let in',
      remedy: `certgate unlock all --config ${file}`,
    });
  });
});
