import { beforeAll, describe, expect, test } from 'vitest';
import { sign } from './harness/certificates.ts';
import type { Echo } from './harness/echo.ts';
import { within } from './harness/eventually.ts';
import { credentialsIn, type House, makeHouse, type Serving } from './harness/house.ts';
import { echo, folder, house } from './harness/scenario.ts';
import { ask, type Credentials, get, openTls } from './harness/wire.ts';

const HOUR = 3_600_000;
const NOW = Math.floor(Date.now() / 1000) * 1000;
const PAST = { notBefore: NOW - 2 * HOUR, notAfter: NOW - HOUR };
const PRESENT = { notBefore: NOW - HOUR, notAfter: NOW + HOUR };
const FUTURE = { notBefore: NOW + HOUR, notAfter: NOW + 2 * HOUR };
const EXPIRED = new Date(PAST.notAfter).toISOString();

let home: House;
let gate: Serving;
let elsewhere: House;
let strict: Serving;
let upstream: Echo;
let ca: string;

beforeAll(async () => {
  home = await house();
  upstream = await echo();
  ({ ca } = await credentialsIn(await home.issue('worker/etl-1')));
  gate = await home.serve({ upstream: upstream.url });
  // Here only an organisational unit makes an identity, and none of certgate's own certificates has one.
  elsewhere = await house();
  strict = await elsewhere.serve({
    upstream: upstream.url,
    env: { CERTGATE_IDENTITY_RULES: '[{"from":"OU","match":"team-([a-z]+)","as":"user/$1"}]' },
  });
}, 60_000);

interface Case {
  readonly who: string;
  readonly credentials: () => Promise<Credentials>;
  readonly at?: () => Serving;
  readonly detail: string | RegExp;
  readonly log: Readonly<Record<string, unknown>>;
}

const cases: readonly Case[] = [
  {
    who: 'a client without a certificate',
    credentials: async () => ({ ca }),
    detail: 'certgate: a client certificate is required',
    log: { code: 'CG_CLIENT_NO_CERTIFICATE', identity: null, reason: 'no client certificate was presented' },
  },
  {
    who: 'a stranger, with a certificate of another CA of the same names',
    credentials: async () => {
      const other = await makeHouse(await folder());
      return { ...(await credentialsIn(await other.issue('worker/etl-1'))), ca };
    },
    detail: 'certgate: the client certificate is not from the CA of this gate',
    log: { code: 'CG_CLIENT_UNTRUSTED', identity: null },
  },
  {
    who: 'an expired certificate',
    credentials: async () => await sign(home, { identity: 'worker/late', ...PAST, recorded: true }),
    detail: `certgate: the client certificate expired at ${EXPIRED}`,
    log: { code: 'CG_CLIENT_EXPIRED', reason: `the certificate expired at ${EXPIRED}` },
  },
  {
    who: 'a certificate that is valid only from later on',
    credentials: async () => await sign(home, { identity: 'worker/early', ...FUTURE, recorded: true }),
    detail: `certgate: the client certificate is valid only from ${new Date(FUTURE.notBefore).toISOString()}`,
    log: { code: 'CG_CLIENT_NOT_YET_VALID' },
  },
  {
    who: 'a server’s certificate in a client’s hand',
    credentials: async () =>
      await sign(home, { identity: 'gate/other', ...PRESENT, profile: 'server', recorded: true }),
    detail: 'certgate: the certificate is not a client certificate (extended key usage clientAuth is missing)',
    log: { code: 'CG_CLIENT_PURPOSE', reason: 'the certificate is not for clients' },
  },
  {
    who: 'a certificate of this CA that is in no record',
    credentials: async () => await sign(home, { identity: 'worker/ghost', ...PRESENT, recorded: false }),
    detail: 'certgate: the client certificate is not in the records of this CA',
    log: {
      code: 'CG_CLIENT_UNRECORDED',
      identity: 'worker/ghost',
      reason: 'the certificate is from this CA but not in its records',
    },
  },
  {
    who: 'a revoked certificate',
    credentials: async () => {
      const out = await home.issue('worker/gone');
      await home.certgate(['revoke', 'worker/gone', '--config', home.config]);
      return await credentialsIn(out);
    },
    detail: 'certgate: the certificate of worker/gone was revoked',
    log: { code: 'CG_CLIENT_REVOKED', identity: 'worker/gone', reason: 'the certificate was revoked' },
  },
  {
    who: 'a certificate that no identity rule knows',
    credentials: async () => await credentialsIn(await elsewhere.issue('user/alice')),
    at: () => strict,
    detail: /^certgate: the client certificate yields no identity: /,
    log: { code: 'CG_IDENTITY_NONE', identity: null },
  },
];

describe('refused with 403 and a reason, in the answer and in the log, and not one request reaches the Prefect server', () => {
  test.each(cases)('$who', async ({ credentials, at = () => gate, detail, log }) => {
    const seen = upstream.heads.length;
    const target = at();
    const wire = await openTls(target.port, await credentials());
    const answer = await ask(wire, get('/api/hello'));
    expect(answer.status).toBe(403);
    expect(answer.headers['content-type']).toBe('application/json');
    expect(answer.headers['connection']).toBe('close');
    const { detail: told } = JSON.parse(answer.body.toString()) as { detail: string };
    if (typeof detail === 'string') expect(told).toBe(detail);
    else expect(told).toMatch(detail);
    await within('the connection ends', wire.ended);
    const line = await target.logged(
      ({ code, identity }) => code === log['code'] && identity === (log['identity'] ?? null),
    );
    expect(line).toMatchObject({ msg: 'connection refused', address: '127.0.0.1', ...log });
    expect(upstream.heads.length).toBe(seen);
  });
});

test.each(['GET', 'POST'])('who speaks HTTP without TLS is told so, by an answer to its %s', async (method) => {
  const seen = upstream.heads.length;
  const body = method === 'POST' ? 'x'.repeat(1_000_000) : null;
  const answer = await fetch(`http://127.0.0.1:${gate.port}/api/hello`, { method, body });
  expect(answer.status).toBe(400);
  expect(await answer.json()).toEqual({ detail: 'certgate: this port speaks HTTPS: its address begins with https://' });
  expect(answer.headers.get('connection')).toBe('close');
  const line = await gate.logged(({ reason }) => reason === 'ERR_SSL_HTTP_REQUEST');
  expect(line).toMatchObject({ msg: 'tls handshake failed', address: '127.0.0.1' });
  expect(upstream.heads.length).toBe(seen);
});
