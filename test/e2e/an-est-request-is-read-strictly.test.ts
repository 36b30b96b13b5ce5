// EST (RFC 7030) in octets: what strangers and holders of a certificate may ask, in which form, and that nothing of it
// reaches Prefect, whoever asks and however it is spelled.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { readToken } from '../../src/enroll/token.ts';
import { generateKey } from '../../src/pki/keys.ts';
import { pemToDer } from '../../src/pki/pem.ts';
import { createRequest } from '../../src/pki/requests.ts';
import { signerOf } from '../../src/pki/signing.ts';
import type { Echo } from './harness/echo.ts';
import { newToken } from './harness/enrolment.ts';
import { credentialsIn, type House, type Serving } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { type Answer, ask, type Credentials, get, openTcp, openTls } from './harness/wire.ts';

const EST = '/.well-known/est';
const BASIC = 'Authorization: Basic Ong=';
const PKCS10 = 'Content-Type: application/pkcs10';
let home: House;
let gate: Serving;
let upstream: Echo;
let stranger: Credentials;
let worker: Credentials;
beforeAll(async () => {
  home = await house();
  upstream = await echo();
  gate = await home.serve({ upstream: upstream.url });
  stranger = { ca: readFileSync(join(home.dir, 'certs/ca.crt'), 'utf8') };
  worker = await credentialsIn(await home.issue('worker/etl-1'));
}, 60_000);

const newCsr = async (name: string | null = null): Promise<string> => {
  const pem = await createRequest(signerOf((await generateKey()).privateKey), { commonName: name });
  return Buffer.from(pemToDer(pem, 'CERTIFICATE REQUEST')).toString('base64');
};
const head = (method: string, path: string, ...lines: string[]): string =>
  [`${method} ${path} HTTP/1.1`, 'Host: localhost', ...lines, '', ''].join('\r\n');
const post = (operation: string, body: string, ...lines: string[]): string =>
  head('POST', `${EST}/${operation}`, PKCS10, `Content-Length: ${body.length}`, ...lines) + body;
const inChunks = (operation: string, body: string, ...lines: string[]): string => {
  const chunks = (body.match(/.{1,100}/gs) ?? []).map((part) => `${part.length.toString(16)}\r\n${part}\r\n`);
  return `${head('POST', `${EST}/${operation}`, PKCS10, 'Transfer-Encoding: chunked', ...lines)}${chunks.join('')}0\r\n\r\n`;
};
const password = async (name: string): Promise<string> =>
  `Authorization: Basic ${btoa(`:${await newToken(home, gate.port, name)}`)}`;
const once = async (who: Credentials, request: string, method?: string): Promise<Answer> =>
  await ask(await openTls(gate.port, who), request, method);
const reached = (): readonly string[] =>
  upstream.heads.map(({ url }) => url ?? '').filter((url) => url.toLowerCase().includes('well'));

describe('anybody', () => {
  test.each([
    ['cacerts', 'application/pkcs7-mime; smime-type=certs-only'],
    ['csrattrs', 'application/csrattrs'],
  ])('may read %s, with a certificate and without', async (operation, type) => {
    const answers = [await once(stranger, get(`${EST}/${operation}`)), await once(worker, get(`${EST}/${operation}`))];
    for (const { status, headers } of answers) {
      expect([status, headers['content-type'], headers['content-transfer-encoding']]).toEqual([200, type, 'base64']);
    }
    expect(answers[0]?.body).toEqual(answers[1]?.body);
  });

  test.each([
    [404, 'GET', '/serverkeygen'],
    [404, 'POST', '/serverkeygen'],
    [404, 'POST', '/fullcmc'],
    [404, 'GET', '/'],
    [404, 'GET', '/cacerts/'],
    [404, 'GET', '/label/cacerts'],
    [405, 'POST', '/cacerts'],
    [405, 'HEAD', '/cacerts'],
    [405, 'OPTIONS', '/csrattrs'],
    [405, 'DELETE', '/simpleenroll'],
    [400, 'GET', '//cacerts'],
    [400, 'GET', '/../est/cacerts'],
    [400, 'GET', '/cacerts%2f'],
    [400, 'GET', '/cacerts%00'],
    [400, 'GET', '/./cacerts'],
    [400, 'GET', '/%2e%2e/est/cacerts'],
    [400, 'GET', '/cacerts%'],
    [400, 'GET', '/cacerts#x'],
    [404, 'GET', '/CACERTS'],
    [404, 'GET', '/cacerts;x=1'],
    [404, 'GET', '/cacerts%20'],
    [400, 'GET', '/cacerts%253f'],
    [404, 'GET', '/__proto__'],
    [200, 'GET', '/%63acerts'],
    [200, 'GET', '/cacerts?x=1'],
  ])('is told %i for %s %s', async (status, method, path) => {
    for (const who of [stranger, worker]) {
      const answer = await once(who, head(method, EST + path), method);
      expect([status, path, answer.status]).toEqual([status, path, status]);
      if (status === 405) expect(answer.headers['allow']).toMatch(/^(GET|POST)$/);
    }
    expect(reached()).toEqual([]);
  });

  test.each([
    [415, 'no content type', `${head('POST', `${EST}/simpleenroll`, 'Content-Length: 1')}x`],
    [
      415,
      'a form',
      `${head('POST', `${EST}/simpleenroll`, 'Content-Type: application/x-www-form-urlencoded', 'Content-Length: 1')}x`,
    ],
    [411, 'no length', head('POST', `${EST}/simpleenroll`, PKCS10)],
    [401, 'no password', post('simpleenroll', 'QQ==')],
    [401, 'another scheme', post('simpleenroll', 'QQ==', 'Authorization: Bearer abc')],
    [
      413,
      'too much',
      head('POST', `${EST}/simpleenroll`, PKCS10, 'Authorization: Basic Ong=', 'Content-Length: 16385'),
    ],
    [413, 'too much in chunks', inChunks('simpleenroll', 'A'.repeat(17_000), 'Authorization: Basic Ong=')],
    [
      400,
      'a malformed chunk',
      `${head('POST', `${EST}/simpleenroll`, PKCS10, 'Authorization: Basic Ong=', 'Transfer-Encoding: chunked')}g\r\n`,
    ],
    [400, 'two lengths', `${head('POST', `${EST}/simpleenroll`, 'Content-Length: 1', 'Content-Length: 1')}x`],
    [417, 'another expectation', `${head('POST', `${EST}/simpleenroll`, 'Expect: x', 'Content-Length: 1')}x`],
    [400, 'a body that is no base64', post('simpleenroll', '-----BEGIN', 'Authorization: Basic Ong=')],
    [400, 'a body that is no request', post('simpleenroll', 'QUJD', 'Authorization: Basic Ong=')],
    ...(['simpleenroll', 'simplereenroll'] as const).flatMap((operation): [number, string, string][] => [
      [400, `two passwords at ${operation}`, post(operation, 'QUJD', BASIC, BASIC)],
      [400, `two schemes at ${operation}`, post(operation, 'QUJD', 'authorization: Bearer x', BASIC)],
      [400, `two content types at ${operation}`, post(operation, 'QUJD', BASIC, 'content-type: text/plain')],
    ]),
    [400, 'two passwords at cacerts', get(`${EST}/cacerts`, BASIC, BASIC)],
    [401, 'a password without its padding', post('simpleenroll', 'QUJD', 'Authorization: Basic Ong')],
    [401, 'a password with bits left over', post('simpleenroll', 'QUJD', 'Authorization: Basic Onh=')],
    [400, 'no Host', `GET ${EST}/cacerts HTTP/1.1\r\n\r\n`],
  ])('is told %i for %s', async (status, what, request) => {
    for (const who of [stranger, worker]) {
      const answer = await once(who, request);
      expect([what, answer.status]).toEqual([what, status]);
      if (status === 401) expect(answer.headers['www-authenticate']).toContain('Basic realm=');
    }
    expect(reached()).toEqual([]);
  });
});

test('who sends a request as PEM is told what is wanted', async () => {
  const pem = '-----BEGIN CERTIFICATE REQUEST-----\nQUJD\n-----END CERTIFICATE REQUEST-----\n';
  const { status, body } = await once(stranger, post('simpleenroll', pem, 'Authorization: Basic Ong='));
  expect([status, body.toString()]).toEqual([
    400,
    'certgate: the body is no base64 of DER, as `openssl req -outform DER | openssl base64` makes it\n',
  ]);
});

describe('who has a token', () => {
  test.each([
    ['in lines, with a length', (csr: string) => csr.replace(/.{1,64}/g, '$&\r\n'), post],
    ['in chunks', (csr: string) => csr, inChunks],
  ])('enrols by a body %s, octet by octet', async (what, shape, write) => {
    const request = write('simpleenroll', shape(await newCsr()), await password(`worker/${what.length}`));
    const wire = await openTls(gate.port, stranger);
    for (let at = 0; at < request.length; at += 61) {
      wire.send(request.slice(at, at + 61));
      if (at % 10 === 0) await pause(1);
    }
    const { status, headers } = await wire.answer();
    expect([status, headers['content-type']]).toEqual([200, 'application/pkcs7-mime; smime-type=certs-only']);
  });

  test('gets the same certificate again for the same key, and nothing for another, however he comes', async () => {
    const [line, csr] = [await password('worker/twice'), await newCsr()];
    const first = await once(stranger, post('simpleenroll', csr, line));
    expect([first.status, (await once(worker, inChunks('simpleenroll', csr, line))).body]).toEqual([200, first.body]);
    const refused = await once(stranger, post('simpleenroll', await newCsr(), line));
    const { status, headers, body } = refused;
    expect([status, headers['content-type'], body.toString()]).toEqual([
      403,
      'text/plain',
      'certgate: enrolment refused; the log of the gate says why\n',
    ]);
    const { stdout } = await home.certgate(['token', 'list', '--json', '--config', home.config]);
    const { tokens } = JSON.parse(stdout) as { tokens: { subject: string; flag: string | null }[] };
    expect(tokens.find(({ subject }) => subject === 'worker/twice')?.flag).toContain('another key');
  });

  test('is told the same for a token that is wrong, used, for another name, or none at all; the log tells which', async () => {
    const spent = await newToken(home, gate.port, 'worker/spent');
    const basic = (text: string) => `Authorization: Basic ${btoa(text)}`;
    await once(stranger, post('simpleenroll', await newCsr(), basic(`:${spent}`)));
    const fresh = await newToken(home, gate.port, 'worker/fresh');
    const tries = [
      `:${spent}`,
      `worker/other:${fresh}`,
      ':hunter2',
      `:${fresh.slice(0, -2)}`,
      `:${readToken(fresh).id}`,
      ':',
    ];
    const told = new Set<string>();
    for (const text of tries) {
      const { head: said, body } = await once(stranger, post('simpleenroll', await newCsr(), basic(text)));
      // The time is the same for whoever asks then.
      told.add(said.replace(/^date: .*$/im, '') + body.toString());
    }
    expect([...told]).toEqual([
      expect.stringMatching(/^HTTP\/1.1 403 .*enrolment refused; the log of the gate says why\n$/s),
    ]);
    const reasons = gate
      .log()
      .filter(({ msg }) => msg === 'enrolment refused')
      .map(({ reason }) => reason);
    expect(new Set(reasons.slice(-tries.length)).size).toBeGreaterThan(2);
  });

  test('asks for no other name in his request than the token is for', async () => {
    const answer = await once(stranger, post('simpleenroll', await newCsr('worker/b'), await password('worker/a')));
    expect(answer.status).toBe(403);
    expect(gate.log().at(-1)).toMatchObject({ reason: expect.stringContaining('common name "worker/b"') as string });
  });
});

describe('who has a certificate', () => {
  test('renews on a connection that goes on, by a request with exactly its names', async () => {
    const wire = await openTls(gate.port, worker);
    const other = await ask(wire, post('simplereenroll', await newCsr('worker/etl-1')));
    expect([other.status, other.body.toString()]).toEqual([
      400,
      'certgate: a renewal has the subject and the subjectAltName of the certificate: CN=worker/etl-1; URI:spiffe://certgate.internal/worker/etl-1\n',
    ]);
    expect((await ask(wire, get('/api/hello'))).status).toBe(200);
    await gate.logged(({ msg, reason }) => msg === 'renewal refused' && String(reason).includes('subjectAltName'));
  });

  test('renews nothing without it', async () => {
    const { status, body } = await once(stranger, post('simplereenroll', await newCsr()));
    expect([status, body.toString()]).toEqual([403, expect.stringContaining('over a connection that it opened')]);
  });

  test('gets nothing through a sidecar, nor by a page of another site', async () => {
    const sidecar = await home.connect(gate, await home.issue('worker/behind'));
    const wire = await openTcp(Number(new URL(sidecar.url).port));
    wire.send(post('simplereenroll', await newCsr()));
    expect((await wire.answer()).status).toBe(403);
    await gate.logged(({ code }) => code === 'CG_RENEW_THROUGH_SIDECAR');
    const page = ['Origin: https://evil.example', 'Sec-Fetch-Site: cross-site'];
    expect((await once(worker, post('simplereenroll', await newCsr(), ...page))).status).toBe(403);
  });

  test('that is revoked or locked gets the gate’s refusal, and nothing of EST', async () => {
    for (const [name, deed] of [
      ['worker/revoked', ['revoke', 'worker/revoked']],
      ['worker/locked', ['lock', 'identity', 'worker/locked', '--reason', 'test']],
    ] as const) {
      const credentials = await credentialsIn(await home.issue(name));
      await home.certgate([...deed, '--config', home.config]);
      for (const request of [
        get(`${EST}/cacerts`),
        post('simplereenroll', await newCsr()),
        get('/.WELL-known/EST/cacerts'),
      ]) {
        const { status, body } = await once(credentials, request);
        expect([name, status, body.toString()]).toEqual([name, 403, expect.stringMatching(/was revoked|is locked/)]);
      }
    }
    expect(reached()).toEqual([]);
  });
});

test('where enroll.est is off, EST is nowhere, and its paths still reach nobody', async () => {
  const other = await house();
  const closed = await other.serve({ upstream: upstream.url, env: { CERTGATE_ENROLL_EST: 'false' } });
  const ca = readFileSync(join(other.dir, 'certs/ca.crt'), 'utf8');
  const cacerts = get(`${EST}/cacerts`);
  expect((await ask(await openTls(closed.port, { ca }), cacerts)).status).toBe(403);
  const holder = await credentialsIn(await other.issue('worker/a'));
  const { status, body } = await ask(await openTls(closed.port, holder), cacerts);
  expect([status, body.toString()]).toEqual([404, 'certgate: EST is off here (enroll.est)\n']);
  expect(reached()).toEqual([]);
});
