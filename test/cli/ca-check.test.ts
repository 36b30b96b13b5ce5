// `certgate ca check`: a CA that is well is told so, what is not is named with its value, and pasting the remedy mends it.

import { execFileSync, spawnSync } from 'node:child_process';
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
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { checkedCa } from './checked-ca.ts';

const ca = checkedCa();

test('a new CA is well, and looking at it changes and makes nothing', async () => {
  const listing = (): string[] =>
    readdirSync(ca.dir, { recursive: true, encoding: 'utf8' })
      .toSorted()
      .map((name) => `${name} ${statSync(ca.path(name)).mtimeMs} ${statSync(ca.path(name)).size}`);
  const before = listing();
  expect(await ca.found()).toEqual([]);
  expect(listing()).toEqual(before);
});

describe('what is not well is named with its value, and its remedy mends it:', () => {
  test.each<[string, () => unknown, string | RegExp]>([
    [
      'a key that others can read',
      () => chmodSync(ca.path('certs/issuer.key'), 0o640),
      /^fail file mode: .*issuer.key is 0640: others can read it/,
    ],
    [
      'a root that others can change',
      () => chmodSync(ca.path('certs/root.crt'), 0o666),
      /^fail file mode: .*root.crt is 0666: others can change it/,
    ],
    [
      'a configuration that others can change',
      () => chmodSync(ca.path('certgate.yaml'), 0o666),
      /^fail file mode: .*certgate.yaml is 0666/,
    ],
    [
      'a state folder that others can look into',
      () => chmodSync(ca.path('state'), 0o755),
      /^fail file mode: .*state is 0755/,
    ],
    [
      'everyone locked out',
      () => ca.ran(['lock', 'all', '--reason', 'drill']),
      /^warn lock: everyone since \S+, without an end, by cli:\S+: drill/,
    ],
    [
      'a token for everybody of a kind',
      () => ca.ran(['token', 'create', 'worker/*', '--uses', '3']),
      /^warn token: \S+ for worker\/\* admits any name/,
    ],
    [
      'a CA that changed since the last backup',
      async () => {
        await ca.ran(['backup', '--out', 'first']);
        await ca.ran(['ca', 'rotate', 'issuer']);
      },
      /^warn backup: the CA itself has changed since the last/,
    ],
    [
      'a certificate that is gone, and in the backup',
      async () => {
        await ca.ran(['backup', '--out', 'first']);
        unlinkSync(ca.path('certs/root.crt'));
      },
      /^fail file: .*root.crt: no such file or folder.*cp -p /,
    ],
    [
      'the key of another certificate',
      () => copyFileSync(ca.path('certs/root.key'), ca.path('certs/issuer.key')),
      /^fail key of issuer 1: .*issuer.key is the key of another certificate/,
    ],
    [
      'a key and a certificate that a killed rotation has left',
      () => {
        copyFileSync(ca.path('certs/issuer.key'), ca.path('certs/issuer-2.key'));
        chmodSync(ca.path('certs/issuer-2.key'), 0o600);
        copyFileSync(ca.path('certs/issuer.crt'), ca.path('certs/issuer-2.crt'));
      },
      /^warn file: .*issuer-2.crt, .*issuer-2.key: not on record/,
    ],
    [
      'what a killed change of the passphrase has left',
      () => {
        const { pid } = spawnSync('true');
        const left = ca.path('certs', `.root.key.passphrase-${pid}-0123abcd`);
        writeFileSync(left, 'a key', { mode: 0o600 });
        utimesSync(left, 1_700_000_000, 1_700_000_000);
        // One that is in the making.
        writeFileSync(ca.path('certs', `.root.key.passphrase-${process.pid}-0123abcd`), 'a key', { mode: 0o600 });
      },
      /^warn file: .*\.root\.key\.passphrase-\d+-0123abcd: left by a command that was killed/,
    ],
    [
      'what a killed init, and a killed issue, have left elsewhere',
      () => {
        const { pid } = spawnSync('true');
        const left = [`state/.certgate.db.creating-${pid}-0123abcd-wal`, `.worker-etl-1.issuing-${pid}-0123abcd`];
        for (const name of left) {
          writeFileSync(ca.path(name), 'x', { mode: 0o600 });
          utimesSync(ca.path(name), 1_700_000_000, 1_700_000_000);
        }
      },
      /^warn file: .*\.certgate\.db\.creating-\S+, .*\.worker-etl-1\.issuing-\S+: left by a command that was killed/,
    ],
    [
      'no key',
      () => renameSync(ca.path('certs/issuer.key'), ca.path('gone')),
      /^fail key of issuer 1: .*does not exist: nothing can be issued/,
    ],
  ])('%s', async (_what, ail, finding) => {
    await ail();
    const [one = '', ...more] = await ca.found();
    expect(one).toMatch(finding);
    expect(more).toEqual([]);
    await ca.paste(one.slice(one.indexOf(' → ') + 3));
    expect((await ca.found()).filter((other) => other.startsWith(one.slice(0, one.indexOf(' → '))))).toEqual([]);
  });
});

test('of an encrypted key it says that it is one, and asks nobody', async () => {
  ca.moveOut();
  const env = { CERTGATE_PASSPHRASE: 'correct-horse-battery-staple' };
  expect(await ca.ran(['init', '--dir', '.'], env)).toMatchObject({ code: 0 });
  const all = await ca.found();
  expect(all).toHaveLength(2);
  for (const one of all) expect(one).toMatch(/^skip key of \w+ 1: is encrypted; whether .* needs its passphrase → $/);
  expect((await ca.ran(['ca', 'check', '--json'])).out).toContain('"level": "skip"');
});

test('a store that is damaged, or gone, is a failure and the rest is looked at', async () => {
  const store = ca.path('state/certgate.db');
  const whole = readFileSync(store);
  writeFileSync(store, Buffer.concat([whole.subarray(0, 8192), Buffer.alloc(8192, 7), whole.subarray(16_384)]), {
    mode: 0o600,
  });
  expect(await ca.found()).toContainEqual(expect.stringMatching(/^fail store: /));
  truncateSync(store, 0);
  expect(await ca.found()).toContainEqual(expect.stringMatching(/^fail store: .*it is empty/));
  unlinkSync(store);
  expect(await ca.found()).toContainEqual(
    expect.stringMatching(/^fail store: .*does not exist|^fail store: .*no store/),
  );
  expect(existsSync(store)).toBe(false);
});

test('a store with its log and without what reads it, as after a kill in the wrong moment, is put right by a look at it', async () => {
  const [db, log] = [new DatabaseSync(ca.path('state/certgate.db')), ca.path('state/certgate.db-wal')];
  db.exec('CREATE TABLE one (a); DROP TABLE one');
  copyFileSync(log, ca.path('kept'));
  db.close();
  renameSync(ca.path('kept'), log);
  chmodSync(log, 0o600);
  const one = (await ca.found()).find((finding) => finding.startsWith('fail store: ')) ?? '';
  expect(one).toContain('it has a -wal file and no -shm file');
  await ca.paste(one.slice(one.indexOf(' → ') + 3));
  expect(await ca.found()).toEqual([]);
});

test('a key that waits for its certificate is no leftover, and what to do is said', async () => {
  await ca.ran(['ca', 'csr']);
  expect(await ca.found()).toEqual([]);
});

test('an older store is not brought up to date by looking at it', async () => {
  const store = ca.path('state/certgate.db');
  const db = new DatabaseSync(store);
  db.exec('PRAGMA user_version = 3');
  db.close();
  expect(await ca.found()).toContainEqual(
    expect.stringMatching(/^warn store: .* is of schema 3, this certgate's is \d+/),
  );
});

test('a key of the CA that nobody may rely on is a failure, with what puts another in its place', async () => {
  const args = ['req', '-x509', '-newkey', 'rsa:1024', '-nodes', '-subj', '/CN=weak', '-days', '3650'];
  const files = ['-keyout', ca.path('weak.key'), '-out', ca.path('weak.crt')];
  execFileSync('openssl', [...args, ...files], { stdio: 'ignore' });
  const { raw } = new X509Certificate(readFileSync(ca.path('weak.crt')));
  const db = new DatabaseSync(ca.path('state/certgate.db'));
  db.prepare("UPDATE authorities SET der = ? WHERE role = 'root'").run(raw);
  db.close();
  expect(await ca.found()).toContainEqual(
    expect.stringMatching(/^fail key of root 1: is one of the kind RSA-1024, smaller than 2048 bits → certgate ca \S/),
  );
});

describe('certgate ca check', () => {
  test('leaves 0, 8 for warnings, 1 for failures, and prints words where there is no UTF-8', async () => {
    const plain = await ca.ran(['ca', 'check'], { LANG: 'C' });
    expect(plain.out).toContain('certificates of the CA\n----------------------\nok    root 1: active, ends in ');
    expect(plain.said).toMatch(/^well: \d+, warnings: \d, failed: 0, skipped: 0$/);
    await ca.ran(['lock', 'all', '--reason', 'drill']);
    const signs = await ca.ran(['ca', 'check', '--quiet'], { LC_ALL: 'en_US.UTF-8' });
    expect(signs.code).toBe(8);
    expect(signs.out).toContain('who is admitted\n---------------\n‼  lock: everyone');
    expect(signs.out).toContain('\n   → certgate unlock all\n');
    expect(signs.out).not.toContain('√');
    const colourless = await ca.ran(['ca', 'check', '--quiet'], { LC_ALL: 'en_US.UTF-8', NO_COLOR: '1' });
    expect(colourless.out).toContain('\nwarn  lock: everyone');
    expect(colourless.out).toContain('\n      -> certgate unlock all\n');
    chmodSync(ca.path('certs/issuer.key'), 0o644);
    expect((await ca.ran(['ca', 'check'])).code).toBe(1);
  });

  test('has the configuration that was named in every remedy, and the same findings as JSON', async () => {
    await ca.ran(['lock', 'all', '--reason', 'drill']);
    const file = ca.path('certgate.yaml');
    const { out, code } = await ca.ran(['ca', 'check', '--json', '--config', file]);
    const { status, findings } = JSON.parse(out) as { status: string; findings: Array<Record<string, string>> };
    expect([status, code]).toEqual(['warn', 8]);
    for (const one of findings) expect(Object.keys(one)).toEqual(['section', 'check', 'level', 'found', 'remedy']);
    expect(findings.find(({ check }) => check === 'lock')).toMatchObject({
      section: 'who is admitted',
      remedy: `certgate unlock all --config ${file}`,
    });
  });
});
