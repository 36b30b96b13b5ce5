// The revocation lists that a restore is given: what was revoked since the backup is revoked again, and no number goes back.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadAuthority } from '../../src/authority/load.ts';
import { restoreBackup } from '../../src/authority/restore.ts';
import { issuerOf, newSerial } from '../../src/pki/certificates.ts';
import { privateKeyFromPem } from '../../src/pki/keys.ts';
import { signerOf } from '../../src/pki/signing.ts';
import { failureOf, HOUR, newAudit, newRecord } from '../store/fixture.ts';
import { backedUp, entriesOf, given, issued, newSpot, restoreOf, storeIn } from './backup-fixture.ts';
import { openCa, request, TRUST_DOMAIN } from './fixture.ts';

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

  it('is one of several of an issuer: each revokes, and the next number is above all of theirs', async () => {
    const ca = await openCa();
    const { issuer } = ca.authority;
    const backup = await backedUp(ca);
    const [newer, older] = [
      await given(issuer, 7, [{ serial: 'aa'.repeat(16) }]),
      await given(issuer, 5, [{ serial: 'bb'.repeat(16) }, { serial: 'aa'.repeat(16) }]),
    ];
    for (const crls of [
      [newer, older],
      [older, newer],
    ]) {
      const dir = newSpot();
      const { counts } = await restoreBackup(restoreOf(backup, dir, { crls }));
      expect(counts.unknown).toBe(2);
      expect(await storeIn(dir).revocationsSince(0)).toHaveLength(2);
      expect(await storeIn(dir).nextCrlNumber(issuer.keyId)).toBe(8);
    }
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

  it('of the root alone says nothing of who was let in: that of the issuer is asked for', async () => {
    const ca = await openCa();
    await issued(ca);
    const backup = await backedUp(ca);
    const [certificate, key] = ['root.crt', 'root.key'].map((name) => readFileSync(join(ca.certsDir, name), 'utf8'));
    const root = issuerOf(certificate ?? '', signerOf(privateKeyFromPem(key ?? '')));
    const crls = [await given(root, 1, [])];
    const error = await failureOf('CG_CRL_NEEDED', () => restoreBackup(restoreOf(backup, newSpot(), { crls })));
    expect(error.message).toContain(`(key ${ca.authority.issuer.keyId})`);
    const { warnings } = await restoreBackup(restoreOf(backup, newSpot(), { crls, withoutCrl: true }));
    expect(warnings).toEqual([expect.stringContaining('is forgotten')]);
    await restoreBackup(restoreOf(backup, newSpot(), { crls: [...crls, await given(ca.authority.issuer, 1, [])] }));
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
