import { createPrivateKey, sign } from 'node:crypto';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { serveSigner } from '../../src/admin/signer-server.ts';
import { openKeyStore } from '../../src/authority/key-store.ts';
import { retireIssuers } from '../../src/authority/rotate.ts';
import { auditJudge } from '../../src/cli/audit/checkpoints.ts';
import { START } from '../../src/observe/audit-chain.ts';
import { openLog } from '../../src/observe/log.ts';
import { auditStatement } from '../../src/pki/audit-statement.ts';
import { readCertificate } from '../../src/pki/certificates.ts';
import { keyIdOf } from '../../src/pki/keys.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { documented } from './documented.ts';
import { initialised, type Recorded, record, type Writing } from './recorded.ts';

const filesIn = ({ shell }: Recorded): string[] =>
  readdirSync(join(shell.dir, 'state'))
    .filter((name) => name.endsWith('.jsonl'))
    .map((name) => join(shell.dir, 'state', name))
    .toSorted();

/** Has it written by a gate that runs for a moment, until it is in one file more. */
async function oneFileMore(made: Recorded, writing: Writing = {}): Promise<string[]> {
  const before = filesIn(made).length;
  const until = () => expect(filesIn(made).length).toBeGreaterThan(Math.max(1, before));
  return record(made, 5, { ...writing, rules: { rotateSize: 1500, ...writing.rules }, until });
}

/** Four files at least, by a gate that was started four times. */
async function inFiles(): Promise<Recorded> {
  const made = initialised();
  for (let i = 0; i < 3; i++) await oneFileMore(made);
  await record(made, 5);
  return made;
}

test('a record in several files is listed, filtered, exported as CSV and verified as one; what is retired is told as that', async () => {
  const made = await inFiles();
  const { shell } = made;
  const issuer = join(shell.dir, 'certs', 'issuer.crt');
  expect(shell.run('certgate audit --json').stdout.match(/"source":"gate"/g)).toHaveLength(20);
  expect(shell.run('certgate audit --json --identity worker/etl-1 --limit 3').stdout.match(/"r-4"/g)).toHaveLength(1);
  expect(shell.run('certgate audit --csv').stdout.match(/,gate,/g)).toHaveLength(20);
  const whole = shell.run('certgate audit --verify');
  expect([whole.status, whole.stderr]).toEqual([0, '']);
  expect(whole.stdout).toContain(` in the chain, in ${filesIn(made).length} files, up to number `);
  expect(documented('verify.py', [issuer, ...filesIn(made)]).stdout).toMatch(/^\d+ records, signed up to \d+\n$/);

  const logged = await record(made, 1, { rules: { keepFiles: 1 }, until: () => expect(filesIn(made)).toHaveLength(2) });
  expect(logged.join('')).toMatch(/"rule":"keepFiles 1".*the oldest files of the record are retired/);
  const left = shell.run('certgate audit --verify');
  expect([left.status, left.stderr]).toEqual([0, '']);
  expect(left.stdout).toMatch(
    /^retired by the gate up to number \d+ at 20.* \(keepFiles 1\), signed by issuer 1, active, certificate [0-9a-f]+$/m,
  );
  expect(JSON.parse(shell.run('certgate audit --verify --json').stdout)).toMatchObject({
    ok: true,
    record: { retired: { from: 1, rule: 'keepFiles 1' } },
  });
  expect(documented('verify.py', [issuer, ...filesIn(made)]).stdout).toMatch(
    /^\d+ records, signed up to \d+, retired up to \d+\n$/,
  );
  expect(shell.run('certgate audit --json').stdout.match(/"source":"gate"/g)?.length).toBeLessThan(20);

  const [oldest = ''] = filesIn(made);
  const text = readFileSync(oldest);
  rmSync(oldest);
  const cut = shell.run('certgate audit --verify');
  expect([cut.status, cut.stdout]).toEqual([
    3,
    expect.stringMatching(/^WRONG: state\/audit.jsonl:1: records \d+ to \d+ are missing: the gate has retired/m),
  ]);
  expect(documented('verify.py', [issuer, ...filesIn(made)]).stderr).toContain('were not retired');
  expect(text.length).toBeGreaterThan(0);
  expect(shell.run('certgate audit --verify state/audit.jsonl').status).toBe(0);
}, 60_000);

test('a backup has all files of the record, and what is restored from it verifies', async () => {
  const made = await inFiles();
  const { shell } = made;
  expect(shell.run('certgate backup --out kept').stderr).not.toContain('error');
  const restored = shell.run('certgate restore kept --dir again --without-crl');
  expect([restored.status, restored.stderr.includes('error')]).toEqual([0, false]);
  const names = (folder: string): string[] =>
    readdirSync(join(shell.dir, folder, 'state')).filter((name) => name.endsWith('.jsonl'));
  expect(names('again')).toEqual(names('.'));
  const verified = shell.run('cd again && certgate audit --verify');
  expect([verified.status, verified.stderr]).toEqual([0, '']);
}, 60_000);

test('checkpoints verify through rotations of the issuer, by a retired one too, and which certificate has signed is told', async () => {
  const made = initialised();
  const { shell, db } = made;
  const serialOf = (name: string) =>
    readCertificate(readFileSync(join(shell.dir, 'certs', name))).serialNumber.toLowerCase();
  await record(made, 3);
  const first = JSON.parse(shell.run('certgate audit --checkpoint -').stdout) as { signature: string };
  shell.run('certgate audit --checkpoint first.json');
  expect(shell.run('certgate audit --verify').stdout).toContain(
    ` by issuer 1, active, certificate ${serialOf('issuer.crt')}\n`,
  );

  expect(shell.run('certgate ca rotate issuer').status).toBe(0);
  await oneFileMore(made);
  const second = shell.run('certgate audit --verify --since-checkpoint first.json');
  expect([second.status, second.stderr]).toEqual([0, '']);
  expect(second.stdout).toContain(` by issuer 2, active, certificate ${serialOf('issuer-2.crt')}\n`);

  const store = openSqliteStore(db);
  const later = Date.now() + 8 * 86_400_000;
  const place = { certsDir: join(shell.dir, 'certs'), store, trustDomain: 'certgate.internal', actor: 'test' };
  expect(await retireIssuers({ ...place, clock: () => later })).not.toBeNull();
  expect(await store.listCa()).toContainEqual(
    expect.objectContaining({ role: 'issuer', generation: 1, state: 'retired' }),
  );
  const third = shell.run('certgate audit --verify --since-checkpoint first.json');
  expect([third.status, third.stderr]).toEqual([0, '']);

  // What its key signs from now on is worth nothing.
  const judge = await auditJudge(store);
  const key = createPrivateKey(readFileSync(join(shell.dir, 'certs', 'issuer.key')));
  const issuer = keyIdOf(readCertificate(readFileSync(join(shell.dir, 'certs', 'issuer.crt'))));
  const by = (time: number) => {
    const facts = {
      time,
      trustDomain: 'certgate.internal',
      record: { seq: 1, hash: 'a'.repeat(64) },
      act: START,
      issuer,
    };
    return judge({ ...facts, signature: sign('sha256', auditStatement(facts), key).toString('base64') });
  };
  expect(by(later)).toEqual({ problem: null, by: `issuer 1, retired, certificate ${serialOf('issuer.crt')}` });
  expect(by(later + 600_000).problem).toContain('issuer 1 was retired before, at 20');
  expect(first.signature).not.toBe('');
  await store.close();
}, 60_000);

test('checkpoints and retirements come from a signer elsewhere, and while it is down the record goes on and nothing is removed', async () => {
  const made = initialised();
  const { shell } = made;
  const [signer, certificate] = [
    join(shell.dir, 'signer.sock'),
    readCertificate(readFileSync(join(shell.dir, 'certs', 'issuer.crt'))),
  ];
  const key = await openKeyStore({ passphrase: null }).read(join(shell.dir, 'certs', 'issuer.key'));
  const serve = () =>
    serveSigner({
      path: signer,
      keys: [{ signer: key, rules: { certificate, trustDomains: ['certgate.internal'], maxTtl: 86_400_000 } }],
      log: openLog({ level: 'error' }),
    });
  let running = await serve();
  await oneFileMore(made, { signer });
  await oneFileMore(made, { signer });
  await running.close();
  const down = await oneFileMore(made, { rules: { keepFiles: 1 }, signer });
  expect(down.join('')).toContain('the record could not be signed');
  expect(filesIn(made).length).toBeGreaterThan(3);
  running = await serve();
  await record(made, 5, { rules: { keepFiles: 1 }, signer });
  const verified = shell.run('certgate audit --verify');
  expect([verified.status, verified.stderr]).toEqual([0, '']);
  expect(verified.stdout).toMatch(/by issuer 1, active, certificate/);
  await record(made, 1, { rules: { keepFiles: 1 }, signer, until: () => expect(filesIn(made)).toHaveLength(2) });
  await running.close();
  const retired = shell.run('certgate audit --verify');
  expect([retired.status, retired.stdout]).toEqual([0, expect.stringContaining('retired by the gate up to number')]);
}, 60_000);
