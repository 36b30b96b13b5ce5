// From schema 1, as certgate 0.1.0 wrote it, to the newest: nothing lost, whatever happens on the way.
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { APPLICATION_ID, migrations, SCHEMA_VERSION } from '../../src/store/schema.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { copyStoreFile } from '../../src/store/sqlite-copy.ts';
import type { CertificateRecord } from '../../src/store/store.ts';
import { killedAt } from '../authority/killed-at.ts';
import { closing, failureOf, integrityOf, NOW, newAudit, newFolder, newRecord, runScript } from './fixture.ts';

const opener = join(import.meta.dirname, 'opening-process.ts');

/** A store of schema 1 with these certificates, the first of them revoked, made by that schema's own statements. */
function storeOfVersion1(records: readonly CertificateRecord[]): string {
  const path = join(newFolder(), 'certgate.db');
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA journal_mode = WAL`);
  db.exec(migrations[0] ?? '');
  db.exec('PRAGMA user_version = 1; BEGIN');
  const insert = db.prepare(
    `INSERT INTO certificates (serial, issuer, identity, profile, subject, not_before, not_after, fingerprint, der,
       issued_at, revoked) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`,
  );
  const audit = db.prepare("INSERT INTO audit (time, actor, action, object, detail) VALUES (?, 'test', 'x', ?, '{}')");
  for (const r of records) {
    insert.run(
      ...[
        r.serial,
        r.issuer,
        r.identity,
        r.profile,
        r.subject,
        r.notBefore,
        r.notAfter,
        r.fingerprint,
        r.der,
        r.issuedAt,
      ],
    );
    audit.run(r.issuedAt, r.identity);
  }
  db.exec(`UPDATE revision SET number = ${records.length + 1}`);
  db.prepare(
    "UPDATE certificates SET revoked = 1, revoked_at = ?, reason = 'keyCompromise', revoked_revision = ? WHERE serial = ?",
  ).run(NOW, records.length + 1, records[0]?.serial ?? '');
  db.exec("INSERT INTO meta VALUES ('trustDomain', 'prefect.example'); COMMIT");
  db.close();
  return path;
}

const some = (count: number): CertificateRecord[] =>
  Array.from({ length: count }, (_, n) => newRecord({ identity: `worker/etl-${n}`, issuedAt: NOW + n }));

/** Everything that was in it is in it, and what is new in the newest schema can be used. */
async function expectWhole(path: string, records: readonly CertificateRecord[]): Promise<void> {
  const store = closing(openSqliteStore(path));
  const listed = await store.listCertificates({ now: NOW, limit: 1000 });
  const [first, ...others] = records;
  expect(listed.toReversed()).toEqual([{ ...first, revokedAt: NOW, reason: 'keyCompromise' }, ...others]);
  expect(await store.listAudit({ limit: 1000 })).toHaveLength(records.length);
  expect(await store.revision()).toBe(records.length + 1);
  expect((await store.revocationsSince(0)).map(({ serial }) => serial)).toEqual([first?.serial]);
  expect(await store.meta('trustDomain')).toBe('prefect.example');
  expect(await store.nextCrlNumber('aa11')).toBe(1);
  expect(await store.locks(NOW)).toEqual([]);
  await store.addCertificate(newRecord(), newAudit());
  await store.close();
  expect(integrityOf(path)).toBe('ok');
}

const versionOf = (path: string): unknown => {
  const db = new DatabaseSync(path);
  try {
    return db.prepare('PRAGMA user_version').get()?.['user_version'];
  } finally {
    db.close();
  }
};

it('a store of schema 1 is brought to the newest with every row', async () => {
  const records = some(200);
  const path = storeOfVersion1(records);
  await expectWhole(path, records);
  expect(versionOf(path)).toBe(SCHEMA_VERSION);
});

it('a kill before any step of that leaves it at schema 1 or at the newest, whole', async () => {
  const records = some(20);
  const original = storeOfVersion1(records);
  const killed = async (n: number) => {
    const path = join(newFolder(), 'certgate.db');
    cpSync(original, path);
    return { path, ...(await killedAt(n, opener, [path])) };
  };
  const { steps } = await killed(0);
  expect(steps).toBeGreaterThan(8);
  const versions = new Set<unknown>();
  for (let n = 1; n <= steps; n++) {
    const { path, killed: wasKilled } = await killed(n);
    expect(wasKilled).toBe(true);
    versions.add(versionOf(path));
    await expectWhole(path, records);
  }
  expect(versions).toEqual(new Set([1, SCHEMA_VERSION]));
}, 120_000);

it('four processes that open it at once bring it there once', async () => {
  const records = some(20);
  const path = storeOfVersion1(records);
  const ended = await Promise.all(Array.from({ length: 4 }, () => runScript(opener, [path])));
  expect(ended.map(({ code, err }) => [code, err])).toEqual(Array.from({ length: 4 }, () => [0, '']));
  await expectWhole(path, records);
});

it('the uses of tokens that a store of schema 12 has are those that the newest finds, by key and by name', async () => {
  const path = join(newFolder(), 'certgate.db');
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA journal_mode = WAL`);
  for (const step of migrations.slice(0, 12)) db.exec(step);
  db.exec('PRAGMA user_version = 12');
  const [own, several] = ['0'.repeat(16), '1'.repeat(16)];
  const token = db.prepare(
    `INSERT INTO tokens (id, secret_hash, subject, uses, uses_left, ttl, expires_at, created_at, created_by)
       VALUES (?, ?, ?, 9, 7, 1, ?, ?, 'test')`,
  );
  token.run(own, 'ab'.repeat(32), 'worker/etl-1', NOW + 1, NOW);
  token.run(several, 'cd'.repeat(32), 'worker/etl-*', NOW + 1, NOW);
  const uses = [
    { token: own, keyHash: 'aa'.repeat(32), identity: 'worker/etl-1', serial: 'a1', usedAt: NOW },
    { token: own, keyHash: 'bb'.repeat(32), identity: 'worker/etl-1', serial: 'a2', usedAt: NOW + 1 },
    { token: several, keyHash: 'aa'.repeat(32), identity: 'worker/etl-2', serial: 'a3', usedAt: NOW },
    { token: several, keyHash: 'cc'.repeat(32), identity: 'worker/etl-3', serial: 'a4', usedAt: NOW + 1 },
  ];
  const insert = db.prepare(
    'INSERT INTO token_uses (token, key_hash, identity, serial, used_at) VALUES (?, ?, ?, ?, ?)',
  );
  for (const { token: id, keyHash, identity, serial, usedAt } of uses)
    insert.run(id, keyHash, identity, serial, usedAt);
  db.close();
  const store = closing(openSqliteStore(path));
  expect(await store.tokenUses(own)).toEqual(uses.slice(0, 2));
  expect(await store.tokenUses(several)).toEqual(uses.slice(2));
  const unknown = 'ee'.repeat(32);
  const found = async (id: string, keyHash: string, asked: string) =>
    (await store.tokenFor(id, { keyHash, asked }))?.use ?? null;
  expect(await found(own, 'bb'.repeat(32), 'worker/etl-1')).toEqual(uses[1]);
  expect(await found(several, unknown, 'worker/etl-3')).toEqual(uses[3]);
  expect(await found(several, unknown, 'worker/etl-9')).toBeNull();
  await store.close();
  expect([versionOf(path), integrityOf(path)]).toEqual([SCHEMA_VERSION, 'ok']);
});

it('a backup of it leaves it as it is', async () => {
  const records = some(20);
  const path = storeOfVersion1(records);
  const copy = join(newFolder(), 'copy.db');
  writeFileSync(copy, '', { mode: 0o600 });
  expect(copyStoreFile(path, copy)).toMatchObject({ schema: 1, revision: 21, certificates: 20, crlNumbers: {} });
  expect([versionOf(path), versionOf(copy)]).toEqual([1, 1]);
  await expectWhole(copy, records);
});

it('an older certgate that meets a newer store says what is wrong and what to do, and changes nothing', async () => {
  const path = storeOfVersion1(some(3));
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA user_version = ${SCHEMA_VERSION + 7}`);
  db.close();
  for (const readOnly of [false, true]) {
    const error = await failureOf('CG_STORE_NEWER', () => openSqliteStore(path, { readOnly }));
    expect(error.message).toBe(
      `${path} was written by a newer certgate: it has schema version ${SCHEMA_VERSION + 7}, this one knows ${SCHEMA_VERSION} at most`,
    );
    expect(error.hint).toContain('certgate --version');
    expect(error.hint).toContain('certgate restore');
  }
  expect(versionOf(path)).toBe(SCHEMA_VERSION + 7);
});
