import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { type CertificateRecord, UNKNOWN_IDENTITY } from '../../src/store/store.ts';
import {
  addAll,
  closing,
  failureOf,
  HOUR,
  ISSUER,
  NOW,
  newAudit,
  newFolder,
  newRecord,
  newStore,
  newToken,
} from './fixture.ts';

describe('revocations in pages', () => {
  it('never part those of one revision, and come all, each once', async () => {
    const store = newStore();
    const records = Array.from({ length: 10 }, () => newRecord());
    await addAll(store, records);
    const serials = records.map(({ serial }) => serial);
    for (const [from, to] of [
      [0, 1],
      [1, 6],
      [6, 7],
      [7, 10],
    ] as const) {
      await store.revoke(serials.slice(from, to), 'keyCompromise', NOW, () => newAudit());
    }
    const revocations = (after: number, limit: number) => store.revocationsSince(after, limit);
    const compromised = (after: number, limit: number) => store.compromisedSince(after, limit);
    for (const read of [revocations, compromised]) {
      const seen: string[] = [];
      const sizes: number[] = [];
      for (let after = 0; ; ) {
        const page = await read(after, 2);
        seen.push(...page.map(({ serial }) => serial));
        sizes.push(page.length);
        if (page.length < 2) break;
        after = page.at(-1)?.revision ?? 0;
      }
      expect(seen).toEqual(serials);
      expect(sizes).toEqual([6, 4, 0]);
    }
  });
});

describe('revocations for keyCompromise in pages', () => {
  it('leave out those of which nobody has the key, and do not end for them', async () => {
    const store = newStore();
    const unknown = Array.from({ length: 2 }, () => newRecord({ identity: UNKNOWN_IDENTITY }));
    const known = [newRecord(), newRecord()];
    for (const record of [...unknown, ...known]) {
      await addAll(store, [record]);
      await store.revoke([record.serial], 'keyCompromise', NOW, () => newAudit());
    }
    const [first] = await store.compromisedSince(0, 1);
    expect(first?.serial).toBe(known[0]?.serial);
    expect((await store.compromisedSince(first?.revision ?? 0, 1)).map(({ serial }) => serial)).toEqual([
      known[1]?.serial,
    ]);
  });
});

describe('a certificate in the store', () => {
  it('is kept with every field as it was given', async () => {
    const store = newStore();
    const record = newRecord({ profile: 'server', identity: 'gate/inbound', subject: 'CN=gate/inbound, O=„Größe“' });
    await store.addCertificate(record, newAudit());
    const [kept] = await store.listCertificates({ serial: record.serial, now: NOW });
    expect({ ...kept, der: Buffer.from(kept?.der ?? []) }).toEqual({ ...record, der: Buffer.from(record.der) });
  });

  it.each<Partial<CertificateRecord>>([
    { wantedTtl: 48 * HOUR },
    { renewable: false },
    { groups: ['etl'] },
    { groups: ['data team', 'Größe', 'a,b'], renewable: false, wantedTtl: 1 },
  ])('is kept with what few have: %j', async (values) => {
    const store = newStore();
    const record = newRecord(values);
    await store.addCertificate(record, newAudit());
    const [kept] = await store.listCertificates({ serial: record.serial, now: NOW });
    expect({ ...kept, der: null }).toEqual({ ...record, der: null });
    const [revoked] = await store.revoke([record.serial], 'superseded', NOW, () => newAudit());
    expect(revoked).toMatchObject(values);
  });

  it('is committed together with its audit entry, or neither is', async () => {
    const store = newStore();
    const record = newRecord();
    const entry = newAudit({ detail: { serial: record.serial, n: 1, yes: true, none: null } });
    await store.addCertificate(record, entry);
    expect(await store.listAudit({})).toMatchObject([{ ...entry, id: 1, prev: '0'.repeat(64) }]);
    const before = await store.revision();
    await expect(store.addCertificate(newRecord(), newAudit({ actor: '' }))).rejects.toThrow(/CHECK/);
    await failureOf('CG_STORE_SERIAL_TAKEN', () => store.addCertificate(record, newAudit()));
    expect(await store.listAudit({})).toHaveLength(1);
    expect(await store.listCertificates({ now: NOW })).toHaveLength(1);
    expect(await store.revision()).toBe(before);
  });

  it('has a serial that nobody else can have, whoever the issuer is', async () => {
    const store = newStore();
    const record = newRecord();
    await store.addCertificate(record, newAudit());
    const error = await failureOf('CG_STORE_SERIAL_TAKEN', () =>
      store.addCertificate(newRecord({ serial: record.serial, issuer: 'bb22' }), newAudit()),
    );
    expect(error.message).toContain(record.serial);
  });

  it('starts as not revoked, whatever its record says', async () => {
    const store = newStore();
    const record = newRecord({ revokedAt: NOW, reason: 'superseded' });
    await store.addCertificate(record, newAudit());
    expect(await store.standing(ISSUER, record.serial)).toMatchObject({ revokedAt: null });
  });

  it('stands under its issuer and serial, and under no other', async () => {
    const store = newStore();
    const record = newRecord();
    await store.addCertificate(record, newAudit());
    expect(await store.standing(ISSUER, record.serial)).toEqual({
      identity: record.identity,
      notAfter: record.notAfter,
      fingerprint: record.fingerprint,
      revokedAt: null,
    });
    expect(await store.standing('bb22', record.serial)).toBeNull();
    expect(await store.standing(ISSUER, record.serial.toUpperCase())).toBeNull();
    expect(await store.standing(ISSUER, '00')).toBeNull();
  });
});

describe('a revocation', () => {
  it('marks the certificate and adds one audit entry made from the revoked record', async () => {
    const store = newStore();
    const record = newRecord();
    await store.addCertificate(record, newAudit());
    const [revoked] = await store.revoke([record.serial], 'keyCompromise', NOW + 5, (r) =>
      newAudit({ action: 'certificate.revoke', detail: { serial: r.serial, at: r.revokedAt } }),
    );
    expect(revoked).toMatchObject({ serial: record.serial, revokedAt: NOW + 5, reason: 'keyCompromise' });
    expect(await store.standing(ISSUER, record.serial)).toMatchObject({ revokedAt: NOW + 5 });
    expect((await store.listAudit({ afterId: 1 })).map((entry) => entry.detail)).toEqual([
      { serial: record.serial, at: NOW + 5 },
    ]);
  });

  it('keeps the first moment and reason when it is repeated, and then changes nothing', async () => {
    const store = newStore();
    const record = newRecord();
    await store.addCertificate(record, newAudit());
    await store.revoke([record.serial], 'keyCompromise', NOW, () => newAudit());
    const revision = await store.revision();
    const again = await store.revoke([record.serial], 'superseded', NOW + HOUR, () => newAudit());
    expect(again).toMatchObject([{ revokedAt: NOW, reason: 'keyCompromise' }]);
    expect(await store.revision()).toBe(revision);
    expect(await store.listAudit({})).toHaveLength(2);
  });

  it('learns that a key was compromised after another reason: the moment stays, the reason and the revision do not', async () => {
    const store = newStore();
    const record = newRecord();
    await store.addCertificate(record, newAudit());
    await store.revoke([record.serial], 'superseded', NOW, () => newAudit());
    const revision = await store.revision();
    const again = await store.revoke([record.serial], 'keyCompromise', NOW + HOUR, () => newAudit());
    expect(again).toMatchObject([{ revokedAt: NOW, reason: 'keyCompromise' }]);
    expect(await store.revocationsSince(revision)).toMatchObject([{ serial: record.serial, isNew: false }]);
    expect(await store.compromisedSince(revision)).toMatchObject([{ serial: record.serial }]);
    expect(await store.listAudit({})).toHaveLength(3);
    await store.revoke([record.serial], 'cACompromise', NOW + HOUR, () => newAudit());
    expect(await store.revocationsSince(revision)).toMatchObject([{ reason: 'keyCompromise' }]);
  });

  it('answers in the order asked, without serials that do not exist', async () => {
    const store = newStore();
    const [one, two] = [newRecord(), newRecord()];
    for (const record of [one, two]) await store.addCertificate(record, newAudit());
    const answer = await store.revoke([two.serial, 'ff', one.serial], 'unspecified', NOW, () => newAudit());
    expect(answer.map((record) => record.serial)).toEqual([two.serial, one.serial]);
  });

  it('is all or nothing: an audit entry that cannot be written undoes it', async () => {
    const store = newStore();
    const [one, two] = [newRecord(), newRecord()];
    for (const record of [one, two]) await store.addCertificate(record, newAudit());
    const audit = (record: { serial: string }) => newAudit({ actor: record.serial === two.serial ? '' : 'test' });
    await expect(store.revoke([one.serial, two.serial], 'unspecified', NOW, audit)).rejects.toThrow(/CHECK/);
    expect(await store.standing(ISSUER, one.serial)).toMatchObject({ revokedAt: null });
    expect(await store.revocationsSince(0)).toEqual([]);
  });

  it('is found by the revision before it, oldest first', async () => {
    const store = newStore();
    const [one, two, three] = [newRecord(), newRecord(), newRecord()];
    for (const record of [one, two, three]) await store.addCertificate(record, newAudit());
    const start = await store.revision();
    await store.revoke([two.serial], 'superseded', NOW, () => newAudit());
    const middle = await store.revision();
    await store.revoke([three.serial, one.serial], 'unspecified', NOW + 1, () => newAudit());
    const end = await store.revision();
    const serials = async (since: number) => (await store.revocationsSince(since)).map((r) => r.serial);
    expect((await serials(start))[0]).toBe(two.serial);
    expect((await serials(start)).toSorted()).toEqual([one.serial, two.serial, three.serial].toSorted());
    expect((await serials(middle)).toSorted()).toEqual([one.serial, three.serial].toSorted());
    expect(await serials(end)).toEqual([]);
    expect((await store.revocationsSince(middle)).every((r) => r.revision > middle && r.revision <= end)).toBe(true);
    expect((await store.revocationsSince(start))[0]).toEqual({
      serial: two.serial,
      issuer: ISSUER,
      identity: two.identity,
      revokedAt: NOW,
      reason: 'superseded',
      notAfter: two.notAfter,
      revision: middle,
      isNew: true,
    });
  });
});

describe('a revocation for keyCompromise', () => {
  it('alone is found with its certificate, by the revision before it, oldest first', async () => {
    const store = newStore();
    const [one, two, three] = [newRecord(), newRecord(), newRecord()];
    for (const record of [one, two, three]) await store.addCertificate(record, newAudit());
    expect(await store.compromisedSince(0)).toEqual([]);
    await store.revoke([two.serial], 'superseded', NOW, () => newAudit());
    await store.revoke([three.serial], 'keyCompromise', NOW, () => newAudit());
    const middle = await store.revision();
    await store.revoke([one.serial], 'keyCompromise', NOW, () => newAudit());
    const end = await store.revision();
    const known = ({ serial, identity, der }: typeof one, revision: number) => ({ serial, identity, der, revision });
    expect(await store.compromisedSince(0)).toEqual([known(three, middle), known(one, end)]);
    expect(await store.compromisedSince(middle)).toEqual([known(one, end)]);
    expect(await store.compromisedSince(end)).toEqual([]);
  });
});

describe('the revision', () => {
  it('grows with every committed change, of whatever kind', async () => {
    const store = newStore();
    const seen = [await store.revision()];
    const record = newRecord();
    await store.addCertificate(record, newAudit());
    seen.push(await store.revision());
    await store.addAudit(newAudit());
    seen.push(await store.revision());
    await store.revoke([record.serial], 'unspecified', NOW, () => newAudit());
    seen.push(await store.revision());
    await store.changeCa({ meta: { trustDomain: 'prefect.example' }, at: 0 }, newAudit());
    seen.push(await store.revision());
    const [identity, id] = ['worker/etl-1', '0011223344556677'];
    const until = { reason: '', actor: 'test', lockedAt: NOW, until: null };
    await store.lock({ scope: 'identity', subject: identity, ...until }, newAudit());
    seen.push(await store.revision());
    await store.unlock('identity', identity, NOW, newAudit());
    seen.push(await store.revision());
    await store.addToken(newToken({ id }), newAudit());
    seen.push(await store.revision());
    await store.revokeToken(id, NOW, newAudit());
    seen.push(await store.revision());
    await store.flag({ identity, reason: 'odd', flaggedAt: NOW }, null, newAudit());
    seen.push(await store.revision());
    await store.unflag(identity, () => newAudit());
    seen.push(await store.revision());
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(new Set(seen).size).toBe(seen.length);
  });

  it('shows at once what another connection committed', async () => {
    const path = join(newFolder(), 'certgate.db');
    const [one, two] = [newStore(path), closing(openSqliteStore(path))];
    const before = await two.revision();
    await one.addAudit(newAudit());
    expect(await two.revision()).toBe(before + 1);
    await two.addAudit(newAudit());
    expect(await one.revision()).toBe(before + 2);
  });

  it('is still right for a connection that may only read', async () => {
    const path = join(newFolder(), 'certgate.db');
    const [one, reader] = [newStore(path), closing(openSqliteStore(path, { readOnly: true }))];
    await one.addAudit(newAudit());
    expect(await reader.revision()).toBe(await one.revision());
    await failureOf('CG_STORE_READONLY', () => reader.addAudit(newAudit()));
  });
});

describe('the store', () => {
  it('keeps what it is told about itself', async () => {
    const path = join(newFolder(), 'certgate.db');
    const store = newStore(path);
    expect(await store.meta('trustDomain')).toBeNull();
    await store.changeCa(
      { meta: { trustDomain: 'a.example', rootFingerprint: 'ab' }, at: 0 },
      newAudit({ action: 'ca.init' }),
    );
    await store.changeCa({ meta: { trustDomain: 'b.example' }, at: 0 }, newAudit());
    expect(await store.meta('trustDomain')).toBe('b.example');
    expect(await store.meta('rootFingerprint')).toBe('ab');
    expect((await store.listAudit({}))[0]).toMatchObject({ action: 'ca.init' });
  });

  it('pages its audit entries, oldest first', async () => {
    const store = newStore();
    for (let n = 1; n <= 5; n++) await store.addAudit(newAudit({ object: `o${n}` }));
    const first = await store.listAudit({ limit: 2 });
    expect(first.map((entry) => entry.object)).toEqual(['o1', 'o2']);
    expect((await store.listAudit({ afterId: first[1]?.id ?? 0 })).map((e) => e.object)).toEqual(['o3', 'o4', 'o5']);
  });

  it('waits for the lock of another process without blocking this one', async () => {
    const path = join(newFolder(), 'certgate.db');
    const store = newStore(path);
    const other = new DatabaseSync(path);
    other.exec('BEGIN IMMEDIATE');
    let turns = 0;
    const turning = setInterval(() => {
      turns += 1;
      if (turns === 5) other.exec('COMMIT');
    }, 1);
    await store.addAudit(newAudit());
    clearInterval(turning);
    other.close();
    expect(turns).toBeGreaterThanOrEqual(5);
    expect(await store.listAudit({})).toHaveLength(1);
  });

  it('says who to look for when another process never lets go', async () => {
    const path = join(newFolder(), 'certgate.db');
    const store = newStore(path);
    const other = new DatabaseSync(path);
    other.exec('BEGIN IMMEDIATE');
    const error = await failureOf('CG_STORE_BUSY', () => store.addAudit(newAudit()));
    expect(error.message).toContain(path);
    expect(error.hint).toContain('fuser');
    other.exec('ROLLBACK');
    other.close();
    await store.addAudit(newAudit());
  }, 20_000);

  it('refuses everything after it was closed, and may be closed twice', async () => {
    const store = newStore();
    await store.close();
    await store.close();
    await failureOf('CG_STORE_CLOSED', () => store.revision());
    await failureOf('CG_STORE_CLOSED', () => store.addAudit(newAudit()));
  });
});
