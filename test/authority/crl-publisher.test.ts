import { randomBytes } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import { CRL_LIFETIME } from '../../src/authority/crl.ts';
import { type CrlPublisher, publishCrls } from '../../src/authority/crl-publisher.ts';
import { CertgateError } from '../../src/errors.ts';
import { type Issuer, newSerial } from '../../src/pki/certificates.ts';
import { describeCrl } from '../../src/pki/describe-crl.ts';
import { readCrl } from '../../src/pki/read-crl.ts';
import type { CertificateRecord, RevocationReason, Store } from '../../src/store/store.ts';
import { quietLog } from '../observe/quiet-log.ts';
import { HOUR, newAudit, newRecord } from '../store/fixture.ts';
import { openCa, request } from './fixture.ts';

const log = quietLog;
/** Far from any real time: nothing here depends on the day, and nothing on how long it takes. */
const START = Date.UTC(2030, 0, 1);

async function publishing(different: { readonly store?: (store: Store) => Store; readonly url?: string } = {}) {
  let now = START;
  const clock = () => now;
  const ca = await openCa(clock);
  const store = different.store?.(ca.store) ?? ca.store;
  const issuers = () => [ca.authority.issuer];
  const publisher = await publishCrls({ store, issuers, statusUrl: different.url ?? null, log, clock });
  onTestFinished(() => publisher.stop());
  const keyId = ca.authority.issuer.keyId;
  return {
    ...ca,
    publisher,
    keyId,
    issue: async (ttlMs = 24 * HOUR) => (await ca.authority.issue(request({ ttlMs }))).record.serial,
    revoke: (serial: string, reason: RevocationReason = 'keyCompromise') =>
      ca.authority.revoke({ serial }, reason, 'test'),
    pass: (ms: number) => {
      now += ms;
    },
    list: () => listOf(publisher, keyId),
  };
}

function listOf(publisher: CrlPublisher, keyId: string) {
  const crl = publisher.crl(keyId);
  if (crl === null) throw new Error('there is no list');
  const { entries, ...read } = describeCrl(Buffer.concat(crl.parts));
  expect(read.number).toBe(crl.number.toString(16).padStart(2, '0'));
  return {
    ...read,
    number: crl.number,
    serials: entries.map((entry) => entry.serial),
    reasons: entries.map((entry) => entry.reason),
  };
}

describe('the published list', () => {
  test('is there from the start, for a day from a minute ago, with a number from the store', async () => {
    const { list, store, keyId } = await publishing();
    expect(list()).toMatchObject({
      number: 1,
      serials: [],
      authorityKeyId: keyId,
      thisUpdate: new Date(START - 60_000).toISOString(),
      nextUpdate: new Date(START + CRL_LIFETIME).toISOString(),
    });
    expect(await store.crlNumber(keyId)).toBe(1);
  });

  test('names all of many that were revoked before the start, some of them in one go', async () => {
    const ca = await openCa(() => START);
    const issuer = ca.authority.issuer.keyId;
    const records = Array.from({ length: 2_600 }, () => newRecord({ serial: newSerial(), issuer, issuedAt: START }));
    await Promise.all(records.map((record) => ca.store.addCertificate(record, newAudit())));
    const serials = records.map(({ serial }) => serial);
    const revoke = (some: readonly string[]) => ca.store.revoke(some, 'superseded', START, () => newAudit());
    await revoke(serials.slice(0, 2_100));
    await Promise.all(serials.slice(2_100).map((serial) => revoke([serial])));
    const issuers = () => [ca.authority.issuer];
    const publisher = await publishCrls({ store: ca.store, issuers, statusUrl: null, log, clock: () => START });
    onTestFinished(() => publisher.stop());
    await publisher.look();
    const { entries } = readCrl(Buffer.concat(publisher.crl(issuer)?.parts ?? []));
    expect(entries.map(({ serial }) => serial).toSorted()).toEqual(serials.toSorted());
  });

  test('does not hold up the start when it takes long: it comes when it is made', async () => {
    const ca = await openCa(() => START);
    const held = Promise.withResolvers<void>();
    const store: Store = {
      ...ca.store,
      nextCrlNumber: async (issuer, above) => {
        await held.promise;
        return ca.store.nextCrlNumber(issuer, above);
      },
    };
    const issuers = () => [ca.authority.issuer];
    const publisher = await publishCrls({ store, issuers, statusUrl: null, log, clock: () => START });
    onTestFinished(() => publisher.stop());
    expect(publisher.crl(ca.authority.issuer.keyId)).toBeNull();
    held.resolve();
    await publisher.look();
    expect(listOf(publisher, ca.authority.issuer.keyId).number).toBeGreaterThan(0);
  });

  test('of very many is not waited for by a start', async () => {
    const ca = await openCa(() => START);
    const issuer = ca.authority.issuer.keyId;
    const [total, serial] = [400_000, newSerial()];
    const of = (revision: number) => ({
      ...{ serial, issuer, identity: 'worker/etl-1', reason: 'superseded' as const, isNew: true },
      ...{ revokedAt: START, notAfter: START - CRL_LIFETIME * 3, revision },
    });
    let at = 0;
    const store: Store = {
      ...ca.store,
      revision: async () => total,
      revocationsSince: async (revision, limit = total) => {
        at = Math.min(total, revision + limit);
        return Array.from({ length: at - revision }, (_, i) => of(revision + i + 1));
      },
    };
    const issuers = () => [ca.authority.issuer];
    const [about, started] = [
      { store, issuers, statusUrl: null, log, clock: () => START },
      Promise.withResolvers<void>(),
    ];
    const publisher = await publishCrls({ ...about, started: started.promise });
    onTestFinished(() => publisher.stop());
    const before = at;
    expect(before).toBeLessThan(total);
    expect(publisher.crl(issuer)).toBeNull();
    // Nor does it go on before everything else is there.
    for (let turns = 0; turns < 1000; turns++) await new Promise(setImmediate);
    expect(at).toBe(before);
    started.resolve();
    await publisher.look();
    expect(publisher.crl(issuer)).not.toBeNull();
    // Who stops before that is not held up.
    const stopped = await publishCrls({ ...about, started: new Promise(() => {}) });
    await stopped.stop();
  });

  test('of many is read and signed with a turn for everybody else after each page', async () => {
    const ca = await openCa(() => START);
    const issuer = ca.authority.issuer.keyId;
    const all = Array.from({ length: 6_000 }, (_, i) => ({
      ...{ serial: newSerial(), issuer, identity: 'worker/etl-1', reason: 'superseded' as const },
      ...{ revokedAt: START, notAfter: START + HOUR, revision: i + 1, isNew: true },
    }));
    let most = 0;
    const store: Store = {
      ...ca.store,
      revision: async () => all.length,
      revocationsSince: async (revision, limit = all.length) => {
        most = Math.max(most, limit);
        return all.slice(revision, revision + limit);
      },
    };
    let turns = 0;
    const count = (): void => {
      turns++;
      next = setImmediate(count);
    };
    let next = setImmediate(count);
    onTestFinished(() => clearImmediate(next));
    const issuers = () => [ca.authority.issuer];
    const publisher = await publishCrls({ store, issuers, statusUrl: null, log, clock: () => START });
    onTestFinished(() => publisher.stop());
    await publisher.look();
    expect(publisher.crl(issuer)?.listed).toBe(all.length);
    expect(most).toBeLessThanOrEqual(500);
    // A turn after each page, and one before each block of the list.
    expect(turns).toBeGreaterThanOrEqual(all.length / most + 2);
  });

  test('names again, when a clock that was ahead is set back, what had expired by that', async () => {
    const { publisher, issue, revoke, list, pass } = await publishing();
    const [before, meanwhile] = [await issue(), await issue()];
    await revoke(before);
    await publisher.look();
    pass(4 * CRL_LIFETIME);
    await revoke(meanwhile);
    await publisher.look();
    pass(CRL_LIFETIME);
    await publisher.look();
    expect(list().serials).toEqual([]);
    pass(-5 * CRL_LIFETIME);
    await publisher.look();
    expect(list().serials.toSorted()).toEqual([before, meanwhile].toSorted());
    const { number } = list();
    pass(-1000);
    await publisher.look();
    expect(list().number).toBe(number);
  });

  test('names what was revoked before the start, and by itself what is revoked after', async () => {
    const ca = await openCa();
    const [before, after] = [await ca.authority.issue(request()), await ca.authority.issue(request())];
    await ca.authority.revoke({ serial: before.record.serial }, 'superseded', 'test');
    const issuers = () => [ca.authority.issuer];
    const publisher = await publishCrls({ store: ca.store, issuers, statusUrl: null, log });
    onTestFinished(() => publisher.stop());
    const list = () => listOf(publisher, ca.authority.issuer.keyId);
    expect(list().serials).toEqual([before.record.serial]);
    await ca.authority.revoke({ serial: after.record.serial }, 'superseded', 'test');
    await expect.poll(() => list().serials, { timeout: 30_000 }).toEqual([before.record.serial, after.record.serial]);
    expect(list().number).toBe(2);
  });

  test('has a larger number each time, names each once, and is left alone while nothing is revoked', async () => {
    const { publisher, issue, revoke, list } = await publishing();
    const serials: string[] = [];
    for (let number = 2; number < 6; number++) {
      serials.push(await issue());
      await publisher.look();
      expect(list().number).toBe(number - 1);
      await revoke(serials.at(-1) ?? '');
      await publisher.look();
      await publisher.look();
      expect(list()).toMatchObject({ number, serials });
    }
  });

  test('names once, and for keyCompromise, what was revoked for less before', async () => {
    const { publisher, issue, revoke, list } = await publishing();
    const [one, other] = [await issue(), await issue()];
    for (const serial of [one, other]) await revoke(serial, 'superseded');
    await publisher.look();
    expect(list()).toMatchObject({ number: 2, serials: [one, other], reasons: ['superseded', 'superseded'] });
    await revoke(one, 'keyCompromise');
    await publisher.look();
    expect(list()).toMatchObject({ number: 3, serials: [other, one], reasons: ['superseded', 'keyCompromise'] });
    await publisher.look();
    expect(list().number).toBe(3);
  });

  test('is not read anew from its beginning when one of many was regraded', async () => {
    const asked: number[] = [];
    const watched = (store: Store): Store => ({
      ...store,
      revocationsSince: (revision, limit) => {
        asked.push(revision);
        return store.revocationsSince(revision, limit);
      },
    });
    const { publisher, issue, revoke, list } = await publishing({ store: watched });
    const serials = [await issue(), await issue(), await issue()];
    for (const serial of serials) await revoke(serial, 'superseded');
    await publisher.look();
    asked.length = 0;
    await revoke(serials[1] ?? '', 'keyCompromise');
    await publisher.look();
    expect(asked.length).toBeGreaterThan(0);
    expect(asked.every((revision) => revision > 0)).toBe(true);
    expect(list().serials).toEqual([serials[0], serials[2], serials[1]]);
    expect(list().reasons).toEqual(['superseded', 'superseded', 'keyCompromise']);
  });

  test('names what has expired once more after it has, and then no longer (RFC 5280 §3.3)', async () => {
    const { publisher, issue, revoke, pass, list } = await publishing();
    const [short, long] = [await issue(HOUR), await issue(48 * HOUR)];
    await revoke(short);
    await revoke(long);
    await publisher.look();
    pass(HOUR + 90_000);
    expect(list().serials).toEqual([short, long]);
    const other = await issue();
    await revoke(other);
    await publisher.look();
    expect(list().serials).toEqual([short, long, other]);
    pass(CRL_LIFETIME / 2);
    await publisher.look();
    expect(list()).toMatchObject({ serials: [long, other], number: 4 });
  });

  test('is renewed at half of its life', async () => {
    const { publisher, pass, list } = await publishing();
    pass(CRL_LIFETIME / 2 - 1000);
    await publisher.look();
    expect(list().number).toBe(1);
    pass(1000);
    await publisher.look();
    expect(list().number).toBe(2);
  });

  test('is made anew when the clock that made it was ahead', async () => {
    const { publisher, pass, list } = await publishing();
    pass(-CRL_LIFETIME);
    await publisher.look();
    expect(list()).toMatchObject({ number: 2, nextUpdate: new Date(START).toISOString() });
    await publisher.look();
    expect(list().number).toBe(2);
  });

  test('stays while the store fails, until it is no longer valid, and misses nothing when the store is back', async () => {
    let isGone = false;
    const failing = (store: Store): Store => ({
      ...store,
      revision: () =>
        isGone ? Promise.reject(new CertgateError('CG_STORE_CLOSED', { location: 'x' })) : store.revision(),
    });
    const { publisher, keyId, issue, revoke, pass, list } = await publishing({ store: failing });
    const serial = await issue();
    isGone = true;
    await revoke(serial);
    await expect(publisher.look()).rejects.toMatchObject({ code: 'CG_STORE_CLOSED' });
    expect(list()).toMatchObject({ number: 1, serials: [] });
    pass(CRL_LIFETIME);
    expect(publisher.crl(keyId)).toBeNull();
    isGone = false;
    await publisher.look();
    expect(list()).toMatchObject({ serials: [serial] });
  });

  test('names each once when the number cannot be had just then', async () => {
    let isFull = false;
    const full = (store: Store): Store => ({
      ...store,
      nextCrlNumber: (issuer) =>
        isFull
          ? Promise.reject(new CertgateError('CG_STORE_FULL', { location: 'x', problem: 'y' }))
          : store.nextCrlNumber(issuer),
    });
    const { publisher, issue, revoke, list } = await publishing({ store: full });
    const serial = await issue();
    isFull = true;
    await revoke(serial);
    await expect(publisher.look()).rejects.toMatchObject({ code: 'CG_STORE_FULL' });
    isFull = false;
    await publisher.look();
    expect(list().serials).toEqual([serial]);
  });

  test('is not signed again and again for an issuer whose own signer fails, nor held up by it', async () => {
    const { authority, store } = await openCa();
    const [issuer, other] = [authority.issuer, (await openCa()).authority.issuer];
    let fails = false;
    const failing: Issuer = {
      ...other,
      signer: {
        ...other.signer,
        sign: (content) => (fails ? Promise.reject(new Error('the signer is away')) : other.signer.sign(content)),
      },
    };
    const publisher = await publishCrls({ store, issuers: () => [failing, issuer], statusUrl: null, log });
    onTestFinished(() => publisher.stop());
    fails = true;
    const foreign = { ...(await authority.issue(request())).record, serial: 'ff02', issuer: other.keyId };
    const audit = { time: START, actor: 'test', action: 'certificate.revoke', object: 'x', detail: {} };
    await store.addCertificate(foreign, audit);
    const own = (await authority.issue(request())).record.serial;
    await store.revoke(['ff02', own], 'superseded', Date.now(), () => audit);
    for (let i = 0; i < 3; i++) await expect(publisher.look()).rejects.toThrow('the signer is away');
    expect(listOf(publisher, issuer.keyId)).toMatchObject({ number: 2, serials: [own] });
    expect(listOf(publisher, other.keyId)).toMatchObject({ number: 1, serials: [] });
    fails = false;
    await publisher.look();
    expect(listOf(publisher, other.keyId).serials).toEqual(['ff02']);
    expect(listOf(publisher, issuer.keyId).number).toBe(2);
  });

  test('is of its own issuer only, and there is none of another', async () => {
    const { publisher, store, issue, revoke, list } = await publishing();
    const serial = await issue();
    const foreign: CertificateRecord = {
      ...{ serial: 'ff01', issuer: 'aa'.repeat(20), identity: 'worker/x', profile: 'client' as const, subject: '' },
      ...{
        notBefore: START,
        notAfter: START + HOUR,
        fingerprint: randomBytes(32).toString('hex'),
        der: randomBytes(9),
      },
      ...{ issuedAt: START, revokedAt: null, reason: null },
    };
    const audit = { time: START, actor: 'test', action: 'certificate.issue', object: 'x', detail: {} };
    await store.addCertificate(foreign, audit);
    await revoke(serial);
    await store.revoke(['ff01'], 'superseded', START, () => audit);
    await publisher.look();
    expect(list().serials).toEqual([serial]);
    expect(publisher.crl('aa'.repeat(20))).toBeNull();
  });
});
