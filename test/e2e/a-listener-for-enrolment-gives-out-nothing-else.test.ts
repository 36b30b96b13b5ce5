// `enroll.listen`: a listener for a public network. All that it answers is enrolment, renewal, EST, CRL and OCSP; whatever
// else is asked of it, with whichever certificate, is not there, and no byte reaches Prefect.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { beforeAll, describe, expect, test } from 'vitest';
import { credentialOf, readToken } from '../../src/enroll/token.ts';
import { generateKey } from '../../src/pki/keys.ts';
import { createRequest } from '../../src/pki/requests.ts';
import { signerOf } from '../../src/pki/signing.ts';
import { sign } from './harness/certificates.ts';
import type { Echo } from './harness/echo.ts';
import { newToken } from './harness/enrolment.ts';
import { within } from './harness/eventually.ts';
import { certgateCommand, credentialsIn, type House, type Serving } from './harness/house.ts';
import { freePort } from './harness/ports.ts';
import { cleanEnvironment, finish } from './harness/processes.ts';
import { echo, folder, house } from './harness/scenario.ts';
import {
  type Answer,
  ask,
  type Credentials,
  get,
  openTcp,
  openTls,
  WEBSOCKET_OPENING,
  type Wire,
} from './harness/wire.ts';

/** The first bytes of a ClientHello, and never the rest. */
const HALF_HELLO = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
const NOTHING = '{"detail":"certgate: enrolment, renewal, CRL and OCSP are here, and nothing else"}';
let home: House;
let gate: Serving;
let upstream: Echo;
let door: number;
let stranger: Credentials;
let worker: Credentials;

/** A gate with the listener. */
async function serving(at: House, port: number, ...flags: string[]): Promise<Serving> {
  return at.serve({
    upstream: upstream.url,
    flags: ['--enroll-listen', `127.0.0.1:${port}`, ...flags],
    env: { CERTGATE_RENEW_GRACE: '1h' },
  });
}
beforeAll(async () => {
  home = await house();
  upstream = await echo();
  door = await freePort();
  gate = await serving(home, door);
  stranger = { ca: readFileSync(join(home.dir, 'certs/ca.crt'), 'utf8') };
  worker = await credentialsIn(await home.issue('worker/etl-1'));
}, 60_000);

const once = async (who: Credentials, request: string | Uint8Array, method?: string, port = door): Promise<Answer> =>
  await ask(await openTls(port, who), request, method);
const post = (path: string, body: string, ...lines: string[]): string =>
  [`POST ${path} HTTP/1.1`, 'Host: localhost', ...lines, `Content-Length: ${body.length}`, '', body].join('\r\n');
const newCsr = async (): Promise<string> =>
  createRequest(signerOf((await generateKey()).privateKey), { commonName: null });
const RENEW = '/.well-known/certgate/renew';

test('nothing of Prefect’s is there, nor of the gate’s own, whoever asks', async () => {
  const requests = [
    get('/'),
    get('/api/health'),
    get('/api/flows'),
    post('/api/flows/filter', '{}'),
    get('/.well-known/'),
    get('/.well-known/certgate/'),
    get('/.well-known/certgate/enroll'),
    get('/.well-known/certgate/bundle?x'),
    get('/.well-known/certgate/%62undle'),
    get('/.well-known/est'),
    get('/.well-known/acme/directory'),
    get('/metrics'),
    get('//crl.crl'),
    get('/%63rl.crl'),
    post('/.well-known/certgate/records/apply', '{}'),
    WEBSOCKET_OPENING,
    'CONNECT prefect:4200 HTTP/1.1\r\nHost: prefect\r\n\r\n',
    'GET http://prefect/api/health HTTP/1.1\r\nHost: prefect\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    '\r\n',
  ];
  for (const request of requests) {
    for (const who of [stranger, worker]) {
      const { status, body, headers } = await once(who, request);
      expect([request, status, body.toString()]).toEqual([request, 404, NOTHING]);
      expect(headers['connection']).toBe('close');
    }
  }
  expect(upstream.heads).toEqual([]);
  await gate.logged(({ msg }) => msg === 'nothing there for a request');
});

test('a request behind the one that is answered is not read', async () => {
  const wire = await openTls(door, worker);
  wire.send(get('/.well-known/est/cacerts') + get('/api/health'));
  expect((await wire.answer()).status).toBe(200);
  await wire.ended;
  expect([wire.received().length, upstream.heads.length]).toEqual([0, 0]);
});

test('a body that nobody asked for is never taken for the next request, here and at the gate’s own port', async () => {
  const inner = get('/.well-known/est/csrattrs');
  for (const port of [door, gate.port]) {
    for (const path of ['/.well-known/est/cacerts', '/.well-known/certgate/bundle']) {
      for (const framing of [`Content-Length: ${inner.length}`, 'Transfer-Encoding: chunked']) {
        const wire = await openTls(port, stranger);
        const { status, headers } = await ask(wire, get(path, framing));
        expect([port, path, framing, status, headers['connection']]).toEqual([port, path, framing, 200, 'close']);
        wire.send(inner);
        await wire.ended;
        expect(wire.received()).toHaveLength(0);
      }
    }
  }
});

test('one address that holds all it can leaves room for others', async () => {
  const held = Array.from({ length: 1_100 }, () => connectTcp({ host: '127.0.0.1', port: door }));
  for (const socket of held) socket.on('error', () => {});
  await gate.logged(({ msg, code }) => msg.startsWith('connection refused') && code === 'CG_LIMIT_ADDRESS');
  const carrier = connectTcp({ host: '127.0.0.1', port: door, localAddress: '127.0.0.2' });
  const other = connectTls({ socket: carrier, host: '127.0.0.1', ...stranger });
  other.on('error', () => {});
  const answer = new Promise<string>((resolve) => {
    other.once('data', (bytes: Buffer) => resolve(bytes.toString('latin1', 0, 15)));
    other.once('close', () => resolve('closed'));
  });
  other.write(get('/.well-known/est/cacerts'));
  expect(await answer).toBe('HTTP/1.1 200 OK');
  for (const socket of [...held, other]) socket.destroy();
});

test('many strangers who say nothing, or speak drop by drop, are gone in seconds, and hold nobody up meanwhile', async () => {
  const each = async (open: () => Promise<Wire>): Promise<Wire[]> => Promise.all(Array.from({ length: 60 }, open));
  const tls = async (): Promise<Wire> => openTls(door, stranger);
  // At once: who says nothing for some seconds is told 404.
  const begun = async (text: string): Promise<Wire> => {
    const wire = await tls();
    wire.send(text);
    return wire;
  };
  const silent = await each(async () => openTcp(door));
  const inHello = await each(async () => openTcp(door));
  const speechless = await each(tls);
  const inLine = await each(tls);
  const line = 'POST /.well-known/certgate/enroll HTTP/1.1\r\nHost: a\r\n';
  const inHead = await each(async () => begun(`${line}X: `));
  const inBody = await each(async () => begun(`${line}Content-Length: 16384\r\n\r\n`));
  let over = false;
  const drip = (async (): Promise<void> => {
    for (let at = 0; !over; at++) {
      for (const wire of inHello) wire.send(Buffer.from([HALF_HELLO[at] ?? 0]));
      for (const wire of inLine) wire.send(line.charAt(at));
      for (const wire of [...inHead, ...inBody]) wire.send('x');
      await pause(250);
    }
  })();
  const served = (async (): Promise<number> => {
    let answers = 0;
    for (; !over; answers++) {
      expect((await once(stranger, get('/.well-known/est/csrattrs'))).status).toBe(200);
      await pause(100);
    }
    return answers;
  })();
  const all = [silent, inHello, speechless, inLine, inHead, inBody].flat();
  try {
    await within('all of them are ended', Promise.all(all.map(async (wire) => wire.ended)), 30_000);
  } finally {
    over = true;
    await drip;
  }
  expect(await served).toBeGreaterThan(10);
  // Nothing of what they began was taken for a request.
  for (const wire of [...inHead, ...inBody]) expect(wire.received().toString()).toBe('');
  for (const wire of speechless) expect(wire.received().toString()).toMatch(/^HTTP\/1\.1 404 /);
});

describe('who comes', () => {
  test('with a token is enrolled by certgate enroll, and serves through the gate’s own port then', async () => {
    const machine = await folder();
    const token = await newToken(home, door, 'worker/new');
    writeFileSync(join(machine, 'token'), token, { mode: 0o600 });
    const args = ['enroll', '--token-file', 'token', '--out', 'identity'];
    const ran = await finish(...certgateCommand(args), { cwd: machine, env: cleanEnvironment() });
    expect([ran.code, ran.stderr]).toEqual([0, expect.any(String)]);
    const fresh = await credentialsIn(join(machine, 'identity'));
    expect((await once(fresh, get('/api/x'), 'GET', gate.port)).status).toBe(200);
    // The same token with another key, at the other door: one desk.
    const body = JSON.stringify({ token: credentialOf(readToken(token)), csr: await newCsr() });
    expect((await once(stranger, post('/.well-known/certgate/enroll', body), 'POST', gate.port)).status).toBe(403);
    const { stdout } = await home.certgate(['token', 'list', '--json', '--config', home.config]);
    expect(stdout).toContain('another key');
  });

  test('with a certificate renews it, by certgate’s way and by EST’s', async () => {
    const renewed = await once(worker, post(RENEW, JSON.stringify({ csr: await newCsr() })));
    expect([renewed.status, JSON.parse(renewed.body.toString())]).toEqual([
      200,
      expect.objectContaining({ identity: 'worker/etl-1' }),
    ]);
    const est = await once(worker, post('/.well-known/est/simplereenroll', 'QUJD', 'Content-Type: application/pkcs10'));
    expect(est.status).toBe(400);
  });

  test('with a certificate that is revoked or of no kin is refused as at the gate’s own port', async () => {
    const revoked = await credentialsIn(await home.issue('worker/gone'));
    await home.certgate(['revoke', 'worker/gone', '--config', home.config]);
    for (const request of [get('/.well-known/est/cacerts'), get('/crl.crl'), post(RENEW, '{}')]) {
      const { status, body } = await once(revoked, request);
      expect([status, body.toString()]).toEqual([403, expect.stringContaining('was revoked')]);
    }
  });

  test('with one that has ended renews within the grace, and not through a sidecar or another site’s page', async () => {
    const notAfter = Math.floor(Date.now() / 1000) * 1000 - 1_000;
    const leaf = { identity: 'worker/late', notBefore: notAfter - 300_000, notAfter, recorded: true };
    const late = await sign(home, leaf);
    for (const port of [door, gate.port]) {
      for (const lines of [['X-Certgate-Client-Proto: http'], ['Origin: https://evil.example']]) {
        const body = JSON.stringify({ csr: await newCsr() });
        const answer = await once(late, post(RENEW, body, ...lines), 'POST', port);
        expect([lines, answer.status]).toEqual([lines, 403]);
        expect(answer.body.toString()).not.toContain('BEGIN CERTIFICATE');
        const est = post('/.well-known/est/simplereenroll', 'QUJD', 'Content-Type: application/pkcs10', ...lines);
        expect((await once(late, est, 'POST', port)).status).toBe(403);
      }
    }
    await gate.logged(({ code }) => code === 'CG_RENEW_THROUGH_SIDECAR');
    expect((await once(late, post(RENEW, JSON.stringify({ csr: await newCsr() })))).status).toBe(200);
  });
});

describe('what is published', () => {
  test('is the list, its issuer, and OCSP by both methods, to strangers and holders', async () => {
    const keyId = execFileSync('openssl', [
      'x509',
      '-in',
      join(home.dir, 'certs/issuer.crt'),
      '-noout',
      '-ext',
      'subjectKeyIdentifier',
    ])
      .toString()
      .replace(/[^0-9A-F]/g, '')
      .slice(-40)
      .toLowerCase();
    for (const who of [stranger, worker]) {
      for (const [path, type] of [
        ['/crl.crl', 'application/pkix-crl'],
        [`/crl/${keyId}.crl`, 'application/pkix-crl'],
        [`/issuer/${keyId}.crt`, 'application/pkix-cert'],
      ] as const) {
        const { status, headers, body } = await once(who, get(path));
        expect([path, status, headers['content-type'], body.length > 100]).toEqual([path, 200, type, true]);
      }
    }
    const dir = await folder();
    writeFileSync(join(dir, 'leaf.crt'), worker.cert ?? '');
    const question = join(dir, 'q.der');
    const issuer = join(home.dir, 'certs/issuer.crt');
    execFileSync('openssl', [
      'ocsp',
      '-issuer',
      issuer,
      '-cert',
      join(dir, 'leaf.crt'),
      '-reqout',
      question,
      '-no_nonce',
    ]);
    const der = readFileSync(question);
    const asked = Buffer.concat([
      Buffer.from(
        `POST /ocsp HTTP/1.1\r\nHost: a\r\nContent-Type: application/ocsp-request\r\nContent-Length: ${der.length}\r\n\r\n`,
      ),
      der,
    ]);
    const byPost = await once(stranger, asked);
    expect([byPost.status, byPost.headers['content-type']]).toEqual([200, 'application/ocsp-response']);
    writeFileSync(join(dir, 'a.der'), byPost.body);
    const read = execFileSync(
      'openssl',
      [
        'ocsp',
        '-respin',
        join(dir, 'a.der'),
        '-issuer',
        issuer,
        '-cert',
        join(dir, 'leaf.crt'),
        '-CAfile',
        join(home.dir, 'certs/ca.crt'),
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    expect(read.toString()).toContain('leaf.crt: good');
    expect((await once(stranger, get(`/ocsp/${encodeURIComponent(der.toString('base64'))}`))).status).toBe(200);
    expect((await once(stranger, get('/crl/ffffffffff.crl'))).status).toBe(404);
    const deleted = await once(stranger, 'DELETE /crl.crl HTTP/1.1\r\nHost: a\r\n\r\n');
    expect([deleted.status, deleted.headers['allow']]).toEqual([405, 'GET, HEAD']);
    expect((await once(stranger, 'HEAD /crl.crl HTTP/1.1\r\nHost: a\r\n\r\n', 'HEAD')).status).toBe(200);
  });
});

test('it is there with several workers too, counts in the health, follows a rotation, and ends with the gate', async () => {
  const other = await house();
  const port = await freePort();
  const several = await serving(other, port, '--workers', '2');
  const ca = readFileSync(join(other.dir, 'certs/ca.crt'), 'utf8');
  const token = credentialOf(readToken(await newToken(other, port, 'worker/a')));
  const body = JSON.stringify({ token, csr: await newCsr() });
  expect((await once({ ca }, post('/.well-known/certgate/enroll', body), 'POST', port)).status).toBe(200);
  expect((await once({ ca }, get('/api/health'), 'GET', port)).status).toBe(404);
  const { stdout } = await other.certgate(['health', '--json', '--config', other.config]);
  expect((JSON.parse(stdout) as { metrics: { enrolled: number; handshakes: number } }).metrics).toMatchObject({
    enrolled: 1,
    handshakes: 2,
  });
  const issuerOf = async (): Promise<string> => {
    const wire = await openTls(port, { ca });
    const { issuerCertificate } = wire.socket.getPeerCertificate(true);
    wire.socket.destroy();
    return issuerCertificate.serialNumber;
  };
  const before = await issuerOf();
  await other.certgate(['ca', 'rotate', 'issuer', '--config', other.config]);
  await expect.poll(issuerOf, { timeout: 30_000 }).not.toBe(before);
  await several.stop();
  await expect(openTls(port, { ca })).rejects.toThrow('ECONNREFUSED');
});

test('an address that is taken is named, with the flag that gives another', async () => {
  const other = await house();
  const args = ['serve', '--config', other.config, '--listen', '127.0.0.1:0', '--enroll-listen', `127.0.0.1:${door}`];
  const { stderr } = await other.certgate(args, 7);
  expect(stderr).toContain('--enroll-listen');
});
