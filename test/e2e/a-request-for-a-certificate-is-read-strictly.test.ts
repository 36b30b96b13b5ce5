import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { credentialOf, readToken } from '../../src/enroll/token.ts';
import { generateKey } from '../../src/pki/keys.ts';
import { createRequest } from '../../src/pki/requests.ts';
import { signerOf } from '../../src/pki/signing.ts';
import { newToken } from './harness/enrolment.ts';
import { credentialsIn, type House, type Serving } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, type Credentials, get, openTls } from './harness/wire.ts';

let home: House;
let gate: Serving;
let stranger: Credentials;
let worker: Credentials;
beforeAll(async () => {
  home = await house();
  gate = await home.serve({ upstream: (await echo()).url });
  stranger = { ca: readFileSync(join(home.dir, 'certs/ca.crt'), 'utf8') };
  worker = await credentialsIn(await home.issue('worker/etl-1'));
}, 60_000);

const ENROLL = '/.well-known/certgate/enroll';
const RENEW = '/.well-known/certgate/renew';
const newCsr = async (): Promise<string> =>
  createRequest(signerOf((await generateKey()).privateKey), { commonName: null });
const post = (path: string, body: string, ...lines: string[]): string =>
  [`POST ${path} HTTP/1.1`, 'Host: localhost', ...lines, `Content-Length: ${Buffer.byteLength(body)}`, '', body].join(
    '\r\n',
  );
const enrolment = async (name: string): Promise<string> => {
  const token = credentialOf(readToken(await newToken(home, gate.port, name)));
  return JSON.stringify({ token, csr: await newCsr() });
};

describe('a stranger', () => {
  test('enrols by a request that comes octet by octet, and the connection ends with the answer where it asked for that', async () => {
    const request = post(ENROLL, await enrolment('worker/slow'), 'Connection: close');
    const wire = await openTls(gate.port, stranger);
    for (let at = 0; at < request.length; at += at < 100 ? 1 : 97) {
      wire.send(request.slice(at, at < 100 ? at + 1 : at + 97));
      if (at % 10 === 0) await pause(1);
    }
    const { status, headers } = await wire.answer();
    expect([status, headers['connection'], headers['cache-control']]).toEqual([200, 'close', 'no-store']);
    expect((await wire.ended).how).toBe('end');
  });

  test('enrols several machines over one connection, and is refused there like anywhere', async () => {
    const asked = new Map<string, string>();
    for (const name of ['worker/fleet-1', 'worker/fleet-2']) asked.set(name, await enrolment(name));
    const wire = await openTls(gate.port, stranger);
    for (const [name, request] of asked) {
      const { status, headers, body } = await ask(wire, post(ENROLL, request));
      expect([status, headers['connection'], JSON.parse(body.toString())]).toMatchObject([
        200,
        undefined,
        { identity: name },
      ]);
      expect((await ask(wire, get('/.well-known/certgate/bundle'))).body.toString()).toBe(stranger.ca);
    }
    expect((await ask(wire, get('/api/hello'))).status).toBe(403);
    expect((await wire.ended).how).toBe('end');
  });

  test('is answered a hundred times on one connection, and no more', async () => {
    const wire = await openTls(gate.port, stranger);
    for (let asked = 1; asked <= 100; asked++) {
      const { status, headers } = await ask(wire, get('/.well-known/certgate/bundle'));
      expect([status, headers['connection']]).toEqual([200, asked === 100 ? 'close' : undefined]);
    }
    expect((await wire.ended).how).toBe('end');
  });

  test('who has had an answer and says no more is let go without a word', async () => {
    const wire = await openTls(gate.port, stranger);
    expect((await ask(wire, get('/.well-known/certgate/bundle'))).status).toBe(200);
    expect((await wire.ended).how).toBe('end');
    expect(wire.received().length).toBe(0);
  });

  test('gets no answer to what was sent before the last answer came', async () => {
    const request = post(ENROLL, await enrolment('worker/twice'));
    const wire = await openTls(gate.port, stranger);
    wire.send(request + get('/api/hello'));
    expect((await wire.answer()).status).toBe(200);
    await wire.ended;
    expect(wire.received().length).toBe(0);
  });

  test('may read the trust bundle, which is public', async () => {
    const wire = await openTls(gate.port, stranger);
    expect((await ask(wire, get('/.well-known/certgate/bundle'))).body.toString()).toBe(stranger.ca);
  });

  test.each([
    ['chunks', `POST ${ENROLL} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 413],
    [
      'two lengths',
      `POST ${ENROLL} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}`,
      400,
    ],
    ['no host', `POST ${ENROLL} HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}`, 400],
    ['too long a head', `POST ${ENROLL} HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(9_000)}\r\n\r\n`, 431],
    ['a query', `POST ${ENROLL}?x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}`, 403],
    ['another version', `POST ${ENROLL} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}`, 403],
    ['lower case', `post ${ENROLL} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}`, 403],
    ['no JSON', post(ENROLL, 'token=x'), 400],
    ['a body that is no UTF-8', `POST ${ENROLL} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n\xff\xfe`, 400],
  ])('is refused with %s', async (_what, request, status) => {
    const wire = await openTls(gate.port, stranger);
    wire.send(Buffer.from(request, 'latin1'));
    expect((await wire.answer()).status).toBe(status);
  });

  test('who says nothing is told what he was told before', async () => {
    const wire = await openTls(gate.port, stranger);
    const { status, body } = await wire.answer();
    expect([status, body.toString()]).toEqual([403, '{"detail":"certgate: a client certificate is required"}']);
  });
});

describe('the holder of a certificate', () => {
  test('renews on a connection that goes on, between requests for Prefect, its body cut anywhere', async () => {
    const wire = await openTls(gate.port, worker);
    expect((await ask(wire, get('/api/one'))).status).toBe(200);
    const request = post(RENEW, JSON.stringify({ csr: await newCsr() }));
    const middle = request.indexOf('\r\n\r\n') + 10;
    wire.send(request.slice(0, middle));
    await pause(20);
    // The rest, and a request behind it that must wait for its turn.
    wire.send(request.slice(middle) + get('/api/two'));
    const renewed = await wire.answer();
    expect([renewed.status, JSON.parse(renewed.body.toString())]).toEqual([
      200,
      expect.objectContaining({ identity: 'worker/etl-1' }),
    ]);
    expect((await wire.answer()).status).toBe(200);
  });

  test('may wait for 100 Continue', async () => {
    const wire = await openTls(gate.port, worker);
    const body = JSON.stringify({ csr: await newCsr() });
    wire.send(
      `POST ${RENEW} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    await wire.until('100 Continue', (bytes) => (bytes.includes('HTTP/1.1 100 Continue\r\n\r\n') ? true : undefined));
    wire.send(body);
    expect((await wire.answer()).status).toBe(200);
  });

  test.each([
    ['chunks', `POST ${RENEW} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 413],
    ['too much', `POST ${RENEW} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16385\r\n\r\n`, 413],
    ['nothing', post(RENEW, ''), 400],
    ['another method', get(RENEW), 405],
    [
      'another site’s page behind it',
      post(RENEW, '{}', 'Origin: https://evil.example', 'Sec-Fetch-Site: cross-site'),
      403,
    ],
  ])('is refused with %s', async (_what, request, status) => {
    const wire = await openTls(gate.port, worker);
    wire.send(request);
    expect((await wire.answer()).status).toBe(status);
  });
});

test('where enroll.tokens is off, who has no certificate gets nothing at all', async () => {
  const other = await house();
  const closed = await other.serve({ upstream: (await echo()).url, env: { CERTGATE_ENROLL_TOKENS: 'false' } });
  const ca = readFileSync(join(other.dir, 'certs/ca.crt'), 'utf8');
  for (const request of [post(ENROLL, '{}'), get('/.well-known/certgate/bundle')]) {
    const wire = await openTls(closed.port, { ca });
    wire.send(request);
    expect((await wire.answer()).status).toBe(403);
  }
});
