// A backup put back elsewhere is the same CA: it issues, knows what it had issued, and forgets no refusal.

import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { loadAuthority } from '../../src/authority/load.ts';
import { restoreBackup } from '../../src/authority/restore.ts';
import { activateRoot, prepareRoot, retireRoot } from '../../src/authority/rotate.ts';
import { trustIn } from '../../src/authority/trust.ts';
import { migrations, SCHEMA_VERSION } from '../../src/store/schema.ts';
import { ownFileSystem } from '../store/file-system.ts';
import { failureOf, HOUR, integrityOf, newAudit, newFolder } from '../store/fixture.ts';
import { backedUp, entriesOf, given, issued, makeTrue, newSpot, restoreOf, storeIn } from './backup-fixture.ts';
import { newCa, openCa, request, TRUST_DOMAIN } from './fixture.ts';

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
