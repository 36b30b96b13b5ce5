// How a person proves to the gate's identity provider who it is, and gets an ID token for one key: the authorization code flow
// with PKCE and a loopback redirect (RFC 8252, RFC 7636, RFC 9207), or a device code where there is no browser (RFC 8628).
// The nonce is the hash of the key that is to be certified, so that the token is of no use with another. What comes back is
// checked here and, with its signature, by the gate again. Nothing is stored; no password passes through here. Other users of
// this machine see what a browser is started with: that address leads on once, and no other user where the system tells who asks.
import { createHash, type KeyObject, randomBytes } from 'node:crypto';
import { createServer, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { CertgateError, reasonOf, shown } from '../errors.ts';
import { spkiOf } from '../pki/public-keys.ts';
import { signerOf } from '../pki/signing.ts';
import { fetchJson } from './fetch-json.ts';
import { nonceOf } from './identity-tokens.ts';
import { readIdentityToken } from './jwt-form.ts';
import { userAtOtherEnd } from './loopback-peer.ts';
import type { LoginAnswer } from './wire.ts';

/** For a person to log in, ms. */
const PATIENCE = 300_000;
const OPENED_BEFORE =
  'This address has been opened before, perhaps by somebody else on this machine. Open the one that the terminal shows.';
const NOT_YOURS =
  'This address is for the user who began the login. If that is you, open the one that the terminal shows.';
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';

export interface LoginWays {
  /** Shows `address` to the person, and to nobody else, and opens `once` in the browser, where there is one. */
  open(address: string, once: string): void;
  /** Shows what to type in on another machine. */
  showCode(url: string, code: string): void;
  readonly device: boolean;
}

interface Provider {
  readonly issuer: string;
  readonly authorization: string;
  readonly token: string;
  readonly device: string | null;
}

/** An ID token of whoever logs in, bound to `key`. CG_LOGIN. */
export async function logIn(login: LoginAnswer, key: KeyObject, ways: LoginWays): Promise<string> {
  const provider = await discover(login.issuer);
  const keyHash = createHash('sha256')
    .update(spkiOf(signerOf(key).publicKey))
    .digest('hex');
  const nonce = nonceOf(keyHash);
  const token = ways.device
    ? await byDevice(provider, login, nonce, ways)
    : await byBrowser(provider, login, nonce, ways);
  const problem = problemOf(token, login, nonce, ways.device);
  if (problem !== null) throw failed(login.issuer, `its ID token is not for this login: ${problem}`);
  return token;
}

async function discover(issuer: string): Promise<Provider> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const found = await asked(issuer, url);
  const endpoint = (name: string): string | null => {
    const value = found[name];
    return typeof value === 'string' && URL.parse(value)?.protocol === 'https:' ? value : null;
  };
  const [authorization, token] = [endpoint('authorization_endpoint'), endpoint('token_endpoint')];
  if (found['issuer'] !== issuer || authorization === null || token === null) {
    throw failed(issuer, `${url} is not its OpenID configuration`);
  }
  return { issuer, authorization, token, device: endpoint('device_authorization_endpoint') };
}

async function byBrowser(provider: Provider, login: LoginAnswer, nonce: string, ways: LoginWays): Promise<string> {
  const verifier = randomText();
  const waiting = await listen(provider.issuer, (state, redirect) => {
    const url = new URL(provider.authorization);
    for (const [name, value] of Object.entries({
      client_id: login.clientId,
      response_type: 'code',
      redirect_uri: redirect,
      scope: login.scopes.join(' '),
      state,
      nonce,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    }))
      url.searchParams.set(name, value);
    return url.href;
  });
  try {
    ways.open(waiting.address, waiting.once);
    const code = await waiting.code;
    const form = { grant_type: 'authorization_code', code, redirect_uri: waiting.redirect, code_verifier: verifier };
    return idTokenIn(
      provider.issuer,
      await asked(provider.issuer, provider.token, { ...form, client_id: login.clientId }),
    );
  } finally {
    waiting.stop();
  }
}

/**
 * Waits on loopback, on a free port, for the browser to come back with a code and a state that it was sent away with, to
 * `addressOf` that state. Who opens `once` first, and is no other user, is sent there; when it is opened again, what it led to
 * counts no more.
 */
async function listen(issuer: string, addressOf: (state: string, redirect: string) => string) {
  const [shownState, begin] = [randomText(), `/begin/${randomText()}`];
  let onceState: string | null = null;
  let opened = false;
  const came = Promise.withResolvers<string>();
  came.promise.catch(() => {});
  const server = createServer((request, response) => {
    const url = URL.parse(request.url ?? '', 'http://127.0.0.1');
    if (request.method === 'GET' && url?.pathname === begin) {
      // Who is faster than a browser starts could be back with a login of his own before it asks.
      if (isAnothers(request.socket)) return answer(response, 403, NOT_YOURS);
      onceState = opened ? null : randomText();
      opened = true;
      if (onceState === null) return answer(response, 410, OPENED_BEFORE);
      return answer(response, 302, 'Log in there.', { location: addressOf(onceState, redirect) });
    }
    if (request.method !== 'GET' || url?.pathname !== '/callback')
      return answer(response, 404, 'There is nothing here.');
    const said = (name: string): string | null => url.searchParams.get(name);
    // Any page may have sent the browser here: what does not know the state ends nothing.
    if (![shownState, onceState].includes(said('state') ?? ''))
      return answer(response, 400, 'This is not the login that certgate began.');
    const [error, code, from] = [said('error'), said('code'), said('iss')];
    if (error !== null || code === null || (from !== null && from !== issuer)) {
      answer(response, 400, 'The login failed; the terminal says why.');
      came.reject(failed(issuer, error === null ? 'it answered without a code' : shown(error.slice(0, 200))));
      return;
    }
    answer(response, 200, 'You are logged in; the terminal has the rest. This page can be closed.');
    came.resolve(code);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const redirect = `${origin}/callback`;
  const timer = setTimeout(
    () => came.reject(failed(issuer, `nobody logged in within ${PATIENCE / 60_000} min`)),
    PATIENCE,
  );
  return {
    redirect,
    address: addressOf(shownState, redirect),
    once: `${origin}${begin}`,
    code: came.promise,
    stop() {
      clearTimeout(timer);
      server.close();
      server.closeIdleConnections();
      setTimeout(() => server.closeAllConnections(), 500).unref();
    },
  };
}

/**
 * Where the system tells. What root's processes ask, root could have asked otherwise; some pass on what a browser of the user
 * asks.
 */
function isAnothers(socket: Socket): boolean {
  const user = userAtOtherEnd(socket);
  return user !== null && user !== 0 && user !== process.getuid?.();
}

function randomText(): string {
  return randomBytes(32).toString('base64url');
}

function answer(response: ServerResponse, status: number, text: string, extra: OutgoingHttpHeaders = {}): void {
  const page = `<!doctype html><meta charset="utf-8"><title>certgate</title><p>${text}</p>\n`;
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': "default-src 'none'",
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-store',
    connection: 'close',
    ...extra,
  });
  response.end(page);
}

async function byDevice(provider: Provider, login: LoginAnswer, nonce: string, ways: LoginWays): Promise<string> {
  const { issuer, device } = provider;
  if (device === null) throw failed(issuer, 'it has no device codes');
  const scope = login.scopes.join(' ');
  const begun = await asked(issuer, device, { client_id: login.clientId, scope, nonce });
  const { device_code: code, user_code: typed, verification_uri: where, verification_uri_complete: whole } = begun;
  if (typeof code !== 'string' || typeof typed !== 'string' || typeof where !== 'string') {
    throw failed(issuer, `it gave no device code${errorIn(begun)}`);
  }
  ways.showCode(typeof whole === 'string' ? whole : where, typed);
  const until = performance.now() + Math.min(PATIENCE, secondsIn(begun['expires_in'], 300));
  let every = Math.max(1_000, secondsIn(begun['interval'], 5));
  let trouble = '';
  while (performance.now() < until) {
    await new Promise((resolve) => {
      setTimeout(resolve, every);
    });
    const said = await asked(issuer, provider.token, {
      grant_type: DEVICE_GRANT,
      device_code: code,
      client_id: login.clientId,
    }).catch((error: unknown) => {
      trouble = `; ${reasonOf(error instanceof Error ? error.cause : error)}`;
      return null;
    });
    // Who got no answer asks less often, and goes on (RFC 8628 §3.5).
    if (said === null) every *= 2;
    else if (said['error'] === 'slow_down') every += 5_000;
    else if (said['error'] !== 'authorization_pending') return idTokenIn(issuer, said);
  }
  throw failed(issuer, `nobody logged in in time${trouble}`);
}

function secondsIn(value: unknown, otherwise: number): number {
  return (typeof value === 'number' && value >= 0 && value <= 3_600 ? value : otherwise) * 1000;
}

async function asked(
  issuer: string,
  url: string,
  form?: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, unknown>>> {
  try {
    const place = { url, ca: null, token: null };
    const answered = await fetchJson(form === undefined ? place : { ...place, form: new URLSearchParams(form) });
    return typeof answered === 'object' && answered !== null ? { ...answered } : {};
  } catch (error) {
    throw failed(issuer, reasonOf(error), error);
  }
}

function idTokenIn(issuer: string, said: Readonly<Record<string, unknown>>): string {
  const { id_token: token } = said;
  if (typeof token === 'string') return token;
  throw failed(issuer, `it gave no ID token${errorIn(said)}`);
}

function errorIn({ error, error_description: more }: Readonly<Record<string, unknown>>): string {
  const words = [error, more].filter((one) => typeof one === 'string').map((one) => shown(one.slice(0, 200)));
  return words.length === 0 ? '' : `: ${words.join(', ')}`;
}

/** It came from the issuer's own endpoint over TLS (OpenID Connect Core §3.1.3.7, 6.); the gate checks its signature. */
function problemOf(text: string, { issuer, clientId }: LoginAnswer, nonce: string, device: boolean): string | null {
  const token = readIdentityToken(text);
  if ('problem' in token) return token.problem;
  const { iss, aud, azp, nonce: said } = token.claims;
  if (iss !== issuer) return 'it has another iss';
  if (![aud].flat().includes(clientId)) return 'it has another aud';
  if (azp !== undefined && azp !== clientId) return 'it has another azp';
  return said === nonce || (device && said === undefined) ? null : 'it has another nonce';
}

function failed(issuer: string, problem: string, cause?: unknown): CertgateError<'CG_LOGIN'> {
  return new CertgateError('CG_LOGIN', { issuer, problem }, { cause });
}
