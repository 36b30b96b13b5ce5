import { X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { lockClients, unlockClients } from '../../src/authority/locking.ts';
import { revokeCertificates } from '../../src/authority/revocation.ts';
import { rotateIssuer } from '../../src/authority/rotate.ts';
import { readIssued, writeRenewRequest } from '../../src/enroll/wire.ts';
import { request, TRUST_DOMAIN } from '../authority/fixture.ts';
import { folderWith, openssl } from '../pki/openssl.ts';
import { newKey, type Scene, scene, serialIn } from './fixture.ts';

const DAY = 86_400_000;
/** A scene with a worker that has a certificate; answers its serial. */
async function enrolled(policy: Parameters<typeof scene>[0] = {}): Promise<readonly [Scene, string]> {
  const at = await scene(policy);
  return [at, serialIn(await at.enroll(await at.token('worker/etl-1', { ttlMs: DAY }), newKey()))];
}
/** The same, where time passes by `pass` alone. */
async function ticking() {
  let passed = 0;
  const ticker = { now: () => passed, pause: async () => {} };
  const at = await scene({}, null, () => ({ ticker }));
  const serial = serialIn(await at.enroll(await at.token('worker/etl-1', { ttlMs: DAY }), newKey()));
  return { at, serial, pass: (ms: number) => (passed += ms) };
}
const recordOf = async ({ store, now }: Scene, serial: string) => (await store.listCertificates({ serial, now }))[0];

describe('who has a certificate', () => {
  test('gets the next one for a new key: the same names, the same lifetime, on record after the one before', async () => {
    const at = await scene();
    const names = { dns: ['etl.example'], ip: ['192.0.2.7'] };
    const { record } = await at.authority.issue(request({ ttlMs: 7 * DAY, ...names }));
    at.now += 5 * DAY + 123;
    const answer = await at.renew(record.serial, newKey());
    const fresh = await recordOf(at, serialIn(answer));
    expect(fresh).toMatchObject({ identity: 'worker/etl-1', profile: 'client' });
    expect(Math.abs((fresh?.notAfter ?? 0) - (at.now + 7 * DAY))).toBeLessThan(1_000);
    const { subjectAltName } = new X509Certificate(readIssued(answer.text)?.certificate ?? '');
    expect(subjectAltName).toContain('DNS:etl.example, IP Address:192.0.2.7');
    expect(await at.store.successors(record.serial)).toMatchObject([{ serial: fresh?.serial, seenAt: null }]);
    expect((await at.store.listAudit({})).at(-1)).toMatchObject({
      actor: 'worker/etl-1',
      detail: { serial: fresh?.serial, replaces: record.serial, address: '192.0.2.1' },
    });
  });

  test('and may not renew is on record as refused, with the address and the certificate', async () => {
    const [at, serial] = await enrolled();
    await revokeCertificates(at.store, { serial }, 'superseded', 'test', at.now);
    expect(await at.renew(serial, newKey())).toMatchObject({ status: 403 });
    expect((await at.store.listAudit({})).at(-1)).toMatchObject({
      actor: 'worker/etl-1',
      action: 'certificate.refuse-renewal',
      object: 'worker/etl-1',
      detail: { serial, address: '192.0.2.1', problem: 'the certificate of worker/etl-1 was revoked' },
    });
  });

  const [cn, uri] = ['/CN=worker\\/etl-1', `URI:spiffe://${TRUST_DOMAIN}/worker/etl-1`];
  test.each([
    ['exactly its names', cn, `IP:192.0.2.7,DNS:etl.example,${uri}`, 200, ''],
    ['no name', '/', null, 400, 'CN=worker/etl-1; URI:'],
    ['fewer names', cn, uri, 400, 'DNS:etl.example,IP:192.0.2.7'],
    ['more names', cn, `DNS:a,DNS:etl.example,IP:192.0.2.7,${uri}`, 400, 'CN=worker'],
    ['one name twice', cn, `DNS:etl.example,DNS:etl.example,IP:192.0.2.7,${uri}`, 400, 'CN=worker'],
    ['another subject', '/CN=worker\\/etl-2', `IP:192.0.2.7,DNS:etl.example,${uri}`, 400, 'CN=worker/etl-1'],
    ['more of a subject', `${cn}/O=x`, `IP:192.0.2.7,DNS:etl.example,${uri}`, 400, 'CN=worker/etl-1'],
  ] as const)(
    'by a request that has to say its names is answered for %s',
    async (_what, subject, names, status, words) => {
      const at = await scene();
      const { record } = await at.authority.issue(request({ dns: ['etl.example'], ip: ['192.0.2.7'] }));
      const folder = folderWith({ 'key.pem': newKey().export({ type: 'pkcs8', format: 'pem' }) });
      const alternative = names === null ? [] : ['-addext', `subjectAltName=${names}`];
      const made = await openssl(folder, 'req', '-new', '-key', 'key.pem', '-subj', subject, ...alternative);
      const holder = { serial: record.serial, address: '192.0.2.1', exactNames: true };
      const answer = await at.desk.renew(writeRenewRequest(made.text), holder);
      expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(words)]);
    },
  );

  test('gets no other name by an attribute that asks for one', async () => {
    const [at, serial] = await enrolled();
    // RFC 6402 §2.8; openssl takes any attribute from its configuration.
    const conf = `[req]\ndistinguished_name=dn\nattributes=at\nprompt=no\nreq_extensions=ext\n[dn]\nCN=worker/etl-1\n[at]\n1.3.6.1.5.5.7.7.36=x\n[ext]\nsubjectAltName=URI:spiffe://${TRUST_DOMAIN}/worker/etl-1\n`;
    const folder = folderWith({ 'key.pem': newKey().export({ type: 'pkcs8', format: 'pem' }), conf });
    const made = await openssl(folder, 'req', '-new', '-key', 'key.pem', '-config', 'conf');
    const answer = await at.desk.renew(writeRenewRequest(made.text), { serial, address: 'x', exactNames: true });
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining('enrol with a token')]);
  });

  test('and renews each in its turn is held up as who renews one again and again: all stay on record', async () => {
    const { at, serial: first, pass } = await ticking();
    const statuses: number[] = [];
    let serial = first;
    const renewed = async (): Promise<number> => {
      const answer = await at.renew(serial, newKey());
      if (answer.status === 200) serial = serialIn(answer);
      await at.desk.seen(serial);
      return answer.status;
    };
    for (let i = 0; i < 25; i++) statuses.push(await renewed());
    expect(statuses).toEqual([...Array<number>(20).fill(200), ...Array<number>(5).fill(429)]);
    pass(10_000);
    expect([await renewed(), await renewed()]).toEqual([200, 429]);
  });

  test('keeps its groups: those of its token, or those that the CA wrote', async () => {
    const at = await scene();
    const { record } = await at.authority.issue(request({ groups: ['etl', 'data/admins'] }));
    const byToken = serialIn(await at.enroll(await at.token('worker/w', { groups: ['etl'] }), newKey()));
    for (const [before, units] of [
      [record.serial, ['data/admins', 'etl']],
      [byToken, ['etl']],
    ] as const) {
      const answer = await at.renew(before, newKey());
      expect(await recordOf(at, serialIn(answer))).toMatchObject({ groups: units });
      const { subject } = new X509Certificate(readIssued(answer.text)?.certificate ?? '');
      expect(subject.split('\n').filter((line) => line.startsWith('OU='))).toEqual(units.map((unit) => `OU=${unit}`));
    }
    expect((await at.store.listAudit({})).at(-1)?.detail).toMatchObject({ groups: 'etl' });
  });

  test('keeps its lifetime over a hundred renewals', async () => {
    const { at, serial: first, pass } = await ticking();
    let serial = first;
    for (let i = 0; i < 100; i++) {
      at.now += 57_600_321;
      pass(57_600_321);
      serial = serialIn(await at.renew(serial, newKey()));
      await at.desk.seen(serial);
    }
    const record = await recordOf(at, serial);
    expect((record?.notAfter ?? 0) - at.now).toBeGreaterThan(DAY - 1_000);
  });

  test('has its whole lifetime again under the next issuer after the end of one cut it short', async () => {
    const at = await scene();
    const yearOfIssuer = at.authority.issuer.certificate.validToDate.getTime();
    at.now = yearOfIssuer - 5 * DAY;
    const first = serialIn(await at.enroll(await at.token('worker/etl-1', { ttlMs: 7 * DAY }), newKey()));
    expect((await recordOf(at, first))?.notAfter).toBe(yearOfIssuer);
    at.now += 3 * DAY;
    const second = serialIn(await at.renew(first, newKey()));
    expect((await recordOf(at, second))?.notAfter).toBe(yearOfIssuer);
    await at.desk.seen(second);
    const place = { certsDir: at.certsDir, store: at.store, trustDomain: TRUST_DOMAIN, actor: 'test' };
    await rotateIssuer({ ...place, clock: () => at.now });
    await at.authority.reload();
    const third = await recordOf(at, serialIn(await at.renew(second, newKey())));
    expect(Math.abs((third?.notAfter ?? 0) - (at.now + 7 * DAY))).toBeLessThan(1_000);
  });

  test('gets the same one again for the same key, whether or not it is in use', async () => {
    const [at, serial] = await enrolled();
    const key = newKey();
    const next = serialIn(await at.renew(serial, key));
    expect(serialIn(await at.renew(serial, key))).toBe(next);
    await at.desk.seen(next);
    expect(serialIn(await at.renew(serial, key))).toBe(next);
    expect(await at.store.locks(at.now)).toEqual([]);
  });

  test('gets none for the key that it has', async () => {
    const at = await scene();
    const [token, key] = [await at.token('worker/etl-1'), newKey()];
    const serial = serialIn(await at.enroll(token, key));
    expect((await at.renew(serial, key)).status).toBe(400);
  });

  test('gets another where the first answer was lost together with its key: nobody has used that', async () => {
    const [at, serial] = await enrolled();
    const [lost, second] = [serialIn(await at.renew(serial, newKey())), serialIn(await at.renew(serial, newKey()))];
    await at.desk.seen(second);
    expect(lost).not.toBe(second);
    expect(await at.store.locks(at.now)).toEqual([]);
  });

  test.each<[string, (at: Scene, serial: string) => Promise<unknown>]>([
    ['revoked', (at, serial) => revokeCertificates(at.store, { serial }, 'unspecified', 'test', at.now)],
    [
      'locked',
      (at) => {
        const target = { scope: 'identity', subject: 'worker/etl-1' } as const;
        return lockClients(at.store, { target, reason: 'x', forMs: null, actor: 'test' }, at.now);
      },
    ],
    [
      'locked by its serial number',
      (at, serial) => {
        const target = { scope: 'serial', subject: serial } as const;
        return lockClients(at.store, { target, reason: 'x', forMs: null, actor: 'test' }, at.now);
      },
    ],
    [
      'expired',
      async (at) => {
        at.now += DAY;
      },
    ],
  ])('gets none while it is %s', async (_what, before) => {
    const [at, serial] = await enrolled();
    await before(at, serial);
    expect((await at.renew(serial, newKey())).status).toBe(403);
    expect(await at.store.successors(serial)).toEqual([]);
  });

  test('may be late by the grace, which is counted and audited, and no later', async () => {
    const [at, serial] = await enrolled({ graceMs: 3_600_000 });
    at.now += DAY + 3_599_000;
    expect((await at.renew(serial, newKey())).status).toBe(200);
    expect(at.metrics).toMatchObject({ renewed: 1, renewedInGrace: 1 });
    expect((await at.store.listAudit({})).at(-1)).toMatchObject({ action: 'certificate.renew-in-grace' });
    at.now += 2_000;
    expect((await at.renew(serial, newKey())).status).toBe(403);
  });

  test('may not once all of its identity is revoked, though it had ended by then', async () => {
    const [at, serial] = await enrolled({ graceMs: 7 * DAY });
    at.now += 3 * DAY;
    const everyOne = { identity: 'worker/etl-1' };
    expect(await revokeCertificates(at.store, everyOne, 'keyCompromise', 'test', at.now, 7 * DAY)).toHaveLength(1);
    const { status, text } = await at.renew(serial, newKey());
    expect([status, text]).toEqual([403, expect.stringContaining('was revoked')]);
  });

  test('gets a new one for the same key where the first, whose answer was lost, has ended meanwhile', async () => {
    const [at, serial] = await enrolled({ graceMs: 7 * DAY });
    at.now += (DAY * 2) / 3;
    const key = newKey();
    const lost = serialIn(await at.renew(serial, key));
    at.now += 2 * DAY;
    const fresh = serialIn(await at.renew(serial, key));
    expect(fresh).not.toBe(lost);
    expect((await recordOf(at, fresh))?.notAfter).toBeGreaterThan(at.now);
    expect(serialIn(await at.renew(serial, key))).toBe(fresh);
    await at.desk.seen(fresh);
    expect(at.metrics.certificateReuse).toBe(0);
  });

  test('for a server gets no other by it', async () => {
    const at = await scene();
    const { record } = await at.authority.issue(request({ identity: 'gate/inbound', profile: 'server' }));
    const answer = await at.renew(record.serial, newKey());
    expect([answer.status, answer.text]).toEqual([403, expect.stringContaining('only certificates of clients')]);
  });

  test('is put off when it renews again and again', async () => {
    const [at, serial] = await enrolled();
    const statuses: number[] = [];
    for (let i = 0; i < 25; i++) statuses.push((await at.renew(serial, newKey())).status);
    expect([statuses.indexOf(429), new Set(statuses.slice(20))]).toEqual([20, new Set([429])]);
  });
});

describe('a copied key', () => {
  test('that renews after its successor is in use locks the identity, and the record says why', async () => {
    const [at, serial] = await enrolled();
    const next = serialIn(await at.renew(serial, newKey()));
    await at.desk.seen(next);
    const stolen = await at.renew(serial, newKey());
    expect(stolen.status).toBe(403);
    const [lock] = await at.store.locks(at.now);
    expect(lock).toMatchObject({ scope: 'identity', subject: 'worker/etl-1', actor: 'gate', until: null });
    expect(lock?.reason).toContain(serial);
    expect(lock?.reason).toContain(next);
    expect(await at.store.flags()).toEqual([{ identity: 'worker/etl-1', reason: lock?.reason, flaggedAt: at.now }]);
    expect((await at.renew(next, newKey())).status).toBe(403);
    expect((await at.store.listAudit({})).map(({ action }) => action)).toContain('certificate.reuse');
    expect(at.metrics.certificateReuse).toBe(1);
    expect(at.log.find(({ msg }) => msg === 'a superseded certificate was used again')).toMatchObject({ locked: true });
  });

  test('that renews first is found out when both successors are in use', async () => {
    const [at, serial] = await enrolled();
    const [thief, owner] = [serialIn(await at.renew(serial, newKey())), serialIn(await at.renew(serial, newKey()))];
    await at.desk.seen(thief);
    expect(await at.store.locks(at.now)).toEqual([]);
    await at.desk.seen(owner);
    expect(await at.store.locks(at.now)).toMatchObject([{ subject: 'worker/etl-1' }]);
  });

  test('that waits for the end of what it got, and renews that within the grace, is found out too', async () => {
    const [at, serial] = await enrolled({ graceMs: 7 * DAY });
    const [thief, owner] = [serialIn(await at.renew(serial, newKey())), serialIn(await at.renew(serial, newKey()))];
    await at.desk.seen(owner);
    at.now += DAY + 1_000;
    // Nobody is let in by a certificate that has ended: this renewal is all that is ever seen of it.
    expect(await at.renew(thief, newKey())).toMatchObject({ status: 403 });
    expect(await at.store.locks(at.now)).toMatchObject([{ subject: 'worker/etl-1' }]);
    expect((await at.store.listAudit({})).map(({ action }) => action)).toContain('certificate.reuse');
  });

  test('is only recorded and flagged where lockOnReuse is off', async () => {
    const [at, serial] = await enrolled({ lockOnReuse: false });
    await at.desk.seen(serialIn(await at.renew(serial, newKey())));
    for (const _ of [1, 2]) expect((await at.renew(serial, newKey())).status).toBe(200);
    expect(await at.store.locks(at.now)).toEqual([]);
    const acts = (await at.store.listAudit({})).map(({ action }) => action);
    expect(acts.filter((action) => action === 'certificate.reuse')).toHaveLength(2);
    expect(await at.store.flags()).toMatchObject([{ identity: 'worker/etl-1' }]);
  });

  test('does not keep its owner out for ever: unlocked, the newest certificate renews', async () => {
    const [at, serial] = await enrolled();
    const next = serialIn(await at.renew(serial, newKey()));
    await at.desk.seen(next);
    await at.renew(serial, newKey());
    await unlockClients(at.store, { scope: 'identity', subject: 'worker/etl-1' }, 'test', at.now);
    expect((await at.renew(next, newKey())).status).toBe(200);
  });
});
