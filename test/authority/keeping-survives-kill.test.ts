import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { makeBackup } from '../../src/authority/backup.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { restoreBackup } from '../../src/authority/restore.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { failureOf, integrityOf, newFolder } from '../store/fixture.ts';
import { backedUp, backupOf, given, restoreOf } from './backup-fixture.ts';
import { newCa, openCa, request, TRUST_DOMAIN } from './fixture.ts';
import { type KilledEnd, killedAt as killedAtStep, spread } from './killed-at.ts';

const program = join(import.meta.dirname, 'keeping-process.ts');
const killedAt = (n: number, ...args: readonly string[]): Promise<KilledEnd> => killedAtStep(n, program, args);

it('a kill before any step of a lock leaves it with its audit entry, or neither', async () => {
  const { dir, storePath } = await newCa();
  const { steps } = await killedAt(0, 'lock', dir);
  expect(steps).toBeGreaterThan(8);
  let promised = 1;
  for (let n = 1; n <= steps; n++) {
    const end = await killedAt(n, 'lock', dir);
    expect(end.killed).toBe(true);
    if (end.out !== '') promised++;
  }
  const store = openSqliteStore(storePath);
  const locks = (await store.locks(Date.now())).map(({ subject }) => subject);
  const entries = (await store.listAudit({ limit: 1000 })).filter(({ action }) => action === 'lock');
  expect(entries.map(({ object }) => object)).toEqual(locks);
  expect(locks.length).toBeGreaterThanOrEqual(promised);
  expect(locks.length).toBeLessThan(steps + 1);
  await store.close();
  expect(integrityOf(storePath)).toBe('ok');
}, 120_000);

it('a kill before any step of taking a CRL number gives no number twice', async () => {
  const { dir, storePath } = await newCa();
  const { steps } = await killedAt(0, 'crl', dir);
  const numbers = [1];
  for (const n of spread(steps, 10)) {
    const end = await killedAt(n, 'crl', dir);
    expect(end.killed).toBe(true);
    if (end.out !== '') numbers.push(Number(end.out));
  }
  const store = openSqliteStore(storePath);
  numbers.push(await store.nextCrlNumber('aa11'));
  await store.close();
  expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
  expect(integrityOf(storePath)).toBe('ok');
}, 120_000);

it('of processes that act at once on one CA none gets another’s number, and one backup or restore has the place', async () => {
  const { dir } = await newCa();
  const numbers = await Promise.all(Array.from({ length: 4 }, async () => Number((await killedAt(0, 'crl', dir)).out)));
  expect(numbers.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4]);
  const backup = await backedUp(await openCa());
  for (const deed of [
    async (place: string) => makeBackup(backupOf(await newCa(), place)),
    async (place: string) => restoreBackup(restoreOf(backup, place, { withoutCrl: true })),
  ]) {
    const folder = newFolder();
    const ended = await Promise.allSettled([1, 2, 3].map(() => deed(join(folder, 'place'))));
    const refused = ended.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
    expect(refused).toEqual([1, 2].map(() => expect.objectContaining({ code: 'CG_FOLDER_TAKEN' }) as unknown));
    expect(readdirSync(folder)).toEqual(['place']);
  }
}, 60_000);

it('a kill before any step of a backup leaves a whole one, or none', async () => {
  const ca = await openCa();
  const { record } = await ca.authority.issue(request());
  const folder = newFolder();
  const { steps } = await killedAt(0, 'backup', ca.dir, join(folder, 'whole'));
  const outcomes = new Set<string>();
  for (const n of spread(steps, 14)) {
    const out = join(folder, `backup-${n}`);
    const end = await killedAt(n, 'backup', ca.dir, out);
    expect(end.killed).toBe(true);
    if (end.out !== '') expect(existsSync(out)).toBe(true);
    outcomes.add(existsSync(out) ? 'whole' : 'none');
    if (!existsSync(out)) continue;
    const dir = join(newFolder(), 'restored');
    await restoreBackup(restoreOf(out, dir, { withoutCrl: true }));
    const store = openSqliteStore(join(dir, 'state', 'certgate.db'));
    expect(await store.standing(ca.authority.issuer.keyId, record.serial)).not.toBeNull();
    await store.close();
  }
  expect(outcomes).toEqual(new Set(['whole', 'none']));
  // What a kill leaves has a name that says what it is, and is nobody else's to read.
  const left = readdirSync(folder).filter((name) => !/^(backup-\d+|whole)$/.test(name));
  expect(left.every((name) => /^\.backup-\d+\.backup-\d+-[0-9a-f]{8}$/.test(name))).toBe(true);
}, 120_000);

it.each(['beside what is there', 'into an empty folder'])(
  'a kill before any step of a restore %s leaves a whole CA with its revocations, or none that works',
  async (place) => {
    const ca = await openCa();
    const { record } = await ca.authority.issue(request());
    const backup = await backedUp(ca);
    const folder = newFolder();
    const list = join(folder, 'issuer.crl');
    const { crl } = await given(ca.authority.issuer, 5, [{ serial: record.serial }]);
    writeFileSync(list, crl.frame.der);
    const spot = (n: number): string => {
      const dir = join(folder, `restored-${n}`);
      if (place === 'into an empty folder') mkdirSync(dir);
      return dir;
    };
    const { steps } = await killedAt(0, 'restore', backup, spot(0), list);
    const outcomes = new Set<string>();
    // What differs between the two is in the last steps.
    const early = place === 'into an empty folder' ? [] : spread(steps - 9, 9);
    for (const n of [...early, ...Array.from({ length: 9 }, (_, i) => steps - 8 + i)]) {
      const dir = spot(n);
      const end = await killedAt(n, 'restore', backup, dir, list);
      expect(end.killed).toBe(true);
      const path = join(dir, 'state', 'certgate.db');
      outcomes.add(existsSync(path) ? 'whole' : 'none');
      if (end.out !== '') expect(existsSync(path)).toBe(true);
      if (!existsSync(path)) {
        await failureOf('CG_STORE_MISSING', () => openSqliteStore(path));
        const again = restoreOf(backup, dir, { withoutCrl: true });
        const placed = existsSync(dir) ? readdirSync(dir).filter((name) => !name.includes('.restoring-')) : [];
        if (placed.length > 0) await failureOf('CG_FOLDER_TAKEN', () => restoreBackup(again));
        else await restoreBackup(again);
        const drafts = [...readdirSync(dir), ...readdirSync(folder)].filter((name) =>
          name.startsWith(`.restored-${n}.`),
        );
        expect(drafts).toEqual([]);
        continue;
      }
      const store = openSqliteStore(path);
      expect(await store.standing(ca.authority.issuer.keyId, record.serial)).not.toMatchObject({ revokedAt: null });
      expect(await store.nextCrlNumber(ca.authority.issuer.keyId)).toBe(6);
      const certsDir = join(dir, 'certs');
      await (await loadAuthority({ certsDir, store, trustDomain: TRUST_DOMAIN })).issue(request());
      await store.close();
      expect(integrityOf(path)).toBe('ok');
    }
    expect(outcomes).toEqual(new Set(['whole', 'none']));
  },
  120_000,
);
