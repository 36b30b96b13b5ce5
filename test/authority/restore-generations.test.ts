// A backup of a CA with several issuers and roots, or with keys that are encrypted or kept elsewhere, is put back whole.

import { cpSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createAuthority } from '../../src/authority/create.ts';
import { type KeyStore, openKeyStore } from '../../src/authority/key-store.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { restoreBackup } from '../../src/authority/restore.ts';
import { prepareRoot, rotateIssuer } from '../../src/authority/rotate.ts';
import type { CaRecord } from '../../src/store/store.ts';
import { failureOf, newFolder } from '../store/fixture.ts';
import { backedUp, given, makeTrue, newSpot, restoreOf, storeIn } from './backup-fixture.ts';
import { type OpenCa, openCa, request, TRUST_DOMAIN } from './fixture.ts';

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

  it('lets no list of one issuer revoke what another has issued', async () => {
    const ca = await openCa();
    const older = ca.authority.issuer;
    await ca.authority.issue(request());
    await rotateIssuer(placeIn(ca));
    await ca.authority.reload();
    const { record } = await ca.authority.issue(request());
    const crls = [await given(older, 1, [{ serial: record.serial }]), await given(ca.authority.issuer, 1, [])];
    const dir = newSpot();
    const { counts } = await restoreBackup(restoreOf(await backedUp(ca), dir, { crls }));
    expect(counts).toMatchObject({ revoked: 0, unknown: 0 });
    expect(await storeIn(dir).standing(record.issuer, record.serial)).toMatchObject({ revokedAt: null });
    expect(await storeIn(dir).revocationsSince(0)).toEqual([]);
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
