// What a login makes of an identity provider that answers late, oddly or not at all; the real one stands in
// test/e2e/a-person-logs-in.test.ts.
import { spawn } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once as next } from 'node:events';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { platform, userInfo } from 'node:os';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { logIn } from '../../src/enroll/login.ts';
import { privateKeyToPem } from '../../src/pki/keys.ts';
import { openCa } from '../authority/fixture.ts';
import { newKey } from './fixture.ts';

interface Provider {
  readonly issuer: string;
  readonly polls: number;
  /** What a poll is answered with, in turn; the last one for all that follow. */
  answers: RequestListener[];
}

/** A provider that gives device codes, to be asked for every second. */
async function provider(): Promise<Provider> {
  const ca = await openCa();
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const request = { identity: 'gate/idp', profile: 'server', ttlMs: 3_600_000, publicKey, actor: 'test' } as const;
  const { chainPem } = await ca.authority.issue({ ...request, ip: ['127.0.0.1'] });
  const made = { issuer: '', polls: 0, answers: [] as RequestListener[] };
  const server = createServer({ cert: chainPem, key: privateKeyToPem(privateKey) }, (asked, answer) => {
    const json = (value: object): void => void answer.end(JSON.stringify(value));
    const { issuer } = made;
    if (asked.url === '/.well-known/openid-configuration') {
      const [authorization_endpoint, token_endpoint] = [`${issuer}/auth`, `${issuer}/token`];
      json({ issuer, authorization_endpoint, token_endpoint, device_authorization_endpoint: `${issuer}/device` });
    } else if (asked.url === '/device') {
      json({ device_code: 'd', user_code: 'ABCD', verification_uri: `${issuer}/go`, interval: 1, expires_in: 60 });
    } else {
      made.answers[Math.min(made.polls++, made.answers.length - 1)]?.(asked, answer);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  made.issuer = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const before = getCACertificates('default');
  setDefaultCACertificates([...before, ca.authority.bundlePem]);
  onTestFinished(() => {
    setDefaultCACertificates(before);
    server.closeAllConnections();
    server.close();
  });
  return made;
}

const saying =
  (status: number, value: object): RequestListener =>
  (_asked, answer) =>
    void answer.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));

function byDevice({ issuer }: Provider, key: KeyObject = newKey()): Promise<string> {
  const never = (): never => {
    throw new Error('no browser is opened for a device code');
  };
  return logIn({ issuer, clientId: 'certgate', scopes: ['openid'], device: true }, key, {
    device: true,
    open: never,
    showCode: () => {},
  });
}

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

// RFC 8628 §3.5: a connection timeout makes a client ask less often, not give up.
test('a device code is asked for again after a poll that got no answer, or that a server in trouble answered', async () => {
  const idp = await provider();
  const token = `${part({ alg: 'ES256' })}.${part({ iss: idp.issuer, aud: 'certgate', sub: 'alice' })}.c2ln`;
  idp.answers = [
    (_asked, answer) => void answer.socket?.destroy(),
    saying(503, { error: 'temporarily_unavailable' }),
    saying(200, { id_token: token }),
  ];
  expect(await byDevice(idp)).toBe(token);
  expect(idp.polls).toBe(3);
}, 30_000);

test('a device code that somebody denied is not asked for again, and the reason is the provider’s', async () => {
  const idp = await provider();
  idp.answers = [saying(400, { error: 'access_denied', error_description: 'not you' })];
  await expect(byDevice(idp)).rejects.toThrow(/access_denied.*not you/);
  expect(idp.polls).toBe(1);
});

test('an ID token for another client, or of another issuer, is none of this login', async () => {
  const idp = await provider();
  const claims = { iss: idp.issuer, aud: 'certgate', sub: 'alice' };
  for (const [odd, problem] of [
    [{ aud: 'another' }, 'another aud'],
    [{ iss: `${idp.issuer}/` }, 'another iss'],
    [{ aud: ['certgate', 'another'], azp: 'another' }, 'another azp'],
    [{ nonce: 'of another key' }, 'another nonce'],
  ] as const) {
    idp.answers = [saying(200, { id_token: `${part({ alg: 'ES256' })}.${part({ ...claims, ...odd })}.c2ln` })];
    await expect(byDevice(idp)).rejects.toThrow(problem);
  }
}, 30_000);

/** A login in the browser: the address on the terminal, the one that the browser is started with, and what comes of it. */
async function inBrowser({ issuer }: Provider) {
  const opened = Promise.withResolvers<readonly [string, string]>();
  const token = logIn({ issuer, clientId: 'certgate', scopes: ['openid'], device: true }, newKey(), {
    device: false,
    open: (...addresses) => opened.resolve(addresses),
    showCode: () => {},
  });
  token.catch(() => {});
  const [address, once] = await opened.promise;
  return { address: new URL(address), once, token };
}

const goTo = async (url: string | URL): Promise<Response> => await fetch(url, { redirect: 'manual' });

function backFrom(address: URL): URL {
  const back = new URL(address.searchParams.get('redirect_uri') ?? '');
  back.searchParams.set('code', 'c');
  back.searchParams.set('state', address.searchParams.get('state') ?? '');
  return back;
}

function tokenFor(idp: Provider, address: URL): string {
  const claims = { iss: idp.issuer, aud: 'certgate', sub: 'alice', nonce: address.searchParams.get('nonce') };
  return `${part({ alg: 'ES256' })}.${part(claims)}.c2ln`;
}

test('what the browser is started with leads on to the provider, with a state of its own', async () => {
  const idp = await provider();
  const { address, once, token } = await inBrowser(idp);
  const led = await goTo(once);
  expect(led.status).toBe(302);
  const there = new URL(led.headers.get('location') ?? '');
  expect(there.origin).toBe(idp.issuer);
  expect(there.searchParams.get('state')).not.toBe(address.searchParams.get('state'));
  expect(once).not.toContain(there.searchParams.get('state'));
  idp.answers = [saying(200, { id_token: tokenFor(idp, there) })];
  expect((await goTo(backFrom(there))).status).toBe(200);
  expect(await token).toBe(tokenFor(idp, there));
});

test('when somebody else on the machine has opened that first, theirs is no login, and what the terminal shows still is one', async () => {
  const idp = await provider();
  const { address, once, token } = await inBrowser(idp);
  const theirs = new URL((await goTo(once)).headers.get('location') ?? '');
  const own = await goTo(once);
  expect([own.status, await own.text()]).toEqual([410, expect.stringContaining('the one that the terminal shows')]);
  expect((await goTo(backFrom(theirs))).status).toBe(400);
  expect((await goTo(once)).status).toBe(410);
  idp.answers = [saying(200, { id_token: tokenFor(idp, address) })];
  expect((await goTo(backFrom(address))).status).toBe(200);
  expect(await token).toBe(tokenFor(idp, address));
});

/** What another user of the machine is answered at `url`, its head. */
async function toAnother(url: string): Promise<string> {
  const { port, pathname } = new URL(url);
  const ask = `exec 3<>/dev/tcp/127.0.0.1/${port}; printf 'GET ${pathname} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' >&3; cat <&3`;
  const child = spawn('/bin/bash', ['-c', ask], { uid: 65_534, gid: 65_534, stdio: ['ignore', 'pipe', 'inherit'] });
  return String(await next(child.stdout, 'data'));
}

// Who is faster than a browser starts could have ended the login by then, as himself.
const alone =
  platform() === 'linux' && userInfo().uid === 0 ? '' : ' [skipped: it takes Linux, and root to be another user]';
test.skipIf(alone !== '')(
  `another user of the machine, however fast, is led nowhere by what the browser is started with, and that still leads on${alone}`,
  async () => {
    const idp = await provider();
    const login = await inBrowser(idp);
    const theirs = await toAnother(login.once);
    expect(theirs).toMatch(/^HTTP\/1.1 403 /);
    expect(theirs).not.toMatch(/location|state/i);
    const led = await goTo(login.once);
    expect(led.status).toBe(302);
    const there = new URL(led.headers.get('location') ?? '');
    idp.answers = [saying(200, { id_token: tokenFor(idp, there) })];
    expect((await goTo(backFrom(there))).status).toBe(200);
    expect(await login.token).toBe(tokenFor(idp, there));
  },
);
