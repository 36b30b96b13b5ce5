import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { revokeCertificates } from '../../src/authority/revocation.ts';
import { factsOf } from '../../src/pki/certificates.ts';
import type { Store } from '../../src/store/store.ts';
import { failureOf, HOUR } from '../store/fixture.ts';
import { newPublicKey, openCa, request, TRUST_DOMAIN } from './fixture.ts';

describe('issuing', () => {
  it('answers a certificate that the issuer signed, for the asked key, identity and time', async () => {
    const { authority } = await openCa();
    const publicKey = newPublicKey();
    const { record, certificatePem } = await authority.issue(request({ publicKey }));
    const leaf = new X509Certificate(certificatePem);
    expect(leaf.verify(authority.issuer.certificate.publicKey)).toBe(true);
    expect(leaf.checkIssued(authority.issuer.certificate)).toBe(true);
    expect(leaf.publicKey.equals(publicKey)).toBe(true);
    expect(leaf.subjectAltName).toBe(`URI:spiffe://${TRUST_DOMAIN}/worker/etl-1`);
    expect(leaf.validFromDate.getTime()).toBe(record.notBefore);
    expect(leaf.validToDate.getTime()).toBe(record.notAfter);
    expect(record.notAfter - record.issuedAt).toBeLessThanOrEqual(24 * HOUR);
    expect(record.notAfter - record.issuedAt).toBeGreaterThan(24 * HOUR - 1000);
    expect(record.issuedAt - record.notBefore).toBeGreaterThanOrEqual(60_000); // for the clocks of others
    expect(record.issuedAt - record.notBefore).toBeLessThan(61_000);
  });

  it('records what a gate will read out of the certificate, and who asked', async () => {
    const { authority, store } = await openCa();
    const { record, certificatePem } = await authority.issue(request());
    const leaf = new X509Certificate(certificatePem);
    const facts = factsOf(leaf);
    expect(await store.standing(facts.issuer, facts.serial)).toEqual({
      identity: 'worker/etl-1',
      notAfter: leaf.validToDate.getTime(),
      fingerprint: record.fingerprint,
      revokedAt: null,
    });
    const [kept] = await store.listCertificates({ serial: facts.serial, now: Date.now() });
    expect(Buffer.from(kept?.der ?? []).equals(leaf.raw)).toBe(true);
    expect(record.fingerprint).toBe(createHash('sha256').update(leaf.raw).digest('hex'));
    expect(record.subject).toBe('CN=worker/etl-1');
    expect((await store.listAudit({})).at(-1)).toMatchObject({
      actor: 'cli:test@host',
      action: 'certificate.issue',
      object: 'worker/etl-1',
      detail: { serial: facts.serial, profile: 'client', notAfter: record.notAfter },
    });
  });

  it('hands over nothing when the record cannot be committed', async () => {
    const { authority, store } = await openCa();
    await store.close();
    await failureOf('CG_STORE_CLOSED', () => authority.issue(request()));
  });

  it('commits the record before it answers', async () => {
    const { authority, store } = await openCa();
    const order: string[] = [];
    const { openAuthority } = await import('../../src/authority/authority.ts');
    const watched: Store = {
      ...store,
      addCertificate: async (record, audit) => {
        await store.addCertificate(record, audit);
        order.push('recorded');
      },
    };
    const { ca } = authority;
    const other = openAuthority({ store: watched, ca, reread: async () => null, trustDomain: TRUST_DOMAIN });
    await other.issue(request()).then(() => order.push('answered'));
    expect(order).toEqual(['recorded', 'answered']);
  });

  it('shows a peer leaf and issuer, and gives root and issuer to verify with', async () => {
    const { authority, certsDir } = await openCa();
    const { certificatePem, chainPem } = await authority.issue(request());
    const issuer = readFileSync(join(certsDir, 'issuer.crt'), 'utf8');
    const root = readFileSync(join(certsDir, 'root.crt'), 'utf8');
    expect(chainPem).toBe(certificatePem + issuer);
    expect(authority.bundlePem).toBe(root + issuer);
    expect(readFileSync(join(certsDir, 'ca.crt'), 'utf8')).toBe(root + issuer);
  });

  it('gives server certificates to gate/… only, and gate/… nothing else', async () => {
    const { authority } = await openCa();
    const server = await authority.issue(
      request({ identity: 'gate/inbound', profile: 'server', dns: ['gate.example'], ip: ['127.0.0.1', '::1'] }),
    );
    const leaf = new X509Certificate(server.certificatePem);
    expect(leaf.checkHost('gate.example')).toBe('gate.example');
    expect(leaf.checkIP('127.0.0.1')).toBe('127.0.0.1');
    expect(leaf.checkIP('::1')).toBe('::1');
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    const own = await failureOf('CG_PROFILE', () => authority.issue(request({ identity: 'gate/inbound' })));
    expect(own.message).toContain('gate/inbound');
    await failureOf('CG_PROFILE', () => authority.issue(request({ profile: 'server' })));
  });

  it.each(['worker', 'Worker/etl', 'worker/', 'worker/../x', 'worker/a b', 'admin/x', `worker/${'a'.repeat(122)}`])(
    'refuses %o as a name',
    async (identity) => {
      const { authority, store } = await openCa();
      const before = await store.revision();
      await failureOf('CG_IDENTITY_NAME', () => authority.issue(request({ identity })));
      expect(await store.revision()).toBe(before);
    },
  );

  it('says a name too long for a common name in the SPIFFE URI only', async () => {
    const { authority } = await openCa();
    const identity = `worker/${'a'.repeat(100)}`;
    const { record, certificatePem } = await authority.issue(request({ identity }));
    expect(record.identity).toBe(identity);
    expect(record.subject).toBe('');
    expect(new X509Certificate(certificatePem).subjectAltName).toContain(identity);
  });

  it.each([
    [299_999, '5m'],
    [0, '5m'],
    [-HOUR, '5m'],
    [Number.NaN, '5m'],
    [400 * 24 * HOUR, 'the issuer itself'],
    [Number.POSITIVE_INFINITY, 'the issuer itself'],
  ])('refuses a lifetime of %d ms and names the limit', async (ttlMs, limit) => {
    const { authority } = await openCa();
    const error = await failureOf('CG_TTL', () => authority.issue(request({ ttlMs })));
    expect(error.message).toContain(limit);
    expect(error.hint).toMatch(/--ttl \d/);
  });

  it('grants lifetimes from 5 minutes up to the very end of the issuer', async () => {
    const now = Date.UTC(2026, 10, 23, 12, 0, 0, 500);
    const { authority } = await openCa(() => now);
    const end = authority.issuer.certificate.validToDate.getTime();
    expect((await authority.issue(request({ ttlMs: 300_000 }))).record.notAfter).toBe(now - 500 + 300_000);
    expect((await authority.issue(request({ ttlMs: end - now }))).record.notAfter).toBe(end);
    const error = await failureOf('CG_TTL', () => authority.issue(request({ ttlMs: end - now + 1000 })));
    const offered = /--ttl (\S+)/.exec(error.hint)?.[1];
    const { parseDuration } = await import('../../src/config/duration.ts');
    await authority.issue(request({ ttlMs: parseDuration(offered ?? '') ?? 0 }));
  });

  it('refuses when the issuer has expired or is not valid yet', async () => {
    let now = Date.now();
    const { authority } = await openCa(() => now);
    now = authority.issuer.certificate.validToDate.getTime();
    expect((await failureOf('CG_CA_EXPIRED', () => authority.issue(request()))).message).toContain('expired at');
    now = authority.issuer.certificate.validFromDate.getTime() - 1;
    expect((await failureOf('CG_CA_EXPIRED', () => authority.issue(request()))).message).toContain('not valid before');
  });
});

describe('revoking', () => {
  it('by identity takes every certificate that has not expired, and no one else’s', async () => {
    let now = Date.UTC(2026, 10, 23);
    const { authority, store } = await openCa(() => now);
    const old = await authority.issue(request({ ttlMs: HOUR }));
    now += 3 * HOUR;
    const both = [await authority.issue(request()), await authority.issue(request())];
    const other = await authority.issue(request({ identity: 'worker/etl-2' }));
    const revoked = await authority.revoke({ identity: 'worker/etl-1' }, 'keyCompromise', 'cli:me@host');
    expect(revoked.map((r) => r.serial).toSorted()).toEqual(both.map((i) => i.record.serial).toSorted());
    expect(revoked.every((r) => r.revokedAt === now && r.reason === 'keyCompromise')).toBe(true);
    for (const { record } of [old, other]) {
      expect(await store.standing(record.issuer, record.serial)).toMatchObject({ revokedAt: null });
    }
    const audit = (await store.listAudit({})).filter((entry) => entry.action === 'certificate.revoke');
    expect(audit.map(({ actor, object }) => ({ actor, object }))).toEqual([
      { actor: 'cli:me@host', object: 'worker/etl-1' },
      { actor: 'cli:me@host', object: 'worker/etl-1' },
    ]);
  });

  it('by identity takes what expired within the last hour too, for slow clocks', async () => {
    let now = Date.UTC(2026, 10, 23);
    const { authority } = await openCa(() => now);
    await authority.issue(request({ ttlMs: HOUR }));
    now += 2 * HOUR - 1000;
    expect(await authority.revoke({ identity: 'worker/etl-1' }, 'unspecified', 'test')).toHaveLength(1);
  });

  it('by identity takes what its holder renewed while they were looked for', async () => {
    const { authority, store } = await openCa();
    await authority.issue(request());
    let renewals = 2;
    const renewedMeanwhile: typeof store.revoke = async (...revocation) => {
      if (renewals-- > 0) await authority.issue(request());
      return store.revoke(...revocation);
    };
    const racing = { ...store, revoke: renewedMeanwhile };
    const selector = { identity: 'worker/etl-1' };
    expect(await revokeCertificates(racing, selector, 'keyCompromise', 'test', Date.now())).toHaveLength(3);
    expect(await store.listCertificates({ state: 'valid', now: Date.now() })).toEqual([]);
  });

  it('by identity takes thousands', async () => {
    const { authority, store } = await openCa();
    const { record } = await authority.issue(request());
    for (let n = 0; n < 1100; n++) {
      const serial = `ff${n.toString(16).padStart(30, '0')}`;
      const audit = { time: 0, actor: 'test', action: 'certificate.issue', object: '', detail: {} };
      await store.addCertificate({ ...record, serial }, audit);
    }
    expect(await authority.revoke({ identity: 'worker/etl-1' }, 'unspecified', 'test')).toHaveLength(1101);
    expect(await store.listCertificates({ state: 'valid', now: Date.now() })).toEqual([]);
  });

  it.each([
    (serial: string) => serial,
    (serial: string) => serial.toUpperCase(),
    (serial: string) => `00${serial}`,
    (serial: string) => serial.replace(/(..)(?=.)/g, '$1:'),
  ])('by serial takes that one, in any common spelling (%#)', async (spelled) => {
    const { authority } = await openCa();
    const { record } = await authority.issue(request());
    const revoked = await authority.revoke({ serial: spelled(record.serial) }, 'superseded', 'test');
    expect(revoked).toMatchObject([{ serial: record.serial, reason: 'superseded' }]);
  });

  it('by certificate takes exactly that certificate', async () => {
    const { authority } = await openCa();
    const { record, certificatePem } = await authority.issue(request());
    expect(await authority.revoke({ certificatePem }, 'unspecified', 'test')).toMatchObject([
      { serial: record.serial },
    ]);
  });

  it('by certificate never takes another that has the same serial', async () => {
    const { authority, store } = await openCa();
    const { record } = await authority.issue(request());
    const stranger = await (await openCa()).authority.issue(request());
    const audit = { time: 0, actor: 'test', action: 'certificate.issue', object: '', detail: {} };
    await store.addCertificate({ ...record, serial: stranger.record.serial }, audit);
    await failureOf('CG_NOT_FOUND', () =>
      authority.revoke({ certificatePem: stranger.certificatePem }, 'unspecified', 'test'),
    );
  });

  it('is idempotent: the first moment and reason stay', async () => {
    let now = Date.UTC(2026, 10, 23);
    const { authority } = await openCa(() => now);
    await authority.issue(request());
    const [first] = await authority.revoke({ identity: 'worker/etl-1' }, 'keyCompromise', 'test');
    now += HOUR;
    const [second] = await authority.revoke({ identity: 'worker/etl-1' }, 'superseded', 'test');
    expect(second).toEqual(first);
  });

  it('for keyCompromise counts after any other reason, with an audit record of its own', async () => {
    const { authority, store } = await openCa();
    const { record } = await authority.issue(request());
    await authority.revoke({ serial: record.serial }, 'superseded', 'test');
    await authority.revoke({ identity: 'worker/etl-1' }, 'keyCompromise', 'test');
    const acts = (await store.listAudit({})).filter(({ action }) => action === 'certificate.revoke');
    expect(acts.map(({ detail }) => detail)).toMatchObject([
      { serial: record.serial, reason: 'superseded' },
      { serial: record.serial, reason: 'keyCompromise', before: 'superseded' },
    ]);
  });

  it('finds nothing: an error that says why', async () => {
    let now = Date.UTC(2026, 10, 23);
    const { authority, store } = await openCa(() => now);
    await authority.issue(request());
    const none = { identity: 'worker/none' };
    const never = await failureOf('CG_NOT_FOUND', () => authority.revoke(none, 'unspecified', 'test'));
    expect(never.message).toContain('no certificate was ever issued');
    expect(never.exitCode).toBe(4);
    now += 48 * HOUR;
    const expired = await failureOf('CG_NOT_FOUND', () =>
      authority.revoke({ identity: 'worker/etl-1' }, 'unspecified', 'test'),
    );
    expect(expired.message).toContain('expired');
    await failureOf('CG_NOT_FOUND', () => authority.revoke({ serial: 'abcd' }, 'unspecified', 'test'));
    for (const serial of ['', 'xyz', '0x12', 'a'.repeat(41)]) {
      await failureOf('CG_SERIAL', () => authority.revoke({ serial }, 'unspecified', 'test'));
    }
    expect(await store.revocationsSince(0)).toEqual([]);
  });

  it('needs no key of the CA', async () => {
    const { authority, store } = await openCa();
    const { record } = await authority.issue(request());
    const selector = { serial: record.serial };
    expect(await revokeCertificates(store, selector, 'unspecified', 'test', Date.now())).toHaveLength(1);
  });
});
