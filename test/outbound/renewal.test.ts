import type { KeyObject } from 'node:crypto';
// The sidecar's own renewal before a gate of the test's: what it does when nobody answers, and when its clock is wrong.
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import { issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { writeIssued } from '../../src/enroll/wire.ts';
import { openLog } from '../../src/observe/log.ts';
import { type CredentialFiles, openCredentials } from '../../src/outbound/credentials.ts';
import { type GateClock, openGateClock } from '../../src/outbound/gate-clock.ts';
import { followRenewal } from '../../src/outbound/renewal.ts';
import { createLeaf, derToPem, signerOf } from '../../src/pki/certificates.ts';
import { generateKey, keyId, privateKeyToPem } from '../../src/pki/keys.ts';
import { readRequest } from '../../src/pki/requests.ts';
import { bind } from '../../src/proxy/connection-set.ts';
import { openCa, request } from '../authority/fixture.ts';
import { quietLog } from '../observe/quiet-log.ts';

const HOUR = 3_600_000;
const filesIn = (dir: string): CredentialFiles => ({
  cert: join(dir, 'tls.crt'),
  key: join(dir, 'tls.key'),
  ca: join(dir, 'ca.crt'),
});
let stop: (() => Promise<void>) | null = null;
afterEach(async () => {
  await stop?.();
  stop = null;
});

async function listening(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  await bind(server, { host: '127.0.0.1', port: 0 });
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const bound = server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : 0;
}

/** That of this machine, but that every wait is over at once. */
const impatient: GateClock = {
  now: Date.now,
  hear: () => {},
  stopwatch: () => () => Number.POSITIVE_INFINITY,
};
/** Of a follower, where a test has no other. */
const usual = {
  host: 'gate',
  look: async () => true,
  keyText: async (key: KeyObject): Promise<string> => privateKeyToPem(key),
  clock: impatient,
  enrollAgain: null,
  counts: { renewals: 0, renewalFailures: 0 },
};

/** A certificate of an hour, issued fifty minutes ago by the CA's clock. */
async function due() {
  let now = Date.now() - 50 * 60_000;
  const ca = await openCa(() => now);
  const dir = join(ca.dir, 'worker');
  await issueToDirectory(ca.authority, { ...request({ ttlMs: HOUR }), out: dir });
  now = Date.now();
  const said: string[] = [];
  const log = openLog({ level: 'debug', destination: { write: (line) => void said.push(line) } });
  const { read: current } = await openCredentials(filesIn(dir));
  return { ca, dir, said, log, current };
}

test('a stop does not wait for a gate that never answers, and leaves no key behind', async () => {
  const { dir, log, current } = await due();
  const asked = Promise.withResolvers<void>();
  const port = await listening(createServer(() => asked.resolve()));
  const connect = () => connectTls({ host: '127.0.0.1', port, secureContext: current.context });
  ({ stop } = followRenewal({
    ...usual,
    dir,
    current: () => current,
    connect,
    log,
  }));
  await asked.promise;
  expect(readdirSync(dir).some((name) => name.startsWith('.generation-'))).toBe(true);
  const since = performance.now();
  await stop();
  expect(performance.now() - since).toBeLessThan(5_000);
  expect(readdirSync(dir).toSorted()).toEqual(['.renewing', 'ca.crt', 'tls.crt', 'tls.key']);
});

test('a certificate that this machine’s clock takes for over is not taken, and is asked for again with the same key', async () => {
  const { ca, dir, said, log, current } = await due();
  const before = readFileSync(join(dir, 'tls.crt'), 'utf8');
  const keys = new Set<string>();
  const twice = Promise.withResolvers<void>();
  let count = 0;
  // A gate a day behind, which the CA's clock is not.
  const server = createTlsServer(
    { cert: readFileSync(join(dir, 'tls.crt')), key: readFileSync(join(dir, 'tls.key')) },
    (socket) => {
      socket.on('error', () => {});
      socket.on('data', (bytes: Buffer) => {
        const { csr } = JSON.parse(bytes.toString().split('\r\n\r\n')[1] ?? '') as { csr: string };
        keys.add(readRequest(csr).publicKey.export({ type: 'spki', format: 'pem' }));
        const { publicKey } = readRequest(csr);
        void (async () => {
          const old = await openCa(() => Date.now() - 24 * HOUR);
          const { chainPem } = await old.authority.issue(request({ ttlMs: HOUR, publicKey }));
          const text = writeIssued({ identity: 'worker/etl-1', certificate: chainPem, bundle: ca.authority.bundlePem });
          socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\n\r\n${text}`);
          if (++count === 2) twice.resolve();
        })();
      });
    },
  );
  const port = await listening(server);
  const connect = () => connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
  ({ stop } = followRenewal({
    ...usual,
    dir,
    current: () => current,
    connect,
    log,
  }));
  await twice.promise;
  expect(keys.size).toBe(1);
  expect(said.join('')).toContain('is not valid now, at ');
  expect(readFileSync(join(dir, 'tls.crt'), 'utf8')).toBe(before);
});

test('where a gate answers a certificate for another key, the folder stays as it is, and it is asked again', async () => {
  const { ca, dir, said, log, current } = await due();
  const before = readFileSync(join(dir, 'tls.crt'), 'utf8');
  const { chainPem: certificate } = await ca.authority.issue(request({ ttlMs: HOUR }));
  const asked: string[] = [];
  const twice = Promise.withResolvers<void>();
  const own = { cert: readFileSync(join(dir, 'tls.crt')), key: readFileSync(join(dir, 'tls.key')) };
  const server = createTlsServer(own, (socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      asked.push(bytes.toString().split('\r\n\r\n')[1] ?? '');
      const text = writeIssued({ identity: 'worker/etl-1', certificate, bundle: ca.authority.bundlePem });
      socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\n\r\n${text}`);
      if (asked.length === 2) twice.resolve();
    });
  });
  const port = await listening(server);
  const connect = () => connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
  ({ stop } = followRenewal({ ...usual, dir, current: () => current, connect, log }));
  await twice.promise;
  expect(new Set(asked).size).toBe(1);
  await vi.waitFor(() => expect(said.join('')).toContain('is not a certificate for the new key'));
  expect(readFileSync(join(dir, 'tls.crt'), 'utf8')).toBe(before);
});

test('nothing is asked for while the files of the present certificate can not be taken', async () => {
  const { dir, said, log, current } = await due();
  const port = await listening(createServer((socket) => void socket.end()));
  const asked: string[] = [];
  const connect = () => {
    asked.push('asked');
    return connectTls({ host: '127.0.0.1', port });
  };
  const twice = Promise.withResolvers<void>();
  let looks = 0;
  const look = async () => {
    if (++looks === 2) twice.resolve();
    return false;
  };
  ({ stop } = followRenewal({
    ...usual,
    dir,
    current: () => current,
    look,
    connect,
    log,
  }));
  await twice.promise;
  expect(asked).toEqual([]);
  expect(said.join('')).toContain('can not be taken');
});

test.each<[what: string, move: (at: { wall: number; steady: number }) => void]>([
  [
    'that has slept through the time',
    (at) => {
      at.wall += 20 * HOUR;
    },
  ],
  [
    'whose clock is set back, a day before the time passes',
    (at) => {
      at.wall -= 24 * HOUR;
      at.steady += 20 * HOUR;
    },
  ],
])('a machine %s renews at its next look', async (_what, move) => {
  const ca = await openCa();
  const dir = join(ca.dir, 'worker');
  await issueToDirectory(ca.authority, { ...request({ ttlMs: 24 * HOUR }), out: dir });
  const { read: current } = await openCredentials(filesIn(dir));
  const port = await listening(createServer((socket) => void socket.end()));
  const asked = Promise.withResolvers<void>();
  let moved = false;
  const at = { wall: Date.now(), steady: 0 };
  const log = quietLog;
  ({ stop } = followRenewal({
    ...usual,
    dir,
    current: () => current,
    connect: () => {
      if (moved) asked.resolve();
      else asked.reject(new Error('it was not due'));
      return connectTls({ host: '127.0.0.1', port });
    },
    clock: openGateClock(log, { wall: () => at.wall, steady: () => at.steady }),
    log,
  }));
  move(at);
  moved = true;
  await asked.promise;
});

test('a gate whose next certificate has the serial number of the present one is not asked again at each look', async () => {
  // Half of a window of minutes: by chance it would now and then be asked again within five looks.
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  onTestFinished(() => void vi.restoreAllMocks());
  const { dir, log, current } = await due();
  const { privateKey, publicKey } = await generateKey();
  const issuer = { certificate: current.certificate, signer: signerOf(privateKey), keyId: keyId(publicKey) };
  let asked = 0;
  const certificate = { cert: readFileSync(join(dir, 'tls.crt')), key: readFileSync(join(dir, 'tls.key')) };
  const server = createTlsServer(certificate, (socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      // Of the bundle that is asked for by the new certificate.
      if (bytes.toString('latin1').startsWith('GET ')) {
        socket.end('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n');
        return;
      }
      const { csr } = JSON.parse(bytes.toString().split('\r\n\r\n')[1] ?? '') as { csr: string };
      asked++;
      void (async () => {
        const der = await createLeaf({
          ...{
            profile: 'client',
            subjectCommonName: 'worker/etl-1',
            spiffeUri: 'spiffe://prefect.example/worker/etl-1',
          },
          publicKey: readRequest(csr).publicKey,
          notBefore: current.certificate.validFromDate,
          notAfter: current.certificate.validToDate,
          serial: current.certificate.serialNumber.toLowerCase(),
          issuer,
        });
        const text = writeIssued({ identity: 'worker/etl-1', certificate: derToPem(der, 'CERTIFICATE'), bundle: '' });
        socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\n\r\n${text}`);
      })();
    });
  });
  const port = await listening(server);
  let looks = 0;
  const later = Promise.withResolvers<void>();
  const renewal = followRenewal({
    ...usual,
    dir,
    // Each look asks for it.
    current: () => {
      if (asked > 0 && ++looks > 5) later.resolve();
      return current;
    },
    connect: () => connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false }),
    clock: openGateClock(log),
    log,
  });
  ({ stop } = renewal);
  renewal.now();
  await later.promise;
  expect(asked).toBe(1);
});
