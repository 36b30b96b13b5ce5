// The gate put together, in this process, before an upstream of the test's own: who enters by which rule, and that no
// peer can hold up its memory or its end.

import { X509Certificate } from 'node:crypto';
import { chmodSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createAuthority } from '../../src/authority/create.ts';
import { issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { openKeyStore } from '../../src/authority/key-store.ts';
import { caFiles, storeFile } from '../../src/authority/layout.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { compileRules, type IdentityRule } from '../../src/identity/identify.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { newCompany } from '../authority/company.ts';
import { folderWith, openssl } from '../pki/openssl.ts';
import type { ClientFiles } from '../security/gate-fixture.ts';
import { answerTo, GET, namingGate, WEBSOCKET } from './naming-gate.ts';

const gates = namingGate();

/** A client certificate that openssl signed with the issuer's key: on no record. */
async function signed(subject: string, altName: string, ...flags: readonly string[]): Promise<ClientFiles> {
  const folder = folderWith({
    'client.ext': `extendedKeyUsage=clientAuth\nkeyUsage=critical,digitalSignature\nsubjectAltName=${altName}\n`,
  });
  const { issuerCertificate, issuerKey } = caFiles(gates.house().certsDir);
  const request =
    'req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout client.key -out client.csr -subj';
  const sign = 'x509 -req -in client.csr -days 1 -extfile client.ext -out client.crt -CA';
  for (const words of [
    [...request.split(' '), subject],
    [...sign.split(' '), issuerCertificate, '-CAkey', issuerKey, ...flags],
  ]) {
    expect(await openssl(folder, ...words)).toMatchObject({ ok: true });
  }
  return { cert: join(folder, 'client.crt'), key: join(folder, 'client.key') };
}

describe('who enters', () => {
  it('is named by the SPIFFE URI that certgate wrote', async () => {
    const gate = await gates.start();
    expect(await answerTo(await gate.connect())).toBe('200 worker/etl-1');
  });

  it.each<[IdentityRule, string]>([
    [{ from: 'CN', match: '(worker/etl-1)', as: '$1' }, 'worker/etl-1'],
    [{ from: 'DNS', match: '([a-z]+)\\.test', as: 'service/$1' }, 'service/etl'],
  ])('is named by a rule over the certificate on record: %o', async (rule, identity) => {
    const gate = await gates.start({ rules: compileRules([rule]) });
    expect(await answerTo(await gate.connect())).toBe(`200 ${identity}`);
  });

  it.each<[IdentityRule, string]>([
    [{ from: 'O', match: 'Acme (.+)', as: 'service/$1' }, 'service/data'],
    [{ from: 'OU', match: '(.+)', as: 'worker/$1' }, 'worker/etl'],
    [{ from: 'email', match: '(.+)@acme\\.test', as: 'user/$1' }, 'user/alice'],
    [{ from: 'URI', match: 'spiffe://test\\.internal/team/(.+)', as: 'user/$1' }, 'user/blue'],
  ])(
    'may be named by a rule over another tool’s certificate, where that was called safe: %o',
    async (rule, identity) => {
      const files = await signed(
        '/O=Acme data/OU=etl/CN=x',
        'email:alice@acme.test,URI:spiffe://test.internal/team/blue',
      );
      const rules = compileRules([rule]);
      const open = await gates.start({ rules, unsafeUnrecorded: true });
      expect(await answerTo(await open.connect(files))).toBe(`200 ${identity}`);
      await open.close();
      const strict = await gates.start({ rules });
      expect(await answerTo(await strict.connect(files))).toContain(
        '403 {"detail":"certgate: the client certificate is not in the records',
      );
    },
  );

  it('may have no subject beside a SPIFFE ID', async () => {
    const files = await signed('/', 'critical,URI:spiffe://test.internal/worker/etl-1');
    const gate = await gates.start({ unsafeUnrecorded: true });
    expect(await answerTo(await gate.connect(files))).toBe('200 worker/etl-1');
  });

  it('is nobody under the serial number of somebody else’s certificate', async () => {
    const { serialNumber } = new X509Certificate(readFileSync(join(gates.house().worker, 'tls.crt')));
    const owner = ['/CN=x', 'URI:spiffe://test.internal/user/owner', '-set_serial', `0x${serialNumber}`] as const;
    const gate = await gates.start();
    expect(await answerTo(await gate.connect(await signed(...owner)))).toContain(
      '403 {"detail":"certgate: the client certificate is not in the records',
    );
    await expect
      .poll(() => gate.records().at(-1))
      .toMatchObject({
        ...{ identity: 'user/owner', code: 'CG_CLIENT_UNRECORDED' },
        reason:
          'the certificate is from this CA but not in its records: its serial number is that of one for worker/etl-1',
      });
  });

  it('is nobody by a signature that is too weak, and is told so', async () => {
    const weak = await signed('/CN=x', 'URI:spiffe://test.internal/worker/etl-1', '-sha1');
    const gate = await gates.start();
    expect(await answerTo(await gate.connect(weak))).toContain('its key or signature may be too weak');
  });

  it('is nobody whom the company’s root above the issuer has signed, by another of its CAs', async () => {
    const company = newCompany();
    const { chain, policy } = company;
    chmodSync(policy.key, 0o600);
    const signer = await openKeyStore({ passphrase: null }).read(policy.key);
    const [certsDir, stateDir] = [join(company.dir, 'certs'), join(company.dir, 'state')];
    await createAuthority({
      ...{ certsDir, stateDir, trustDomain: 'test.internal', actor: 'test' },
      root: { kind: 'given', file: 'corp.crt', chainPem: chain, keyFile: policy.key, signer },
    });
    const below = openSqliteStore(storeFile(stateDir));
    onTestFinished(() => below.close());
    const authority = await loadAuthority({ certsDir, store: below, trustDomain: 'test.internal' });
    const extensions =
      'extendedKeyUsage=clientAuth\nkeyUsage=critical,digitalSignature\nbasicConstraints=critical,CA:FALSE\n';
    const colleague = company.leaf(
      'colleague',
      `${extensions}subjectAltName=URI:spiffe://test.internal/worker/etl-1\n`,
    );
    const own = join(company.dir, 'own');
    const asked = { identity: 'worker/etl-1', profile: 'client', ttlMs: 3_600_000, actor: 'test' } as const;
    await issueToDirectory(authority, { ...asked, out: own });
    // Where certificates that are on no record may enter, only the signature is left to keep others out.
    const gate = await gates.start({ unsafeUnrecorded: true, authority, store: below });
    const { bundle: ca } = caFiles(certsDir);
    const known = { cert: join(own, 'tls.crt'), key: join(own, 'tls.key'), ca };
    expect(await answerTo(await gate.connect(known))).toBe('200 worker/etl-1');
    expect(await answerTo(await gate.connect({ ...colleague, ca }))).toContain(
      '403 {"detail":"certgate: the client certificate is not from the CA of this gate"}',
    );
  });

  it('is nobody when no rule names them', async () => {
    const gate = await gates.start({ rules: compileRules([{ from: 'OU', match: '(.+)', as: 'worker/$1' }]) });
    expect(await answerTo(await gate.connect())).toContain(
      '403 {"detail":"certgate: the client certificate yields no identity',
    );
  });
});

it.each([
  ['DELETE /.well-known/certgate/bundle', 'GET'],
  ['GET /.well-known/certgate/renew', 'POST'],
])('%s is told that the gate takes %s there', async (line, allowed) => {
  const client = await (await gates.start()).connect();
  client.send(`${line} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  const text = await client.until(/\r\n\r\n[\s\S]+/u);
  expect(text).toMatch(/^HTTP\/1\.1 405 /u);
  expect(text).toContain(`\r\nallow: ${allowed}\r\n`);
});

describe('no peer holds up', () => {
  it('the end of the gate, by a handshake that never ends', async () => {
    const gate = await gates.start();
    const silent: Socket[] = [];
    for (let i = 0; i < 5; i++) {
      const socket = connect({ host: '127.0.0.1', port: gate.port });
      socket.on('error', () => {});
      await new Promise((resolve) => socket.once('connect', () => resolve(null)));
      silent.push(socket);
    }
    const gone = silent.map((socket) => new Promise((resolve) => socket.once('close', () => resolve(null)).resume()));
    await gate.drain(60_000);
    await Promise.all(gone);
  });

  it('the end of the gate, by a WebSocket that stays', async () => {
    const gate = await gates.start();
    const peer = await gate.connect();
    peer.send(WEBSOCKET);
    await peer.until('HTTP/1.1');
    await gate.drain(60_000);
    await peer.ended();
  });

  it('the memory of the gate, by asking on without reading the answers', async () => {
    const gate = await gates.start();
    const peer = await gate.connect();
    peer.socket.pause();
    const many = GET.repeat(500);
    // The kernel's buffers fill, then the client's own: the gate has stopped reading.
    await new Promise<void>((resolve) => {
      let sent = 0;
      const more = (): void => {
        sent += many.length;
        if (sent > 64_000_000 || peer.socket.writableLength > 8_000_000) {
          resolve();
          return;
        }
        peer.socket.write(many);
        setImmediate(more);
      };
      more();
    });
    expect(peer.socket.writableLength).toBeGreaterThan(1_000_000);
    const health = await gate.health();
    expect(health.metrics.requests).toBeLessThan(100_000);
    expect(await answerTo(await gate.connect())).toBe('200 worker/etl-1');
    peer.socket.destroy();
  });
});
