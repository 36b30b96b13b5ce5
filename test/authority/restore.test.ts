import { cpSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../../src/authority/copy-file.ts';
import { createAuthority } from '../../src/authority/create.ts';
import { type KeyStore, openKeyStore } from '../../src/authority/key-store.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { restoreBackup } from '../../src/authority/restore.ts';
import { activateRoot, prepareRoot, retireRoot, rotateIssuer } from '../../src/authority/rotate.ts';
import { trustIn } from '../../src/authority/trust.ts';
import { newSerial } from '../../src/pki/certificates.ts';
import { migrations, SCHEMA_VERSION } from '../../src/store/schema.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { CaRecord, Store } from '../../src/store/store.ts';
import { ownFileSystem } from '../store/file-system.ts';
import { closing, failureOf, HOUR, integrityOf, newAudit, newFolder, newRecord } from '../store/fixture.ts';
import { backedUp, given, restoreOf } from './backup-fixture.ts';
import { newCa, type OpenCa, openCa, request, TRUST_DOMAIN } from './fixture.ts';

const newSpot = (): string => join(newFolder(), 'restored');
const storeIn = (dir: string): Store => closing(openSqliteStore(join(dir, 'state', 'certgate.db')));
const issued = async ({ authority }: OpenCa): Promise<string> => (await authority.issue(request())).record.serial;
const entriesOf = (folder: string) => readdirSync(join(folder, '..'));

/** Writes the manifest anew so that it is true of what is in the backup by now. */
async function makeTrue(backup: string): Promise<void> {
  const path = join(backup, 'manifest.json');
  const manifest = JSON.parse(readFileSync(path, 'utf8')) as { files: Array<{ path: string }> };
  const files = await Promise.all(
    manifest.files.map(async ({ path: file }) => ({ path: file, ...(await digestOf(join(backup, file))) })),
  );
  writeFileSync(path, JSON.stringify({ ...manifest, files }));
}

describe('a CA restored elsewhere', () => {
  it('issues, knows what it had issued, and revokes it', async () => {
    const ca = await openCa();
    const before = await issued(ca);
    const dir = newSpot();
    await restoreBackup(restoreOf(await backedUp(ca), dir, { withoutCrl: true }));
    rmSync(ca.dir, { recursive: true });

    const store = storeIn(dir);
    const authority = await loadAuthority({ certsDir: join(dir, 'certs'), store, trustDomain: TRUST_DOMAIN });
    const { record } = await authority.issue(request());
    await authority.revoke({ serial: before }, 'superseded', 'test');
    const listed = await store.listCertificates({ now: Date.now() });
    expect(new Map(listed.map(({ serial, revokedAt }) => [serial, revokedAt !== null]))).toEqual(
      new Map([
        [before, true],
        [record.serial, false],
      ]),
    );
    const mode = (name: string): string => (statSync(join(dir, name)).mode & 0o777).toString(8);
    expect(['certs', 'state', 'certs/issuer.key', 'certs/ca.crt', 'state/certgate.db'].map(mode)).toEqual([
      '700',
      '700',
      '600',
      '644',
      '600',
    ]);
    expect(entriesOf(dir)).toEqual(['restored']);
    await store.close();
    expect(integrityOf(join(dir, 'state', 'certgate.db'))).toBe('ok');
  });

  it('has no record of what was issued after the backup, so that a gate refuses it', async () => {
    const ca = await openCa();
    const known = await issued(ca);
    const backup = await backedUp(ca);
    const late = await issued(ca);
    const dir = newSpot();
    await restoreBackup(restoreOf(backup, dir, { withoutCrl: true }));
    const issuer = ca.authority.issuer.keyId;
    expect(await storeIn(dir).standing(issuer, known)).not.toBeNull();
    expect(await storeIn(dir).standing(issuer, late)).toBeNull();
  });

  it('has a trust bundle with a larger number than the one that it is told', async () => {
    const ca = await openCa();
    const backup = await backedUp(ca);
    const [now, seen] = [Date.now(), Date.UTC(2036, 0, 1)]; // by a clock that was ahead
    const numberAfter = async (bundleAbove: number): Promise<number> => {
      const dir = newSpot();
      await restoreBackup(restoreOf(backup, dir, { withoutCrl: true, bundleAbove, now }));
      return trustIn(await storeIn(dir).listCa()).bundleNumber;
    };
    expect(await numberAfter(seen)).toBe(seen + 1);
    expect(await numberAfter(now - HOUR)).toBe(now);
  });

  it('keeps the moment, before which identity tokens are refused', async () => {
    const backup = await backedUp(await openCa());
    const [dir, now] = [newSpot(), Date.now()];
    await restoreBackup(restoreOf(backup, dir, { withoutCrl: true, now }));
    expect(await storeIn(dir).meta('restoredAt')).toBe(String(now));
  });

  it('lets nobody use a one-time token again that may have been used, or revoked, since the backup', async () => {
    const ca = await openCa();
    const now = Date.now();
    const token = {
      ...{ id: '3f9a0c1e5b7d2468', secretHash: 'ab'.repeat(32), subject: 'worker/etl-1', uses: 1, usesLeft: 1 },
      ...{ ttlMs: HOUR, expiresAt: now + HOUR, createdAt: now, createdBy: 'test' },
      ...{ revokedAt: null, flaggedAt: null, flag: null },
    };
    await ca.store.addToken(token, newAudit());
    const backup = await backedUp(ca);
    const dir = newSpot();
    const { counts } = await restoreBackup(restoreOf(backup, dir, { withoutCrl: true, now }));
    expect(counts.tokens).toBe(1);
    expect(await storeIn(dir).token(token.id)).toMatchObject({ usesLeft: 1, revokedAt: now });
    expect((await storeIn(dir).listAudit({})).map(({ action }) => action)).toContain('token.revoke');
    expect((await ca.store.token(token.id))?.revokedAt).toBeNull();
  });

  it('wants no list of an issuer that is retired: nobody publishes one, and nobody believes its certificates', async () => {
    const ca = await openCa();
    const issuers = async () => (await ca.store.listCa()).filter(({ role }) => role === 'issuer');
    const place = { certsDir: ca.certsDir, store: ca.store, trustDomain: TRUST_DOMAIN, actor: 'test' };
    await ca.store.nextCrlNumber(ca.authority.issuer.keyId);
    await prepareRoot(place);
    await activateRoot(place, true);
    await retireRoot(place);
    await ca.authority.reload();
    await ca.store.nextCrlNumber(ca.authority.issuer.keyId);
    expect((await issuers()).map(({ state }) => state)).toEqual(['retired', 'active']);
    const backup = await backedUp(ca);
    await failureOf('CG_CRL_NEEDED', () => restoreBackup(restoreOf(backup, newSpot())));
    const crls = [await given(ca.authority.issuer, 2, [])];
    const { judgement } = await restoreBackup(restoreOf(backup, newSpot(), { crls }));
    expect(judgement.warnings).toEqual([]);
  });

  it('goes into an empty folder that is there, a mount point too, and never where something is', async (context) => {
    const ca = await newCa();
    const backup = await backedUp(ca);
    const taken = newFolder();
    writeFileSync(join(taken, 'mine'), 'x');
    const error = await failureOf('CG_FOLDER_TAKEN', () =>
      restoreBackup(restoreOf(backup, taken, { withoutCrl: true })),
    );
    expect(error.message).toContain('mine');
    expect(readdirSync(taken)).toEqual(['mine']);
    for (const dir of [newFolder(), ownFileSystem(context, '8m')]) {
      await restoreBackup(restoreOf(backup, dir, { withoutCrl: true }));
      expect(readdirSync(dir).toSorted()).toEqual(['certgate.yaml', 'certs', 'state']);
    }
  });

  it('of an older certgate is brought up to date; of a newer one it is refused with both versions', async () => {
    const ca = await newCa();
    const backup = await backedUp(ca);
    const version = async (value: number): Promise<void> => {
      const db = new DatabaseSync(join(backup, 'state', 'certgate.db'));
      // As if it had been made by the first migration alone.
      const first = new DatabaseSync(':memory:');
      first.exec(migrations[0] ?? '');
      const own = first
        .prepare('SELECT name FROM sqlite_master')
        .all()
        .map(({ name }) => name);
      const columnsOf = (one: DatabaseSync): string[] =>
        one
          .prepare("SELECT name FROM pragma_table_info('certificates')")
          .all()
          .map(({ name }) => String(name));
      const before = columnsOf(first);
      const indexes = first.prepare("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").all();
      first.close();
      for (const column of value === 1 ? columnsOf(db).filter((name) => !before.includes(name)) : []) {
        db.exec(`ALTER TABLE certificates DROP COLUMN ${column}`);
      }
      if (value === 1) db.exec('ALTER TABLE audit DROP COLUMN prev');
      const all = db.prepare('SELECT type, name FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type').all();
      for (const { type, name } of value === 1
        ? all.filter((one) => one['type'] === 'index' || !own.includes(one['name'] ?? null))
        : []) {
        db.exec(`DROP ${String(type)} ${String(name)}`);
      }
      for (const { sql } of value === 1 ? indexes : []) db.exec(String(sql));
      db.exec(`PRAGMA user_version = ${value}`);
      db.close();
      await makeTrue(backup);
    };
    await version(SCHEMA_VERSION + 1);
    const error = await failureOf('CG_STORE_NEWER', () =>
      restoreBackup(restoreOf(backup, newSpot(), { withoutCrl: true })),
    );
    expect(error.facts).toMatchObject({ found: SCHEMA_VERSION + 1, known: SCHEMA_VERSION });
    await version(1);
    const dir = newSpot();
    await restoreBackup(restoreOf(backup, dir, { withoutCrl: true }));
    expect(await storeIn(dir).locks(Date.now())).toEqual([]);
  });

  it('from a backup without keys says that they are missing', async () => {
    const backup = await backedUp(await newCa(), { withKeys: false });
    const { warnings } = await restoreBackup(restoreOf(backup, newSpot(), { withoutCrl: true }));
    expect(warnings[0]).toContain('no certs/issuer.key');
  });
});

describe('a CA of several generations, or with keys that are not plain,', () => {
  const placeIn = ({ certsDir, store }: OpenCa, keys?: KeyStore) => ({
    ...{ certsDir, store, trustDomain: TRUST_DOMAIN, actor: 'test' },
    ...(keys === undefined ? {} : { keys }),
  });

  it('comes back with all of them, and wants the list of each issuer that has one', async () => {
    const ca = await openCa();
    const first = await ca.authority.issue(request());
    const older = ca.authority.issuer;
    await rotateIssuer(placeIn(ca));
    await prepareRoot(placeIn(ca));
    await ca.authority.reload();
    const newer = ca.authority.issuer;
    expect(newer.keyId).not.toBe(older.keyId);
    for (const [issuer, number] of [
      [older, 30],
      [newer, 4],
    ] as const) {
      await ca.store.nextCrlNumber(issuer.keyId, number);
    }
    const backup = await backedUp(ca);
    const dir = newSpot();
    const lists = [await given(newer, 5, [])];
    const error = await failureOf('CG_CRL_NEEDED', () => restoreBackup(restoreOf(backup, dir, { crls: lists })));
    expect(error.message).toContain(`key ${older.keyId}, list 31 or newer`);
    lists.push(await given(older, 40, [{ serial: first.record.serial }]));
    await restoreBackup(restoreOf(backup, dir, { crls: lists }));

    const store = storeIn(dir);
    const [restored, before] = [await store.listCa(), await ca.store.listCa()];
    const last = Math.max(...before.map(({ changedAt }) => changedAt));
    const timeless = (records: readonly CaRecord[]): readonly CaRecord[] =>
      records.map((one) => (one.role === 'issuer' && one.state === 'active' ? { ...one, changedAt: 0 } : one));
    expect(timeless(restored)).toEqual(timeless(before));
    // Sidecars that have seen a bundle from after the backup take the one that is now.
    expect(Math.max(...restored.map(({ changedAt }) => changedAt))).toBeGreaterThan(last);
    expect([await store.nextCrlNumber(older.keyId), await store.nextCrlNumber(newer.keyId)]).toEqual([41, 6]);
    expect(await store.standing(older.keyId, first.record.serial)).not.toMatchObject({ revokedAt: null });
    const authority = await loadAuthority({ certsDir: join(dir, 'certs'), store, trustDomain: TRUST_DOMAIN });
    expect((await authority.issue(request())).record.issuer).toBe(newer.keyId);
  });

  it('with a key of another generation in a key’s place is refused', async () => {
    const ca = await openCa();
    await rotateIssuer(placeIn(ca));
    const backup = await backedUp(ca);
    cpSync(join(backup, 'certs', 'issuer.key'), join(backup, 'certs', 'issuer-2.key'));
    await makeTrue(backup);
    const error = await failureOf('CG_CA_MISMATCH', () =>
      restoreBackup(restoreOf(backup, newSpot(), { withoutCrl: true })),
    );
    expect(error.message).toContain('certs/issuer-2.key');
  });

  it('keeps encrypted keys encrypted, and says that it could not look at them', async () => {
    const keys = openKeyStore({ passphrase: { name: 'a test', read: async () => Buffer.from('a long passphrase') } });
    const dir = newFolder();
    const made = { certsDir: join(dir, 'certs'), stateDir: join(dir, 'state') };
    const { store: storePath } = await createAuthority({ ...made, trustDomain: TRUST_DOMAIN, actor: 'test', keys });
    const backup = await backedUp({ dir, certsDir: made.certsDir, storePath });
    const key = readFileSync(join(backup, 'certs', 'issuer.key'), 'utf8');
    expect(key).toContain('-----BEGIN ENCRYPTED PRIVATE KEY-----');
    const spot = newSpot();
    const { warnings } = await restoreBackup(restoreOf(backup, spot, { withoutCrl: true }));
    expect(warnings.filter((one) => one.includes('is encrypted'))).toHaveLength(2);
    expect(readFileSync(join(spot, 'certs', 'issuer.key'), 'utf8')).toBe(key);
    const place = { certsDir: join(spot, 'certs'), store: storeIn(spot), trustDomain: TRUST_DOMAIN, keys };
    await (await loadAuthority(place)).issue(request());
  });

  it('has a private key back as private as it was, whatever its file is called', async () => {
    const ca = await openCa();
    writeFileSync(join(ca.certsDir, 'corp.pem'), readFileSync(join(ca.certsDir, 'root.key')), { mode: 0o600 });
    const dir = newSpot();
    await restoreBackup(restoreOf(await backedUp(ca), dir, { withoutCrl: true }));
    const modeOf = (name: string) => statSync(join(dir, 'certs', name)).mode & 0o777;
    expect([modeOf('corp.pem'), modeOf('root.key'), modeOf('root.crt')]).toEqual([0o600, 0o600, 0o644]);
  });

  it('whose root key is kept elsewhere comes back without it', async () => {
    const ca = await openCa();
    rmSync(join(ca.certsDir, 'root.key'));
    const dir = newSpot();
    const { warnings } = await restoreBackup(restoreOf(await backedUp(ca), dir, { withoutCrl: true }));
    expect(warnings).toEqual([]);
    const place = { certsDir: join(dir, 'certs'), store: storeIn(dir), trustDomain: TRUST_DOMAIN };
    await (await loadAuthority(place)).issue(request());
  });
});

describe('a revocation list', () => {
  it('of thousands is taken over so that it can be read again in pages', async () => {
    const ca = await openCa();
    const backup = await backedUp(ca);
    const named = Array.from({ length: 1_200 }, () => ({ serial: newSerial() }));
    const dir = newSpot();
    await restoreBackup(restoreOf(backup, dir, { crls: [await given(ca.authority.issuer, 7, named)] }));
    const store = storeIn(dir);
    const page = await store.revocationsSince(0, 100);
    expect(page.length).toBeGreaterThanOrEqual(100);
    expect(page.length).toBeLessThan(named.length);
    const rest = await store.revocationsSince(page.at(-1)?.revision ?? 0);
    expect(page.length + rest.length).toBe(named.length);
  });

  it('revokes again what the backup has as valid, records what it does not know, and leaves the rest', async () => {
    const ca = await openCa();
    const [stolen, gone, known, fine] = [await issued(ca), await issued(ca), await issued(ca), await issued(ca)];
    await ca.authority.revoke({ serial: gone }, 'superseded', 'test');
    await ca.authority.revoke({ serial: known }, 'superseded', 'test');
    const [goneAt = 0, knownAt = 0] = (await ca.store.revocationsSince(0)).map(({ revokedAt }) => revokedAt);
    const backup = await backedUp(ca);
    const late = await issued(ca);
    const at = new Date(Math.floor(Date.now() / 1000) * 1000);
    const named = [
      { serial: stolen, revokedAt: at, reason: 1 },
      { serial: gone },
      { serial: known, revokedAt: at, reason: 1 },
      { serial: late, revokedAt: at, reason: 6 },
      { serial: 'aa'.repeat(16), revokedAt: at, reason: 1 },
    ];
    const dir = newSpot();
    const restored = await restoreBackup(
      restoreOf(backup, dir, { crls: [await given(ca.authority.issuer, 7, named)] }),
    );
    expect(restored.counts).toEqual({ revoked: 1, unknown: 2, tokens: 0 });
    expect(restored.warnings).toEqual([]);

    const store = storeIn(dir);
    const issuer = ca.authority.issuer.keyId;
    const revocations = await store.revocationsSince(0);
    const facts = revocations.map(
      ({ serial, revokedAt, reason, identity }) => [serial, { revokedAt, reason, identity }] as const,
    );
    expect(new Map(facts)).toEqual(
      new Map([
        [stolen, { revokedAt: at.getTime(), reason: 'keyCompromise', identity: 'worker/etl-1' }],
        [gone, { revokedAt: goneAt, reason: 'superseded', identity: 'worker/etl-1' }],
        // that its key is known was learned after the backup
        [known, { revokedAt: knownAt, reason: 'keyCompromise', identity: 'worker/etl-1' }],
        // a hold is a revocation to who cannot ask any more
        [late, { revokedAt: at.getTime(), reason: 'unspecified', identity: 'unknown' }],
        ['aa'.repeat(16), { revokedAt: at.getTime(), reason: 'keyCompromise', identity: 'unknown' }],
      ]),
    );
    expect(facts).toHaveLength(5);
    expect(await store.standing(issuer, fine)).toMatchObject({ revokedAt: null });
    expect(await store.standing(issuer, late)).toMatchObject({ revokedAt: at.getTime() });
    const issuerEnd = ca.authority.issuer.certificate.validToDate.getTime();
    expect(await store.standing(issuer, late)).toMatchObject({ notAfter: issuerEnd }); // a later list must name it too
    // Its key is as unknown as itself, and in no new certificate's way.
    const authority = await loadAuthority({ certsDir: join(dir, 'certs'), store, trustDomain: TRUST_DOMAIN });
    expect(await store.compromisedSince(0)).toHaveLength(2);
    await authority.issue(request());
    await failureOf('CG_STORE_SERIAL_TAKEN', () => store.addCertificate(newRecord({ serial: late }), newAudit()));
    expect(await store.nextCrlNumber(issuer)).toBe(8);
    const audit = await store.listAudit({ limit: 1000 });
    expect(audit.slice(-6, -1).map(({ action, detail }) => [action, detail['serial'] ?? detail['crls']])).toEqual([
      ['certificate.revoke', stolen],
      ['certificate.revoke', known],
      ['certificate.revoke', late],
      ['certificate.revoke', 'aa'.repeat(16)],
      ['ca.restore', `${issuer}:7`],
    ]);
    expect(await store.revision()).toBe(restored.manifest.store.revision + 2);
  });

  it('with a number that goes back is refused, and the same number is not', async () => {
    const ca = await openCa();
    const { issuer } = ca.authority;
    await ca.store.nextCrlNumber(issuer.keyId, 41);
    const backup = await backedUp(ca);
    const dir = newSpot();
    const old = restoreOf(backup, dir, { crls: [await given(issuer, 41, [])] });
    const error = await failureOf('CG_CRL_NUMBER', () => restoreBackup(old));
    expect(error.message).toContain('a number that goes back: list 41');
    expect(error.message).toContain('list 42');
    for (const number of [null, 2 ** 60]) {
      const crls = [await given(issuer, number, [])];
      await failureOf('CG_CRL_NUMBER', () => restoreBackup(restoreOf(backup, dir, { crls })));
    }
    expect(entriesOf(dir)).toEqual([]);
    await restoreBackup(restoreOf(backup, dir, { crls: [await given(issuer, 42, [])] }));
    expect(await storeIn(dir).nextCrlNumber(issuer.keyId)).toBe(43);
  });

  it('of another CA, or with one octet changed, is refused', async () => {
    const [ca, other] = [await openCa(), await openCa()];
    const backup = await backedUp(ca);
    const foreign = [await given(other.authority.issuer, 1, [])];
    const error = await failureOf('CG_CRL_FOREIGN', () =>
      restoreBackup(restoreOf(backup, newSpot(), { crls: foreign })),
    );
    expect(error.message).toContain(other.authority.issuer.keyId);
    const own = await given(ca.authority.issuer, 1, [{ serial: 'aabbccddeeff0011' }]);
    const at = Buffer.from(own.crl.frame.der).indexOf(Buffer.from('aabbccddeeff0011', 'hex'));
    const der = Uint8Array.from(own.crl.frame.der);
    der[at] = 0xab;
    const { readCrl } = await import('../../src/pki/read-crl.ts');
    const changed = [{ source: 'x.crl', crl: readCrl(der) }];
    const damage = await failureOf('CG_CRL_FOREIGN', () =>
      restoreBackup(restoreOf(backup, newSpot(), { crls: changed })),
    );
    expect(damage.message).toContain('changed or damaged');
  });

  it('is asked for, by the issuers that are known to have one', async () => {
    const ca = await openCa();
    const backup = await backedUp(ca);
    const dir = newSpot();
    const first = await failureOf('CG_CRL_NEEDED', () => restoreBackup(restoreOf(backup, dir)));
    expect(first.hint).toContain('--without-crl');
    await ca.store.nextCrlNumber(ca.authority.issuer.keyId);
    const newer = await backedUp(ca);
    const second = await failureOf('CG_CRL_NEEDED', () => restoreBackup(restoreOf(newer, dir)));
    expect(second.message).toContain(`key ${ca.authority.issuer.keyId}, list 1 or newer`);
    expect(entriesOf(dir)).toEqual([]);
  });

  it('that should have been replaced by now is taken, with a warning', async () => {
    const ca = await openCa();
    const backup = await backedUp(ca);
    const past = { thisUpdate: new Date(Date.now() - 2 * HOUR), nextUpdate: new Date(Date.now() - HOUR) };
    const crls = [await given(ca.authority.issuer, 1, [], past)];
    const { warnings } = await restoreBackup(restoreOf(backup, newSpot(), { crls }));
    expect(warnings).toEqual([expect.stringContaining('should have been replaced')]);
  });

  it('that is not there is done without only on request: the warning says since when, and numbers are skipped', async () => {
    const ca = await openCa();
    const { keyId } = ca.authority.issuer;
    await ca.store.nextCrlNumber(keyId, 99);
    const backup = await backedUp(ca, { now: Date.UTC(2026, 10, 20) });
    const dir = newSpot();
    const now = Date.UTC(2026, 10, 20) + HOUR;
    const { warnings } = await restoreBackup(restoreOf(backup, dir, { withoutCrl: true, now }));
    expect(warnings).toEqual([expect.stringContaining('revoked after 2026-11-20T00:00:00.000Z is forgotten')]);
    // One list a second is the most that there can have been.
    expect(await storeIn(dir).nextCrlNumber(keyId)).toBeGreaterThan(100 + 3600);
  });
});

describe('a backup is refused, and nothing is left of the attempt,', () => {
  const damages: ReadonlyArray<readonly [what: string, damage: (backup: string) => void]> = [
    [
      'with one octet changed',
      (backup) => {
        const path = join(backup, 'certs', 'root.crt');
        const bytes = readFileSync(path);
        bytes[100] = (bytes[100] ?? 0) ^ 1;
        writeFileSync(path, bytes);
      },
    ],
    ['cut short', (backup) => writeFileSync(join(backup, 'state', 'certgate.db'), '')],
    ['with a file missing', (backup) => rmSync(join(backup, 'certs', 'issuer.key'))],
    ['without its manifest', (backup) => rmSync(join(backup, 'manifest.json'))],
    ['with a manifest that is none', (backup) => writeFileSync(join(backup, 'manifest.json'), '{"files":[]}')],
    [
      'with a manifest cut short',
      (backup) => {
        const path = join(backup, 'manifest.json');
        writeFileSync(path, readFileSync(path, 'utf8').slice(0, 300));
      },
    ],
    [
      'with a link in place of a file',
      (backup) => {
        const path = join(backup, 'certs', 'issuer.key');
        cpSync(path, `${path}.aside`);
        rmSync(path);
        symlinkSync(`${path}.aside`, path);
      },
    ],
  ];
  it.each(damages)('%s', async (_, damage) => {
    const backup = await backedUp(await newCa());
    damage(backup);
    const dir = newSpot();
    await failureOf('CG_BACKUP_UNUSABLE', () => restoreBackup(restoreOf(backup, dir, { withoutCrl: true })));
    expect(entriesOf(dir)).toEqual([]);
  });

  it.each([
    '../outside',
    'certs/../../outside',
    '/etc/passwd',
    'certs/.hidden',
    'certs//x',
    'state/other',
    'certs\\x',
    'certs',
  ])('with a manifest that names %s', async (path) => {
    const backup = await backedUp(await newCa());
    const file = join(backup, 'manifest.json');
    const manifest = JSON.parse(readFileSync(file, 'utf8')) as { files: unknown[] };
    manifest.files.push({ path, bytes: 0, sha256: '0'.repeat(64) });
    writeFileSync(file, JSON.stringify(manifest));
    const error = await failureOf('CG_BACKUP_UNUSABLE', () =>
      restoreBackup(restoreOf(backup, newSpot(), { withoutCrl: true })),
    );
    expect(error.message).toContain('that no backup has');
  });

  it('that is put together from two: a store, a key or a certificate of another CA', async () => {
    const [one, other] = [await openCa(), await openCa()];
    await issued(one);
    for (const path of ['state/certgate.db', 'certs/issuer.key', 'certs/issuer.crt', 'certs/root.crt']) {
      const [backup, foreign] = [await backedUp(one), await backedUp(other)];
      cpSync(join(foreign, path), join(backup, path));
      await makeTrue(backup);
      const dir = newSpot();
      const error = await failureOf('CG_CA_MISMATCH', () =>
        restoreBackup(restoreOf(backup, dir, { withoutCrl: true })),
      );
      expect([path, error.message]).toEqual([path, expect.stringContaining('backup')]);
      expect(entriesOf(dir)).toEqual([]);
    }
  });

  it('whose configuration is for another trust domain', async () => {
    const ca = await newCa();
    const backup = await backedUp(ca);
    const different = { withoutCrl: true, configuration: (text: string) => ({ text, trustDomain: 'other.example' }) };
    await failureOf('CG_TRUST_DOMAIN_MISMATCH', () => restoreBackup(restoreOf(backup, newSpot(), different)));
  });

  it('whose store is damaged although its digest is right', async () => {
    const ca = await openCa();
    for (let n = 0; n < 30; n++) await issued(ca);
    const backup = await backedUp(ca);
    const path = join(backup, 'state', 'certgate.db');
    const bytes = readFileSync(path);
    bytes.fill(0xff, bytes.length - 4096);
    writeFileSync(path, bytes);
    await makeTrue(backup);
    const dir = newSpot();
    const error = await failureOf('CG_BACKUP_UNUSABLE', () =>
      restoreBackup(restoreOf(backup, dir, { withoutCrl: true })),
    );
    expect(error.message).toContain(path);
    expect(entriesOf(dir)).toEqual([]);
  });
});
