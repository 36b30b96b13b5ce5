import type { KeyObject } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { lockClients } from '../../src/authority/locking.ts';
import { keyHashOf } from '../../src/enroll/answers.ts';
import { openDesk } from '../../src/enroll/desk.ts';
import { nonceOf } from '../../src/enroll/identity-tokens.ts';
import { readIssued } from '../../src/enroll/wire.ts';
import { type LimitedLog, limitLog } from '../../src/observe/limited-log.ts';
import { openLog } from '../../src/observe/log.ts';
import { createRequest, readRequest } from '../../src/pki/requests.ts';
import { signerOf } from '../../src/pki/signing.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { adoptRevocations } from '../../src/store/sqlite-copy.ts';
import { quietLog } from '../observe/quiet-log.ts';
import { newKey, type Scene, scene, serialIn } from './fixture.ts';
import { AUDIENCE, issuerSettings, type TestIssuer, testIssuer, written } from './token-issuer.ts';

const REFUSED = { status: 403, text: '{"detail":"certgate: enrolment refused; the log of the gate says why"}' };
const ISS = 'https://idp.example';
const RULES = [{ match: { sub: 'worker:([a-z0-9-]+)' }, as: 'worker/$1', groups: ['etl'], ttl: '8h' }];

interface Place extends Scene {
  readonly issuer: TestIssuer;
  /** A token of the issuer. */
  jwt(more?: object): string;
  /** One with another header. */
  written(header: object): string;
  bring(token: string, key: KeyObject, more?: { identity?: string; address?: string }): ReturnType<Scene['enroll']>;
}

async function place(settings: object = {}, log: LimitedLog | null = null): Promise<Place> {
  const issuer = testIssuer();
  const own = { name: 'idp', issuer: ISS, audience: AUDIENCE, jwksFile: issuer.jwksFile, rules: RULES, ...settings };
  const at = await scene({ issuers: [issuerSettings(own)] }, log);
  let count = 0;
  return Object.assign(at, {
    issuer,
    written(header: object) {
      const now = Math.floor(at.now / 1000);
      const claims = { iss: ISS, aud: AUDIENCE, sub: 'worker:etl-1', jti: `${++count}`, iat: now, exp: now + 300 };
      return written({ alg: 'RS256', kid: 'rsa', ...header }, claims, issuer.rsa);
    },
    jwt(more: object = {}) {
      const now = Math.floor(at.now / 1000);
      const claims = { iss: ISS, aud: AUDIENCE, sub: 'worker:etl-1', jti: `${++count}`, iat: now, exp: now + 300 };
      return written({ alg: 'RS256', kid: 'rsa' }, { ...claims, ...more }, issuer.rsa);
    },
    async bring(
      token: string,
      key: KeyObject,
      { identity, address = '192.0.2.1' }: { identity?: string; address?: string } = {},
    ) {
      const csr = await createRequest(signerOf(key), { commonName: null });
      const body = JSON.stringify({ identityToken: token, csr, ...(identity === undefined ? {} : { identity }) });
      return at.desk.enroll(body, { address, addressKey: address });
    },
  });
}
const reasons = ({ log }: Scene) => log.filter(({ msg }) => msg === 'enrolment refused').map(({ reason }) => reason);

describe('an identity token', () => {
  test('gets whom it names a certificate of the lifetime and the groups of its rule, on record with whose it was', async () => {
    const at = await place();
    const answer = await at.bring(at.jwt(), newKey());
    expect(readIssued(answer.text)).toMatchObject({ identity: 'worker/etl-1', bundle: at.authority.bundlePem });
    const [record] = await at.store.listCertificates({ identity: 'worker/etl-1', now: at.now });
    expect(record).toMatchObject({ serial: serialIn(answer), profile: 'client', groups: ['etl'] });
    expect(Math.round(((record?.notAfter ?? 0) - at.now) / 60_000)).toBe(480);
    expect((await at.store.listAudit({})).at(-1)).toMatchObject({
      action: 'certificate.issue',
      actor: 'jwt:idp',
      detail: { issuer: 'idp', iss: ISS, sub: 'worker:etl-1', jti: '1', rule: 'rules[0]', groups: 'etl' },
    });
    expect(at.log.at(-1)).toMatchObject({ msg: 'enrolled', identity: 'worker/etl-1', issuer: 'idp', jti: '1' });
  });

  test('that was used is used also when its issuer’s tokens may be older from then on', async () => {
    const at = await place({ maxAge: '5m' });
    const token = at.jwt({ exp: Math.floor(at.now / 1000) + 86_400 });
    expect((await at.bring(token, newKey())).status).toBe(200);
    at.now += 3 * 3_600_000;
    // What is forgotten is so when the next one is used.
    expect((await at.bring(at.jwt(), newKey())).status).toBe(200);
    const own = { name: 'idp', issuer: ISS, audience: AUDIENCE, jwksFile: at.issuer.jwksFile, rules: RULES };
    const { authority, store, metrics } = at;
    const desk = openDesk({
      ...{ authority, store, metrics, log: limitLog(quietLog), clock: () => at.now, refusalTime: 20 },
      policy: {
        tokens: true,
        est: true,
        lockOnReuse: true,
        graceMs: 0,
        issuers: [issuerSettings({ ...own, maxAge: '7d' })],
      },
    });
    const csr = await createRequest(signerOf(newKey()), { commonName: null });
    const from = { address: '192.0.2.1', addressKey: '192.0.2.1' };
    expect(await desk.enroll(JSON.stringify({ identityToken: token, csr }), from)).toEqual(REFUSED);
  });

  test('gets the same key the same certificate again for five minutes, and no other key another', async () => {
    const at = await place();
    const [token, key] = [at.jwt({ exp: Math.floor(at.now / 1000) + 3_000 }), newKey()];
    const first = serialIn(await at.bring(token, key));
    at.now += 299_000;
    expect(serialIn(await at.bring(token, key))).toBe(first);
    expect(await at.bring(token, newKey(), { address: '198.51.100.9' })).toEqual(REFUSED);
    expect(await at.bring(token, newKey(), { address: '198.51.100.9' })).toEqual(REFUSED);
    at.now += 2_000;
    expect(await at.bring(token, key)).toEqual(REFUSED);
    expect(await at.store.listCertificates({ identity: 'worker/etl-1', now: at.now })).toHaveLength(1);
    const misuses = (await at.store.listAudit({})).filter(({ action }) => action === 'token.misuse');
    expect(misuses).toMatchObject([
      { object: 'worker/etl-1', detail: { issuer: 'idp', jti: '1', address: '198.51.100.9' } },
    ]);
    expect((await at.store.flags()).map(({ identity }) => identity)).toEqual(['worker/etl-1']);
  });

  test('is not new because it is signed anew, or has another spelling', async () => {
    const at = await place();
    const claims = { jti: undefined };
    expect((await at.bring(at.jwt(claims), newKey())).status).toBe(200);
    expect(await at.bring(at.jwt(claims), newKey())).toEqual(REFUSED);
    expect((await at.bring(at.jwt({ jti: 'same' }), newKey())).status).toBe(200);
    expect(await at.bring(at.jwt({ jti: 'same', extra: 1 }), newKey())).toEqual(REFUSED);
  });

  test('from before the CA was restored from a backup is refused, and the log says so; one from after it is good', async () => {
    const at = await place();
    const before = at.jwt();
    const key = newKey();
    const own = at.jwt();
    expect((await at.bring(own, key)).status).toBe(200);
    at.now += 60_000;
    const nothing = { listed: [], crlNumbers: new Map<string, number>(), bundleAbove: 0, actor: 'test', at: at.now };
    const entry = { time: at.now, actor: 'test', action: 'ca.restore', object: 'x', detail: {} };
    adoptRevocations(at.storePath, { ...nothing, audit: () => entry });
    expect(await at.bring(before, newKey())).toEqual(REFUSED);
    expect(reasons(at).at(-1)).toContain(
      `and the CA was restored from a backup at ${new Date(at.now).toISOString()}: it may have been used`,
    );
    // Its use is on record: the same key is given what it has already.
    expect((await at.bring(own, key)).status).toBe(200);
    at.now += 1_000;
    expect((await at.bring(at.jwt(), newKey())).status).toBe(200);
  });

  test('of one issuer and of another with the same jti are two', async () => {
    const at = await place();
    const second = await place();
    expect((await at.bring(at.jwt({ jti: 'x' }), newKey())).status).toBe(200);
    expect((await second.bring(second.jwt({ jti: 'x' }), newKey())).status).toBe(200);
  });

  test('is good for as many certificates as its issuer’s entry says', async () => {
    const at = await place({ uses: 3 });
    const token = at.jwt();
    const many = await Promise.all(Array.from({ length: 10 }, () => at.bring(token, newKey())));
    expect(many.filter(({ status }) => status === 200)).toHaveLength(3);
    expect(await at.store.listCertificates({ identity: 'worker/etl-1', now: at.now })).toHaveLength(3);
  });

  test('may give its times in fractions of a second', async () => {
    const at = await place();
    const now = at.now / 1000;
    for (const times of [
      { iat: now - 1.00037, exp: now + 299.91234 },
      { iat: now - 0.123456, exp: now + 90_000.5 },
      { iat: now - 2, exp: 1e300 },
    ]) {
      const token = at.jwt(times);
      expect([times, (await at.bring(token, newKey())).status]).toEqual([times, 200]);
      expect([times, (await at.bring(token, newKey())).status]).toEqual([times, 403]);
    }
  });

  test('brought by ten at once with one key gets all of them one certificate', async () => {
    const at = await place();
    const [token, key] = [at.jwt(), newKey()];
    const all = await Promise.all(Array.from({ length: 10 }, () => at.bring(token, key)));
    expect(new Set(all.map(serialIn)).size).toBe(1);
  });

  test('is remembered by the file, so that no other gate takes it again, and forgotten when nobody would take it', async () => {
    const at = await place();
    const token = at.jwt();
    await at.bring(token, newKey());
    const again = openSqliteStore(at.storePath, { readOnly: true });
    const count = async () => (await at.store.listAudit({ limit: 1000 })).length;
    const { id } = await idOf(at);
    expect(await again.identityTokenUses(id)).toHaveLength(1);
    await again.close();
    at.now += 300_000 + 300_000 + 600_000;
    const before = await count();
    expect((await at.bring(at.jwt(), newKey())).status).toBe(200);
    expect(await at.store.identityTokenUses(id)).toEqual([]);
    expect(await count()).toBe(before + 1);
  });

  test.each<[string, (at: Place) => ReturnType<Place['bring']>, string]>([
    ['is for another gate', (at) => at.bring(at.jwt({ aud: 'https://other.example' }), newKey()), '"aud"'],
    ['is of nobody’s issuer', (at) => at.bring(at.jwt({ iss: 'https://evil.example' }), newKey()), 'evil.example'],
    ['is named by no rule', (at) => at.bring(at.jwt({ sub: 'user:x\u001b[31m' }), newKey()), 'u{1b}[31m'],
    ['is asked to be another', (at) => at.bring(at.jwt(), newKey(), { identity: 'worker/etl-2' }), 'another name'],
    ['is none', (at) => at.bring('cgt1_abc', newKey()), 'no identity token'],
    [
      'names an identity that is locked',
      async (at) => {
        const target = { scope: 'identity', subject: 'worker/etl-1' } as const;
        await lockClients(at.store, { target, reason: 'x', forMs: null, actor: 'test' }, at.now);
        return at.bring(at.jwt(), newKey());
      },
      'locked',
    ],
  ])('that %s is refused in the one way, and the log says why', async (_what, deed, reason) => {
    const at = await place();
    expect(await deed(at)).toEqual(REFUSED);
    expect(reasons(at).at(-1)).toContain(reason);
    const refusal = at.log.find(({ msg }) => msg === 'enrolment refused');
    expect(refusal).toMatchObject({ look: expect.stringMatching(/./) as string });
    expect(at.metrics.enrollRefused).toBe(1);
  });

  test('is in no line of the log', async () => {
    const at = await place();
    const tokens = [at.jwt(), at.jwt({ aud: 'x' }), at.jwt({ sub: 'x' })];
    for (const token of tokens) await at.bring(token, newKey());
    const said = JSON.stringify(at.log);
    for (const token of tokens) for (const part of token.split('.').slice(1)) expect(said).not.toContain(part);
  });

  test('that cannot be checked now is put off, and counted', async () => {
    const at = await place({ jwksFile: undefined, jwksUrl: 'https://127.0.0.1:1/jwks' });
    const answer = await at.bring(at.jwt(), newKey());
    expect(answer.status).toBe(503);
    expect(at.metrics).toMatchObject({ enrolled: 0, enrollRefused: 0 });
    for (let i = 1; i < 60; i++) await at.bring(at.jwt(), newKey());
    expect((await at.bring(at.jwt(), newKey())).status).toBe(429);
  });

  test('is not taken where no issuer is named', async () => {
    const [at, other] = [await scene(), await place()];
    const csr = await createRequest(signerOf(newKey()), { commonName: null });
    const body = JSON.stringify({ identityToken: other.jwt(), csr });
    expect(await at.desk.enroll(body, { address: 'x', addressKey: 'x' })).toEqual(REFUSED);
  });

  test('and a token in one request are no request', async () => {
    const at = await place();
    const csr = await createRequest(signerOf(newKey()), { commonName: null });
    const body = JSON.stringify({ identityToken: at.jwt(), token: 'x', csr });
    expect((await at.desk.enroll(body, { address: 'x', addressKey: 'x' })).status).toBe(400);
  });
});

describe('what strangers write', () => {
  /** The log of a gate, as it is written. */
  const openWritten = (): { readonly lines: string[]; readonly log: LimitedLog } => {
    const lines: string[] = [];
    return {
      lines,
      log: limitLog(openLog({ level: 'info', destination: { write: (line) => void lines.push(line) } })),
    };
  };
  const NASTY = '\u001b[31m\r\n{"level":"info","msg":"enrolled"}\u202e\u0000\u2028"\\é😀'.repeat(8);

  test.each<[string, (at: Place) => string]>([
    ['kid', (at) => at.written({ kid: NASTY.slice(0, 256) })],
    ['alg', (at) => at.written({ alg: NASTY })],
    ['typ', (at) => at.written({ typ: NASTY })],
    ['name in the header', (at) => at.written({ [NASTY]: 1, crit: [NASTY] })],
    ['iss', (at) => at.jwt({ iss: NASTY })],
    ['sub', (at) => at.jwt({ sub: NASTY })],
    ['jti', (at) => at.jwt({ jti: NASTY })],
    ['aud', (at) => at.jwt({ aud: ['https://gate.example', NASTY] })],
    ['exp', (at) => at.jwt({ exp: NASTY })],
    ['list of them', (at) => at.jwt({ sub: Array.from({ length: 40 }, () => NASTY) })],
    ['whole', () => NASTY],
  ])('as a %s of a token stands in the log escaped, in one short line', async (_what, token) => {
    const { lines, log } = openWritten();
    const at = await place({}, log);
    expect(await at.bring(token(at), newKey(), { identity: NASTY })).toEqual(REFUSED);
    log.close();
    const [line = '', ...more] = lines.filter((one) => one.includes('enrolment refused'));
    expect(more).toEqual([]);
    expect(line).toMatch(/^[\x20-\x7e]+\n$/);
    expect(line.length).toBeLessThan(1_500);
    const { reason } = JSON.parse(line) as { reason: string };
    // Also for whoever reads the text out of the JSON, on a terminal.
    expect(reason).toMatch(/^[\x20-\x7e…]+$/);
  });

  test('differently each time does not fill the log: all of it is counted under one name', async () => {
    const { lines, log } = openWritten();
    const at = await place({}, log);
    const started = performance.now();
    for (let n = 0; n < 120; n++) {
      const token =
        n % 2 === 0 ? at.written({ kid: `made-up-${n}` }) : at.jwt({ iss: `https://${n}.example`, sub: `${n}` });
      await at.bring(token, newKey(), { address: `192.0.2.${n}` });
    }
    log.close();
    const seconds = Math.ceil((performance.now() - started) / 1_000) + 1;
    const said = lines.filter((one) => one.includes('"enrolment refused"'));
    expect(said.length).toBeLessThanOrEqual(5 * seconds);
    // Also what was put off while keys were read, that they were, and how many lines were left out.
    expect(lines.length).toBeLessThanOrEqual(14 * seconds);
    expect(lines.filter((one) => one.includes('left out')).join('')).not.toMatch(/made-up|example/);
  });
});

describe('the ID token of a login', () => {
  const login = { clientId: 'certgate' };
  const nonceFor = async (key: KeyObject): Promise<string> => {
    const csr = await createRequest(signerOf(key), { commonName: null });
    return nonceOf(keyHashOf(readRequest(csr)));
  };

  test('gets its key a certificate that is not renewed', async () => {
    const at = await place({ audience: 'certgate', login });
    const key = newKey();
    const answer = await at.bring(at.jwt({ aud: 'certgate', nonce: await nonceFor(key) }), key);
    const renewed = await at.renew(serialIn(answer), newKey());
    expect([renewed.status, renewed.text]).toEqual([403, expect.stringContaining('certgate login')]);
  });

  test.each<[string, (key: KeyObject) => Promise<object>, string]>([
    ['for another key', async () => ({ nonce: await nonceFor(newKey()) }), 'another key'],
    ['without a nonce', async () => ({}), 'no nonce'],
    ['of another client', async (key) => ({ nonce: await nonceFor(key), azp: 'other' }), 'azp is "other"'],
    ['with a nonce that is a list', async (key) => ({ nonce: [await nonceFor(key)] }), 'another key'],
  ])('%s is refused', async (_what, claims, reason) => {
    const at = await place({ audience: 'certgate', login });
    const key = newKey();
    expect(await at.bring(at.jwt({ aud: 'certgate', ...(await claims(key)) }), key)).toEqual(REFUSED);
    expect(reasons(at).at(-1)).toContain(reason);
  });

  test('without a nonce is taken where device codes are, and with that of another key is not', async () => {
    const at = await place({ audience: 'certgate', login: { ...login, device: true } });
    expect((await at.bring(at.jwt({ aud: 'certgate' }), newKey())).status).toBe(200);
    const nonce = await nonceFor(newKey());
    expect(await at.bring(at.jwt({ aud: 'certgate', nonce }), newKey())).toEqual(REFUSED);
  });

  test('may be renewed where its rule says so', async () => {
    const at = await place({ audience: 'certgate', login, rules: [{ ...RULES[0], renew: true }] });
    const key = newKey();
    const answer = await at.bring(at.jwt({ aud: 'certgate', nonce: await nonceFor(key) }), key);
    expect((await at.renew(serialIn(answer), newKey())).status).toBe(200);
  });
});

test('a one-time token is refused where only identity tokens are taken', async () => {
  const issuer = testIssuer();
  const own = { name: 'idp', issuer: ISS, audience: AUDIENCE, jwksFile: issuer.jwksFile, rules: RULES };
  const at = await scene({ tokens: false, issuers: [issuerSettings(own)] });
  expect(await at.enroll(await at.token('worker/a'), newKey())).toEqual(REFUSED);
  expect(reasons(at).at(-1)).toContain('tokens are not taken here');
});

/** Of the one token that was used, as the store knows it. */
async function idOf(at: Place): Promise<{ readonly id: string }> {
  const { openIdentityTokens } = await import('../../src/enroll/identity-tokens.ts');
  const own = { name: 'idp', issuer: ISS, audience: AUDIENCE, jwksFile: at.issuer.jwksFile, rules: RULES };
  const verdict = await openIdentityTokens([issuerSettings(own)], { say: () => {}, close: () => {} }).verify(
    at.jwt({ jti: '1' }),
    at.now,
    '',
  );
  if (verdict.kind !== 'verified') throw new Error(verdict.reason);
  return verdict;
}
