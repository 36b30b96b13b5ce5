import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer as createPlainServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type TlsOptions } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAuthority } from '../../src/authority/create.ts';
import { issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { openShell, type Shell } from './golden.ts';

let shell: Shell;
let server: { cert: Buffer; key: Buffer; ca: Buffer };
const closers: Array<() => void> = [];

beforeAll(async () => {
  shell = openShell();
  const [certsDir, stateDir] = [join(shell.dir, 'certs'), join(shell.dir, 'state')];
  const made = await createAuthority({ certsDir, stateDir, trustDomain: 'certgate.internal', actor: 'test' });
  const store = openSqliteStore(made.store);
  const authority = await loadAuthority({ certsDir, store, trustDomain: 'certgate.internal' });
  const shared = { ttlMs: 3_600_000, actor: 'test' };
  const out = join(mkdtempSync(join(tmpdir(), 'certgate-peer-')), 'gate');
  await issueToDirectory(authority, { ...shared, identity: 'gate/a', profile: 'server', ip: ['127.0.0.1'], out });
  const worker = join(shell.dir, 'worker');
  await issueToDirectory(authority, { ...shared, identity: 'worker/etl-1', profile: 'client', out: worker });
  await store.close();
  const file = (name: string) => readFileSync(join(out, name));
  server = { cert: file('tls.crt'), key: file('tls.key'), ca: file('ca.crt') };
  shell.run('certgate init --dir other');
});

afterAll(() => {
  for (const close of closers) close();
});

/** A TLS server that answers `answer` to whatever it is sent; its host:port. */
async function peer(options: TlsOptions, answer: string): Promise<string> {
  const listener = createServer({ ...server, ...options }, (socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(answer));
  });
  listener.on('tlsClientError', () => {});
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  closers.push(() => listener.close());
  return `127.0.0.1:${(listener.address() as AddressInfo).port}`;
}

const inspect = (...args: readonly string[]) => shell.certgate('inspect', ...args);

const REFUSAL = 'HTTP/1.1 403 Forbidden\r\ncontent-length: 37\r\n\r\n{"detail":"a certificate is required"}';

describe('inspect host:port', () => {
  test('shows the chain, who it is, and that a client certificate is asked for', async () => {
    const { stdout, status } = await inspect(await peer({ requestCert: true, rejectUnauthorized: false }, REFUSAL));
    expect(status).toBe(0);
    expect(stdout).toMatch(/^protocol +TLSv1\.3, TLS_AES_\d+_GCM_SHA\d+$/m);
    expect(stdout).toMatch(/^trust +not verified: give --ca or --identity$/m);
    expect(stdout).toMatch(/^client certificate +asked for$/m);
    expect(stdout).toMatch(/^answer to GET \/ +HTTP 403: a certificate is required$/m);
    expect(stdout).toMatch(/^certificate +CN=gate\/a$/m);
    expect(stdout).toMatch(/^identity +none: .*\[CG_IDENTITY_NONE\]$/m);
    expect(stdout).toMatch(/^CA certificate +CN=certgate issuer certgate\.internal$/m);
  });

  test('says that none is asked for', async () => {
    const { stdout } = await inspect(await peer({}, 'HTTP/1.1 200 OK\r\n\r\n'));
    expect(stdout).toMatch(/^client certificate +not asked for$/m);
    expect(stdout).toMatch(/^answer to GET \/ +HTTP 200$/m);
  });

  test('says how a server ends that insists on one', async () => {
    const { stdout, status } = await inspect(await peer({ requestCert: true, rejectUnauthorized: true }, REFUSAL));
    expect(stdout).toMatch(/^client certificate +asked for$/m);
    expect(stdout).toMatch(/^answer to GET \/ +tlsv13 alert certificate required$/m);
    expect(status).toBe(0);
  });

  test('verifies with --ca, and presents and verifies with --identity', async () => {
    const address = await peer({ requestCert: true, rejectUnauthorized: true }, 'HTTP/1.1 204 No Content\r\n\r\n');
    const known = await inspect(address, '--identity', 'worker');
    expect(known.stdout).toMatch(/^trust +verified$/m);
    expect(known.stdout).toMatch(/^answer to GET \/ +HTTP 204$/m);
    const stranger = await inspect(address, '--ca', 'other/certs/ca.crt');
    expect(stranger.stdout).toMatch(/^trust +NOT VERIFIED: /m);
  });

  test('finds a name that the certificate does not have', async () => {
    const address = await peer({}, 'HTTP/1.1 200 OK\r\n\r\n');
    const { stdout } = await inspect(address, '--ca', 'certs/ca.crt', '--server-name', 'gate.example');
    expect(stdout).toMatch(/^trust +NOT VERIFIED: the certificate is not for gate\.example /m);
  });

  test('is JSON on request, with the chain in order', async () => {
    const address = await peer({ requestCert: true, rejectUnauthorized: false }, REFUSAL);
    const report = JSON.parse((await inspect(address, '--json')).stdout) as { chain: Array<{ subject: string }> };
    expect(report).toMatchObject({
      kind: 'server',
      asksForCertificate: true,
      verification: null,
      answer: { status: 403 },
    });
    expect(report.chain.map(({ subject }) => subject)).toEqual(['CN=gate/a', 'CN=certgate issuer certgate.internal']);
  });

  test('cannot be made to write to the terminal by what a server answers', async () => {
    const detail = JSON.stringify({ detail: '\u001b[2J\u202eall is well' });
    const { stdout } = await inspect(await peer({}, `HTTP/1.1 200 OK\r\n\r\n${detail}`));
    expect(stdout).toContain('HTTP 200: \\u{1b}[2J\\u{202e}all is well');
  });

  test('speaks of what is no TLS, of nobody there, and of a folder without a certificate', async () => {
    const plain = createPlainServer((socket) => socket.on('error', () => {}).end('SSH-2.0-x\r\n'));
    plain.listen(0, '127.0.0.1');
    await once(plain, 'listening');
    closers.push(() => plain.close());
    const { stderr, status } = await inspect(`127.0.0.1:${(plain.address() as AddressInfo).port}`);
    expect(stderr).toMatch(/^error: no TLS connection to 127\.0\.0\.1:\d+: .+ \[CG_PEER\]\nhint: /);
    expect(status).toBe(7);
    writeFileSync(join(shell.dir, 'empty'), '');
    const odd = await inspect('127.0.0.1:1', '--identity', 'empty');
    expect(odd.stderr).toMatch(/^error: .*empty\/ca\.crt: it is not a folder \(open\) \[CG_FILE\]\nhint: /);
    expect(odd.status).toBe(1);
  });
});
