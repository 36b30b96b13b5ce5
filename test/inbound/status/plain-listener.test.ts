// The status listener in this process, over real sockets: what it answers, and that nothing a peer sends stops it.

import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAuthority } from '../../../src/authority/create.ts';
import { loadAuthority } from '../../../src/authority/load.ts';
import { startPublishing } from '../../../src/inbound/status/answers.ts';
import { startPlainListener } from '../../../src/inbound/status/plain-listener.ts';
import { describeCrl } from '../../../src/pki/describe-crl.ts';
import { openSqliteStore } from '../../../src/store/sqlite.ts';
import { quietLog } from '../../observe/quiet-log.ts';

const MALFORMED = Buffer.from('30030a0101', 'hex');
let keyId: string;
let port: number;
let certificate: Buffer;
const ends: (() => Promise<void>)[] = [];

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'certgate-status-'));
  const [certsDir, stateDir, trustDomain] = [join(folder, 'certs'), join(folder, 'state'), 'test.internal'];
  const { store: path } = await createAuthority({ certsDir, stateDir, trustDomain, actor: 'test' });
  const store = openSqliteStore(path);
  const { issuer } = await loadAuthority({ certsDir, store, trustDomain });
  const about = { url: 'http://status.test', store, issuers: () => [issuer], log: quietLog };
  const publishing = await startPublishing(about);
  const listener = await startPlainListener({ host: '127.0.0.1', port: 0, flag: '--status-listen' }, publishing);
  ends.push(
    () => listener.stop(),
    () => publishing.stop(),
    () => store.close(),
    async () => rmSync(folder, { recursive: true }),
  );
  ({ port } = listener);
  ({ keyId } = issuer);
  certificate = issuer.certificate.raw;
});
afterAll(async () => {
  for (const end of ends) await end();
});

/** All that comes back for `parts`, each sent in a write of its own, until the other side ends. */
function exchange(...parts: readonly (string | Uint8Array)[]): Promise<Buffer> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const chunks: Buffer[] = [];
    socket.on('data', (bytes: Buffer) => chunks.push(bytes));
    socket.on('error', () => {});
    socket.once('close', () => resolve(Buffer.concat(chunks)));
    for (const part of parts) socket.write(typeof part === 'string' ? Buffer.from(part) : part);
    socket.end();
  });
}

const get = (target: string, ...lines: readonly string[]): string =>
  [`GET ${target} HTTP/1.1`, 'Host: status.test', ...lines, '', ''].join('\r\n');
const post = (body: Uint8Array, ...lines: readonly string[]): Buffer =>
  Buffer.concat([
    Buffer.from(
      [
        'POST /ocsp HTTP/1.1',
        'Host: a',
        'Content-Type: application/ocsp-request',
        `Content-Length: ${body.length}`,
        ...lines,
        '',
        '',
      ].join('\r\n'),
    ),
    body,
  ]);
const statusOf = (answer: Buffer): number => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer.toString('latin1'))?.[1] ?? 0);
const bodyOf = (answer: Buffer): Buffer => answer.subarray(answer.indexOf('\r\n\r\n') + 4);
const headerOf = (answer: Buffer, name: string): string | null =>
  new RegExp(`^${name}: (.*)\r$`, 'im').exec(answer.toString('latin1', 0, answer.indexOf('\r\n\r\n') + 2))?.[1] ?? null;

describe('the status listener', () => {
  test('gives out the list of the issuer, under its key and as the active one, naming its own URL', async () => {
    const answer = await exchange(get(`/crl/${keyId}.crl`));
    expect(statusOf(answer)).toBe(200);
    expect(headerOf(answer, 'content-type')).toBe('application/pkix-crl');
    expect(describeCrl(bodyOf(answer))).toMatchObject({ number: '01', authorityKeyId: keyId });
    expect(bodyOf(answer).includes(`http://status.test/crl/${keyId}.crl`)).toBe(true);
    expect(bodyOf(await exchange(get('/crl.crl'))).equals(bodyOf(answer))).toBe(true);
    expect(statusOf(await exchange(get(`/crl/${'0'.repeat(40)}.crl`)))).toBe(404);
  });

  test("gives out the issuer's certificate in DER", async () => {
    const answer = await exchange(get(`/issuer/${keyId}.crt`));
    expect([statusOf(answer), headerOf(answer, 'content-type')]).toEqual([200, 'application/pkix-cert']);
    expect(bodyOf(answer).equals(certificate)).toBe(true);
  });

  test('lets a list be kept for minutes, not for the day that it is valid, and says when it is still the same', async () => {
    const answer = await exchange(get('/crl.crl'));
    expect(headerOf(answer, 'cache-control')).toBe('public, no-transform, must-revalidate, max-age=300');
    const { thisUpdate, nextUpdate } = describeCrl(bodyOf(answer));
    expect(headerOf(answer, 'last-modified')).toBe(new Date(thisUpdate).toUTCString());
    expect(headerOf(answer, 'expires')).toBe(new Date(nextUpdate ?? '').toUTCString());
    const tag = headerOf(answer, 'etag') ?? '';
    for (const known of [tag, `W/${tag}`, `"x", ${tag}`, '*']) {
      const again = await exchange(get('/crl.crl', `If-None-Match: ${known}`));
      expect([statusOf(again), bodyOf(again).length, headerOf(again, 'etag')]).toEqual([304, 0, tag]);
    }
    expect(statusOf(await exchange(get('/crl.crl', 'If-None-Match: "x"')))).toBe(200);
  });

  test('answers HEAD with the same head and no body', async () => {
    const answer = await exchange(get('/crl.crl').replace('GET', 'HEAD'));
    expect(statusOf(answer)).toBe(200);
    expect(Number(headerOf(answer, 'content-length'))).toBeGreaterThan(200);
    expect(bodyOf(answer)).toHaveLength(0);
  });

  test('answers what is no OCSP request with malformedRequest, which nobody may keep', async () => {
    for (const request of [
      post(Buffer.from('no')),
      get('/ocsp/MAA='),
      post(Buffer.alloc(0)),
      post(Buffer.alloc(8192, 1)),
    ]) {
      const answer = await exchange(request);
      expect([statusOf(answer), headerOf(answer, 'content-type')]).toEqual([200, 'application/ocsp-response']);
      expect(headerOf(answer, 'cache-control')).toBe('no-store');
      expect(bodyOf(answer).equals(MALFORMED)).toBe(true);
    }
  });

  test('has nothing else, and says which methods there are', async () => {
    expect(statusOf(await exchange(get('/')))).toBe(404);
    const answer = await exchange(get('/crl.crl').replace('GET', 'DELETE'));
    expect([statusOf(answer), headerOf(answer, 'allow')]).toEqual([405, 'GET, HEAD']);
    expect(statusOf(await exchange(get('/ocsp/x')))).toBe(400);
  });

  test('answers one request after another on a connection, sent at once or octet by octet', async () => {
    const once = Buffer.concat([Buffer.from(get('/')), post(Buffer.from('no')), Buffer.from(get('/crl.crl'))]);
    for (const parts of [[once], [...once].map((octet) => Uint8Array.of(octet))]) {
      const text = (await exchange(...parts)).toString('latin1');
      expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 404', 'HTTP/1.1 200', 'HTTP/1.1 200']);
    }
  });

  test('speaks HTTP/1.0, which OpenSSL and nginx do, and ends the connection after it', async () => {
    const old = await exchange(`GET /crl.crl HTTP/1.0\r\n\r\n${get('/')}`);
    expect([statusOf(old), headerOf(old, 'connection')]).toEqual([200, 'close']);
    expect(old.toString('latin1').match(/HTTP\/1\.1 \d+/g)).toHaveLength(1);
    const asked = await exchange('POST /ocsp HTTP/1.0\r\nContent-Length: 2\r\n\r\nno');
    expect(bodyOf(asked).equals(MALFORMED)).toBe(true);
  });

  test('waits with 100 Continue for whoever waits for that', async () => {
    const [head, body] = [post(Buffer.from('no'), 'Expect: 100-continue').subarray(0, -2), Buffer.from('no')];
    const got = await new Promise<string>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      let text = '';
      socket.on('data', (bytes) => {
        if (text === '') socket.end(body);
        text += bytes.toString('latin1');
      });
      socket.once('close', () => resolve(text));
      socket.write(head);
    });
    expect(got).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
  });

  test.each([
    ['a head of more than 8 KiB', get('/', `X: ${'a'.repeat(8200)}`), 431],
    ['more than 50 header lines', get('/', ...Array.from({ length: 51 }, () => 'X: a')), 431],
    ['a body of more than 8 KiB', post(Buffer.alloc(8193)), 413],
    ['a chunked body', get('/ocsp', 'Transfer-Encoding: chunked').replace('GET', 'POST'), 411],
    ['two lengths', get('/ocsp', 'Content-Length: 1', 'Content-Length: 2'), 400],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
    ['TLS', Buffer.from('16030100c8010000c40303000a0d0a', 'hex'), 400],
  ] as const)('refuses %s and ends the connection', async (_, sent, status) => {
    const answer = await exchange(sent, get('/crl.crl'));
    expect([statusOf(answer), headerOf(answer, 'connection')]).toEqual([status, 'close']);
    expect(answer.toString('latin1').match(/HTTP\/1\.1 \d+/g)).toHaveLength(1);
  });

  test('goes on whatever it is sent, and whenever the other side leaves', async () => {
    const real = fc.constantFrom(
      ...[get('/crl.crl'), get(`/issuer/${keyId}.crt`), get('/ocsp/MAA='), 'GET /crl.crl HTTP/1.0\r\n\r\n'].map(
        (text) => Buffer.from(text),
      ),
      post(Buffer.from('3003020100', 'hex')),
    );
    const changed = fc
      .tuple(real, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }))
      .map(([request, edits]) => {
        const octets = Buffer.from(request);
        for (const [where, value] of edits) octets[where % octets.length] = value;
        return octets;
      });
    const piece = fc.oneof(changed, fc.uint8Array({ maxLength: 100 }), real);
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 4 }), fc.boolean(), async (pieces, leaves) => {
        if (!leaves) {
          await exchange(...pieces);
          return;
        }
        const socket = connect(port, '127.0.0.1');
        socket.on('error', () => {});
        for (const each of pieces) socket.write(each);
        await new Promise((resolve) => setImmediate(resolve));
        socket.resetAndDestroy();
      }),
      { numRuns: 300 },
    );
    expect(statusOf(await exchange(get('/crl.crl')))).toBe(200);
  });
});
