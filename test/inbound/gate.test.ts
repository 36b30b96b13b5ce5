// The gate put together, in this process, before an upstream of the test's own: who enters by which rule, and that no
// peer can hold up its memory or its end.

import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createAuthority } from '../../src/authority/create.ts';
import { issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { openKeyStore } from '../../src/authority/key-store.ts';
import { caFiles, storeFile } from '../../src/authority/layout.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { compileRules, type IdentityRule } from '../../src/identity/identify.ts';
import { type GateOptions, type RunningGate, startGate } from '../../src/inbound/gate.ts';
import { type AuditLog, openAuditLog } from '../../src/observe/audit-log.ts';
import { bind } from '../../src/proxy/connection-set.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { Store } from '../../src/store/store.ts';
import { newCompany } from '../authority/company.ts';
import { peerOf, portOf, type RawPeer } from '../proxy/plain-proxy.ts';
import { GATE_LIMITS } from './gate-limits.ts';

let folder: string;
let store: Store;
let upstream: Server;
let gate: RunningGate;
let audit: AuditLog;
const authorityOf = () => loadAuthority({ certsDir: join(folder, 'certs'), store, trustDomain: 'test.internal' });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'certgate-gate-'));
  const [certsDir, stateDir] = [join(folder, 'certs'), join(folder, 'state')];
  await createAuthority({ certsDir, stateDir, trustDomain: 'test.internal', actor: 'test' });
  store = openSqliteStore(storeFile(stateDir));
  const request = { identity: 'worker/etl-1', profile: 'client', ttlMs: 3_600_000, actor: 'test' } as const;
  await issueToDirectory(await authorityOf(), { ...request, out: join(folder, 'worker'), dns: ['etl.test'] });
  upstream = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      const body = /x-certgate-identity: (.*)\r\n/.exec(bytes.toString('latin1'))?.[1] ?? 'nobody';
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    });
  });
  await bind(upstream, { host: '127.0.0.1', port: 0 });
});
const stop = async (): Promise<void> => {
  await gate.drain(0);
  await audit.close();
};
afterEach(stop);
afterAll(async () => {
  upstream.close();
  await store.close();
  rmSync(folder, { recursive: true });
});

async function start(
  rules: readonly IdentityRule[],
  unsafeUnrecorded = false,
  limits: Partial<typeof GATE_LIMITS> = {},
  other: Partial<GateOptions> = {},
): Promise<void> {
  audit = await openAuditLog(join(folder, 'state', 'audit.jsonl'));
  gate = await startGate({
    host: '127.0.0.1',
    port: 0,
    upstream: { host: '127.0.0.1', port: portOf(upstream) },
    names: ['localhost', '127.0.0.1'],
    serverTtl: 3_600_000,
    minTls: '1.3',
    trustDomain: 'test.internal',
    rules: compileRules(rules),
    unsafeUnrecorded,
    authority: await authorityOf(),
    caPlace: { certsDir: join(folder, 'certs'), store, trustDomain: 'test.internal', actor: 'gate' },
    store,
    audit,
    policy: null,
    log: pino({ level: 'silent' }),
    accessLog: false,
    enrolment: { tokens: true, est: true, lockOnReuse: true, graceMs: 0 },
    authString: null,
    limits: { ...GATE_LIMITS, ...limits },
    ...other,
  });
}

/** A client certificate that openssl signed with the issuer's key: on no record. */
function signed(name: string, subject: string, altName: string): string {
  const out = join(folder, name);
  const { issuerCertificate, issuerKey } = caFiles(join(folder, 'certs'));
  writeFileSync(
    `${out}.ext`,
    `extendedKeyUsage=clientAuth\nkeyUsage=critical,digitalSignature\nsubjectAltName=${altName}\n`,
  );
  const openssl = (...args: string[]): void => {
    const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
  };
  openssl(
    'req',
    '-new',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    `${out}.key`,
    '-subj',
    subject,
    '-out',
    `${out}.csr`,
  );
  openssl(
    'x509',
    '-req',
    '-in',
    `${out}.csr`,
    '-CA',
    issuerCertificate,
    '-CAkey',
    issuerKey,
    '-days',
    '1',
    '-extfile',
    `${out}.ext`,
    '-out',
    `${out}.crt`,
  );
  return out;
}

async function open(cert: string, key: string, certsDir = join(folder, 'certs')): Promise<RawPeer> {
  const options: ConnectionOptions & { readonly allowHalfOpen: boolean } = {
    host: '127.0.0.1',
    port: gate.port,
    cert: readFileSync(cert),
    key: readFileSync(key),
    ca: readFileSync(caFiles(certsDir).bundle),
    allowHalfOpen: true,
  };
  const socket = connectTls(options);
  await new Promise((resolve, reject) => socket.once('secureConnect', () => resolve(null)).once('error', reject));
  return peerOf(socket);
}

const GET = 'GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n';
const worker = () => open(join(folder, 'worker', 'tls.crt'), join(folder, 'worker', 'tls.key'));

async function answerTo(peer: RawPeer): Promise<string> {
  peer.send(GET);
  const text = await peer.until(/\r\n\r\n[\s\S]+/u);
  peer.socket.destroy();
  return `${text.slice(9, 12)} ${text.slice(text.indexOf('\r\n\r\n') + 4)}`;
}

describe('who enters', () => {
  it('is named by the SPIFFE URI that certgate wrote', async () => {
    await start([{ from: 'spiffe' }]);
    expect(await answerTo(await worker())).toBe('200 worker/etl-1');
  });

  it.each<[IdentityRule, string]>([
    [{ from: 'CN', match: '(worker/etl-1)', as: '$1' }, 'worker/etl-1'],
    [{ from: 'DNS', match: '([a-z]+)\\.test', as: 'service/$1' }, 'service/etl'],
  ])('is named by a rule over the certificate on record: %o', async (rule, identity) => {
    await start([rule]);
    expect(await answerTo(await worker())).toBe(`200 ${identity}`);
  });

  it.each<[IdentityRule, string]>([
    [{ from: 'O', match: 'Acme (.+)', as: 'service/$1' }, 'service/data'],
    [{ from: 'OU', match: '(.+)', as: 'worker/$1' }, 'worker/etl'],
    [{ from: 'email', match: '(.+)@acme\\.test', as: 'user/$1' }, 'user/alice'],
    [{ from: 'URI', match: 'spiffe://test\\.internal/team/(.+)', as: 'user/$1' }, 'user/blue'],
  ])(
    'may be named by a rule over another tool’s certificate, where that was called safe: %o',
    async (rule, identity) => {
      const files = signed(
        'acme',
        '/O=Acme data/OU=etl/CN=x',
        'email:alice@acme.test,URI:spiffe://test.internal/team/blue',
      );
      await start([rule], true);
      expect(await answerTo(await open(`${files}.crt`, `${files}.key`))).toBe(`200 ${identity}`);
      await stop();
      await start([rule]);
      expect(await answerTo(await open(`${files}.crt`, `${files}.key`))).toContain(
        '403 {"detail":"certgate: the client certificate is not in the records',
      );
    },
  );

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
    await start([{ from: 'spiffe' }], true, {}, { authority, store: below });
    expect(await answerTo(await open(join(own, 'tls.crt'), join(own, 'tls.key'), certsDir))).toBe('200 worker/etl-1');
    expect(await answerTo(await open(colleague.cert, colleague.key, certsDir))).toContain(
      '403 {"detail":"certgate: the client certificate is not from the CA of this gate"}',
    );
  });

  it('is nobody when no rule names them', async () => {
    await start([{ from: 'OU', match: '(.+)', as: 'worker/$1' }]);
    expect(await answerTo(await worker())).toContain(
      '403 {"detail":"certgate: the client certificate yields no identity',
    );
  });
});

describe('no peer holds up', () => {
  it('the end of the gate, by a handshake that never ends', async () => {
    await start([{ from: 'spiffe' }]);
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
    await start([{ from: 'spiffe' }]);
    const peer = await worker();
    peer.send(
      'GET /api/events/in HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
    );
    await peer.until('HTTP/1.1');
    await gate.drain(60_000);
    await peer.ended();
  });

  it('the memory of the gate, by asking on without reading the answers', async () => {
    await start([{ from: 'spiffe' }]);
    const peer = await worker();
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
    expect(await answerTo(await worker())).toBe('200 worker/etl-1');
    peer.socket.destroy();
  });
});

describe('over a limit', () => {
  const metrics = async () => (await gate.health()).metrics;
  const connected = async () => {
    const socket = connect({ host: '127.0.0.1', port: gate.port });
    socket.on('error', () => {});
    const closed = new Promise((resolve) => socket.once('close', resolve));
    // One that is reset at once may never seem to be connected.
    await Promise.race([closed, new Promise((resolve) => socket.once('connect', resolve))]);
    socket.resume();
    return { socket, closed };
  };

  it.each([
    ['of all clients', { connections: 2 }],
    ['of one address', { connectionsPerAddress: 2 }],
  ])('%s, a connection is reset before its handshake, until another has ended', async (_whose, limits) => {
    await start([{ from: 'spiffe' }], false, limits);
    const peer = await worker();
    const second = await connected();
    const third = await connected();
    await third.closed;
    expect(await metrics()).toMatchObject({ limitedConnections: 1, handshakes: 1, handshakeFailures: 0 });
    const health = await gate.health();
    expect(health.connections).toBe(1);
    second.socket.resetAndDestroy();
    // The gate has noticed the end of the second when it takes another; until then it resets.
    let fourth = '';
    while (fourth === '') fourth = await worker().then(answerTo, () => '');
    expect(fourth).toBe('200 worker/etl-1');
    expect(await answerTo(peer)).toBe('200 worker/etl-1');
  });

  it('of handshakes a second from one address, a connection is reset before its handshake', async () => {
    await start([{ from: 'spiffe' }], false, { handshakesPerAddress: 1 });
    const sockets = await Promise.all(Array.from({ length: 30 }, connected));
    while ((await metrics()).limitedHandshakes < 15) await new Promise((resolve) => setImmediate(resolve));
    for (const { socket } of sockets) socket.destroy();
  });

  it('of connections of one identity, the client is told to wait, and the refusal is on record', async () => {
    await start([{ from: 'spiffe' }], false, { connectionsPerIdentity: 1 });
    const first = await worker();
    const second = await worker();
    second.send(GET);
    const refusal = await second.until(/\r\n\r\n[\s\S]+/u);
    expect(refusal).toMatch(/^HTTP\/1\.1 429 /);
    expect(refusal).toContain('retry-after: 2\r\nprefect-maintenance: true\r\n');
    expect(refusal).toContain('worker/etl-1 has as many connections as it may have');
    expect(await metrics()).toMatchObject({ limitedConnections: 1, refused: 1 });
    await second.ended();
    expect(await answerTo(first)).toBe('200 worker/etl-1');
    let again = '';
    while (!again.startsWith('200')) again = await answerTo(await worker());
    await audit.close();
    const [line] = readFileSync(join(folder, 'state', 'audit.jsonl'), 'utf8').match(/.*CG_LIMIT_IDENTITY.*/) ?? [];
    expect(JSON.parse(line ?? '')).toMatchObject({ identity: 'worker/etl-1', decision: 'refuse', status: 429 });
  });

  it('of requests in flight of one identity, a request is told to wait, WebSockets are not counted, and each end gives back', async () => {
    await start([{ from: 'spiffe' }], false, { requestsPerIdentity: 1 });
    const [busy, other, socket] = [await worker(), await worker(), await worker()];
    // Its body is never whole: it stays in flight.
    busy.send('POST /api/logs/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf');
    while ((await metrics()).requestsOpen < 1) await new Promise((resolve) => setImmediate(resolve));
    other.send(GET);
    const refusal = await other.until(/\r\n\r\n[\s\S]+as it may have"\}/u);
    expect(refusal).toMatch(/^HTTP\/1\.1 429 /);
    expect(refusal).toContain('retry-after: 2\r\nprefect-maintenance: true\r\n');
    socket.send(
      'GET /api/events/in HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
    );
    expect(await socket.until('HTTP/1.1 200')).not.toContain('429');
    expect(await metrics()).toMatchObject({ limitedRequests: 1 });
    busy.socket.destroy();
    while ((await metrics()).requestsOpen > 0) await new Promise((resolve) => setImmediate(resolve));
    const kept = await worker();
    for (const answers of [1, 2, 3]) {
      kept.send(GET);
      await kept.until(new RegExp(`(?:HTTP/1.1 200[^]*?worker/etl-1){${answers}}`, 'u'));
    }
    for (const peer of [other, socket, kept]) peer.socket.destroy();
  });
});
