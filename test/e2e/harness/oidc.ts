// A real OpenID provider for a scenario, and somebody who fills in its forms without a browser: who logs in, and agrees.

import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { type IncomingHttpHeaders, request as plainRequest } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { freePort } from './ports.ts';
import { cleanEnvironment, finish, type Running, start } from './processes.ts';

const PROGRAM = join(import.meta.dirname, 'oidc-process.ts');

export interface OidcProvider {
  readonly issuer: string;
  readonly clientId: string;
  /** Of its server certificate, which is its own authority. */
  readonly caFile: string;
  readonly running: Running;
  /** What it was asked, as `GET /jwks`. */
  asked(): readonly string[];
  /** Puts `name` into these groups, from the next login on; before, everybody is in `people` and in `data/NAME`. */
  setGroups(name: string, groups: readonly string[]): Promise<void>;
  /** Follows `url` and fills in every form as `name`, to where the provider sends the browser in the end. */
  visit(url: string, name: string, answers?: Readonly<Record<string, string>>): Promise<Visit>;
}

export interface Visit {
  /** The address outside of the provider that it ended at; null when it ended at a page of the provider. */
  readonly sentTo: URL | null;
  readonly page: string;
}

/** Starts one in the folder `dir`, with an RSA key of its own. */
export async function startOidc(dir: string, clientId = 'certgate'): Promise<OidcProvider> {
  const port = await freePort();
  const [cert, key, jwks, groups] = ['oidc.crt', 'oidc.key', 'oidc-jwks.json', 'oidc-groups.json'].map((name) =>
    join(dir, name),
  ) as [string, string, string, string];
  const { code, stderr } = await finish(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
      ...['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert],
    ],
    { env: cleanEnvironment() },
  );
  if (code !== 0) throw new Error(stderr);
  const jwk = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  await writeFile(jwks, JSON.stringify({ keys: [{ ...jwk, kid: 'first', use: 'sig', alg: 'RS256' }] }));
  const members: Record<string, readonly string[]> = {};
  const writeGroups = async (): Promise<void> => await writeFile(groups, JSON.stringify(members));
  await writeGroups();
  const running = start(process.execPath, [PROGRAM, `${port}`, cert, key, jwks, clientId, groups], {
    env: cleanEnvironment({ NODE_NO_WARNINGS: '1' }),
  });
  await running.line((line) => line === 'listening');
  const issuer = `https://127.0.0.1:${port}`;
  return {
    ...{ issuer, clientId, caFile: cert, running },
    asked: () => running.stdout().split('\n'),
    setGroups: async (name, of) => {
      members[name] = of;
      await writeGroups();
    },
    visit: (url, name, answers = {}) => visit(issuer, url, { login: name, password: 'x', ...answers }),
  };
}

async function visit(issuer: string, first: string, answers: Readonly<Record<string, string>>): Promise<Visit> {
  const cookies = new Map<string, string>();
  let at = new URL(first);
  let form: string | null = null;
  for (let step = 0; step < 30; step++) {
    if (at.origin !== issuer) return { sentTo: at, page: '' };
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const { status, headers, text } = await fetchPage(at, cookie, form);
    for (const set of headers['set-cookie'] ?? []) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(set) ?? [];
      cookies.set(name, value);
    }
    form = null;
    if (headers.location !== undefined && status >= 300 && status < 400) {
      at = new URL(headers.location, at);
      continue;
    }
    const [, action] = /<form[^>]*action="([^"]*)"/.exec(text) ?? [];
    if (action === undefined || status >= 400) return { sentTo: null, page: text };
    const filled = new URLSearchParams();
    for (const [tag] of text.matchAll(/<input[^>]*>/g)) {
      const name = /name="([^"]*)"/.exec(tag)?.[1];
      const value = /value="([^"]*)"/.exec(tag)?.[1];
      if (name !== undefined) filled.set(name, answers[name] ?? value ?? '');
    }
    form = filled.toString();
    at = new URL(action.replaceAll('&amp;', '&'), at);
  }
  throw new Error(`the forms of the provider go on and on, at ${at.href}`);
}

function fetchPage(
  url: URL,
  cookie: string,
  form: string | null,
): Promise<{ readonly status: number; readonly headers: IncomingHttpHeaders; readonly text: string }> {
  const send = url.protocol === 'https:' ? request : plainRequest;
  return new Promise((resolve, reject) => {
    const asked = send(
      url,
      {
        method: form === null ? 'GET' : 'POST',
        rejectUnauthorized: false,
        headers: {
          ...(cookie === '' ? {} : { cookie }),
          ...(form === null ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
        },
      },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }));
        answer.on('error', reject);
      },
    );
    asked.on('error', reject);
    asked.end(form ?? undefined);
  });
}

/** An ID token for `name`, by the authorization code that the forms end with (RFC 6749 §4.1, RFC 7636). */
export async function idTokenFor(provider: OidcProvider, name: string, nonce = 'n'): Promise<string> {
  const { issuer, clientId } = provider;
  const redirect = 'http://127.0.0.1:1/callback';
  const verifier = 'v'.repeat(43);
  const challenge = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(verifier))).toString('base64url');
  const query = new URLSearchParams({
    ...{ client_id: clientId, response_type: 'code', redirect_uri: redirect, scope: 'openid profile', nonce },
    ...{ state: 's', code_challenge: challenge, code_challenge_method: 'S256' },
  });
  const { sentTo, page } = await provider.visit(`${issuer}/auth?${query.toString()}`, name);
  const code = sentTo?.searchParams.get('code');
  if (code === null || code === undefined) throw new Error(`no code: ${sentTo?.href ?? page}`);
  const asked = {
    grant_type: 'authorization_code',
    client_id: clientId,
    code,
    redirect_uri: redirect,
    code_verifier: verifier,
  };
  const { text } = await fetchPage(new URL(`${issuer}/token`), '', new URLSearchParams(asked).toString());
  return (JSON.parse(text) as { id_token: string }).id_token;
}
