// `certgate ca check` over the weeks: what will end, what was begun and left, what lies about, and the list that is published.

import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { serveControl } from '../../src/admin/control.ts';
import { publishCrls } from '../../src/authority/crl-publisher.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { type OcspResponder, openOcspResponder } from '../../src/authority/ocsp-responder.ts';
import { STATUS_PATHS } from '../../src/authority/status-urls.ts';
import { openLog } from '../../src/observe/log.ts';
import { OCSP_ERRORS } from '../../src/pki/ocsp.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { portOf } from '../proxy/plain-proxy.ts';
import { closing, newAudit, newRecord } from '../store/fixture.ts';
import { checkedCa, DAY } from './checked-ca.ts';

const ca = checkedCa();

test('what lies ahead is told by where it stands in its life', async () => {
  await ca.ran(['issue', 'worker/etl-1', '--ttl', '60d']);
  await ca.ran(['backup', '--out', 'first']);
  const names = async (days: number): Promise<string[]> =>
    (await ca.found(days * DAY)).map((text) => text.slice(0, text.indexOf(':')));
  expect(await names(40)).toEqual([]);
  expect(await names(55)).toEqual(['warn identities']);
  expect(await names(62)).toEqual(['warn identities']);
  expect(await names(100)).toEqual([]);
  expect(await names(250)).toEqual(['warn issuer 1']);
  expect(await names(360)).toEqual(['fail issuer 1']);
  expect(await names(366)).toEqual(['fail issuer 1']);
  expect(await names(3640)).toEqual(['fail root 1', 'fail issuer 1']);
  expect((await ca.found(250 * DAY))[0]).toMatch(
    /should have been rotated 6d\S* ago; ends in 11[45]d\S* → certgate ca rotate issuer$/,
  );
  expect((await ca.found(55 * DAY))[0]).toMatch(
    /1 expire soon and were not renewed: worker\/etl-1 in \S+ → certgate list worker\/etl-1$/,
  );
  expect((await ca.found(-DAY)).map((text) => text.slice(0, text.indexOf(':')))).toEqual([
    'fail root 1',
    'fail issuer 1',
    'fail clock',
  ]);
});

test('a backup that was never made, or is old, is asked for by a command with a name for it', async () => {
  expect(await ca.found(2 * DAY)).toEqual([
    expect.stringMatching(
      /^warn backup: no backup was ever made, and the CA is 2d\S* old → certgate backup --out certgate-backup-\d{4}-/,
    ),
  ]);
  await ca.ran(['backup', '--out', 'first']);
  expect(await ca.found(30 * DAY)).toEqual([]);
  await ca.ran(['issue', 'worker/etl-1', '--ttl', '90d']);
  expect(await ca.found(30 * DAY)).toEqual([
    expect.stringMatching(/the last is 30d\S* old; since then 1 issued, 0 revoked/),
  ]);
});

test('a rotation of the root that was left half-way is named at each step', async () => {
  await ca.ran(['issue', 'worker/etl-1', '--ttl', '60d']);
  await ca.ran(['ca', 'rotate', 'root', 'prepare']);
  await ca.ran(['backup', '--out', 'first']);
  expect(await ca.found(8 * DAY)).toEqual([
    expect.stringMatching(
      /^warn rotation to root 2: prepared 8d\S* ago, and not activated → certgate ca rotate root activate$/,
    ),
    expect.stringMatching(
      /^warn trust bundle: 1 was not seen to have .*worker\/etl-1; the root.s rotation is waiting for them/,
    ),
  ]);
  await ca.ran(['ca', 'rotate', 'root', 'activate', '--without-waiting']);
  await ca.ran(['backup', '--out', 'second']);
  expect((await ca.found(8 * DAY)).filter((text) => !text.includes('trust bundle'))).toEqual([]);
  expect(await ca.found(100 * DAY)).toContainEqual(
    expect.stringMatching(/^warn retirement of root 1: .* nobody needs it → certgate ca rotate root retire$/),
  );
});

test('too many and too long certificates, forgotten locks and tokens, a misused token', async () => {
  const store = closing(openSqliteStore(ca.path('state/certgate.db')));
  const now = Date.now();
  const year = { issuedAt: now, notBefore: now, notAfter: now + 500 * DAY };
  const der = new X509Certificate(readFileSync(ca.path('certs/issuer.crt'))).raw;
  for (let n = 0; n < 21; n++)
    await store.addCertificate(newRecord({ ...year, der, identity: 'worker/many' }), newAudit());
  const lock = {
    scope: 'identity',
    subject: 'worker/old',
    reason: 'odd traffic',
    actor: 'cli:a@b',
    until: null,
  } as const;
  await store.lock({ ...lock, lockedAt: now - 30 * DAY }, newAudit());
  const token = {
    secretHash: 'a'.repeat(64),
    subject: 'worker/x',
    uses: 1,
    usesLeft: 1,
    ttlMs: DAY,
    createdBy: 'cli:a@b',
  };
  const common = { ...token, revokedAt: null, flaggedAt: null, flag: null, expiresAt: now + DAY };
  await store.addToken({ ...common, id: '1'.repeat(16), createdAt: now - 30 * DAY }, newAudit());
  await store.addToken({ ...common, id: '2'.repeat(16), createdAt: now }, newAudit());
  const flag = { identity: 'worker/x', reason: 'used from elsewhere', flaggedAt: now };
  await store.flag(flag, { kind: 'token', token: '2'.repeat(16) }, newAudit());
  const all = (await ca.found()).join('\n');
  expect(all).toContain(
    'warn identities: worker/many has 21 certificates that can be used, more than 20 → certgate list',
  );
  expect(all).toContain('warn lifetimes: 21 live longer than 398 days, one of worker/many');
  expect(all).toMatch(
    /warn lock: identity worker\/old since 30d\S*, .* odd traffic → certgate unlock identity worker\/old/,
  );
  expect(all).toContain('warn token: 1111111111111111 for worker/x has been unused for 30d');
  expect(all).toMatch(
    /fail flag: worker\/x was flagged \S+ ago: used from elsewhere; look at certgate audit --identity worker\/x .* → certgate unflag worker\/x/,
  );
  expect(all).toContain('fail token: 2222222222222222 for worker/x was used as a thief would: used from elsewhere');
});

describe('the published list', () => {
  test('is missed where certificates name it, or where no gate runs', async () => {
    writeFileSync(ca.path('certgate.yaml'), 'serve: {status: {url: "http://gate.test:8081"}}\n');
    expect(await ca.found()).toEqual([
      expect.stringMatching(/^fail revocation list: certificates name http:\/\/gate.test:8081/),
    ]);
    writeFileSync(ca.path('certgate.yaml'), 'serve: {status: {listen: "127.0.0.1:8081"}}\n');
    expect(await ca.found()).toEqual([expect.stringMatching(/^warn revocation list: no gate runs.*→ certgate serve$/)]);
  });

  test('is held against the records', async () => {
    const store = closing(openSqliteStore(ca.path('state/certgate.db')));
    const authority = await loadAuthority({ certsDir: ca.path('certs'), store, trustDomain: 'certgate.internal' });
    const { issuer } = authority;
    const log = openLog({ level: 'error', destination: { write: () => {} } });
    const lists = await publishCrls({ store, issuers: () => [issuer], statusUrl: null, log });
    let answer: OcspResponder = openOcspResponder({ store, issuers: () => [issuer], failed: () => {} });
    const list = lists.crl(issuer.keyId);
    let served: Uint8Array | null = list === null ? null : Buffer.concat(list.parts);
    const server = createServer((request, response) => {
      if (request.url === STATUS_PATHS.crl(issuer.keyId) && served !== null) response.end(served);
      else if (request.url === STATUS_PATHS.ocsp) {
        void buffer(request).then(async (octets) => response.end((await answer(octets)).der));
      } else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const health = { status: 'ok', connections: 0 };
    const control = await serveControl(ca.path('state/control.sock'), { 'GET /health': async () => health });
    try {
      writeFileSync(ca.path('certgate.yaml'), `serve: {status: {listen: "127.0.0.1:${portOf(server)}"}}\n`);
      expect(await ca.found()).toEqual([]);
      answer = async () => ({ der: OCSP_ERRORS.malformedRequest, fresh: null });
      const noOcsp: unknown = expect.stringMatching(/^fail OCSP: HTTP 200, and no answer in it/);
      expect(await ca.found()).toEqual([noOcsp]);
      expect(await ca.found(2 * DAY)).toContainEqual(
        expect.stringMatching(/^fail revocation list of issuer 1: is stale: 2d/),
      );
      await lists.stop();
      await ca.ran(['issue', 'worker/etl-1']);
      await ca.ran(['revoke', 'worker/etl-1']);
      expect(await ca.found()).toContainEqual(expect.stringContaining('issuer 1: names 0 of 1 that are revoked'));
      await store.nextCrlNumber(issuer.keyId);
      expect(await ca.found()).toContainEqual(expect.stringMatching(/issuer 1: is number 1, the store has given 2/));
      served = null;
      expect(await ca.found()).toContainEqual(expect.stringContaining('issuer 1: is missing: HTTP 404'));
    } finally {
      await control.close();
      server.close();
    }
  });
});
