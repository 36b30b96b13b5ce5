// What a lock does to those who come: with real handshakes, before an upstream that answers everybody. The moment between
// the look at the records and the entry into the index is the test's to fill, because counting an identity takes place there.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createAuthority } from '../../src/authority/create.ts';
import { issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { caFiles, storeFile } from '../../src/authority/layout.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { type LockRequest, lockClients, lockTarget, unlockClients } from '../../src/authority/locking.ts';
import { compileRules, type IdentityRule } from '../../src/identity/identify.ts';
import { type DataPath, openDataPath } from '../../src/inbound/data-path.ts';
import { countIdentities } from '../../src/inbound/identity-counts.ts';
import {
  type ClientTrust,
  clientTrustOf,
  issueServerCertificate,
  type ServerCredentials,
} from '../../src/inbound/server-certificate.ts';
import { type AuditLog, openAuditLog } from '../../src/observe/audit-log.ts';
import { limitLog } from '../../src/observe/limited-log.ts';
import { createMetrics } from '../../src/observe/metrics.ts';
import { bind } from '../../src/proxy/connection-set.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { LockScope, Store } from '../../src/store/store.ts';
import { quietLog } from '../observe/quiet-log.ts';
import { peerOf, portOf } from '../proxy/plain-proxy.ts';
import { GATE_OPTIONS } from './gate-options.ts';

const GET = 'GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n';
let folder: string;
const unasked = () => Promise.reject(new Error('nobody asks for a certificate here'));
let store: Store;
let upstream: Server;
let credentials: ServerCredentials;
let trust: ClientTrust;
let serial: string;
let audit: AuditLog;
let path: DataPath;
let door: Server;
/** Is called between the look at the records and the entry. */
let between: () => Promise<void>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'certgate-locks-'));
  const [certsDir, stateDir] = [join(folder, 'certs'), join(folder, 'state')];
  await createAuthority({ certsDir, stateDir, trustDomain: 'test.internal', actor: 'test' });
  store = openSqliteStore(storeFile(stateDir));
  const authority = await loadAuthority({ certsDir, store, trustDomain: 'test.internal' });
  const request = { identity: 'worker/etl-1', profile: 'client', ttlMs: 3_600_000, actor: 'test' } as const;
  const issued = await issueToDirectory(authority, { ...request, out: join(folder, 'worker'), dns: ['etl.test'] });
  ({ serial } = issued.record);
  credentials = await issueServerCertificate(authority, ['localhost', '127.0.0.1'], 3_600_000);
  trust = await clientTrustOf(authority);
  upstream = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'));
  });
  await bind(upstream, { host: '127.0.0.1', port: 0 });
});
afterEach(async () => {
  door.close();
  await path.drain(0);
  await audit.close();
  for (const lock of await store.locks(Date.now())) await unlockClients(store, lock, 'test', Date.now());
});
afterAll(async () => {
  upstream.close();
  await store.close();
  rmSync(folder, { recursive: true });
});

async function start(rules: readonly IdentityRule[] = [{ from: 'spiffe' }]): Promise<void> {
  between = async () => {};
  const counts = countIdentities(Number.POSITIVE_INFINITY);
  audit = await openAuditLog(join(folder, 'state', 'audit.jsonl'));
  path = await openDataPath({
    upstream: { host: '127.0.0.1', port: portOf(upstream) },
    ...GATE_OPTIONS,
    trustDomain: 'test.internal',
    rules: compileRules(rules),
    store,
    audit,
    desk: { enroll: unasked, renew: unasked, seen: unasked },
    credentials,
    trust,
    policy: null,
    noteBundle: () => {},
    identities: {
      enter: async (identity) => {
        await between();
        return await counts.enter(identity);
      },
      leave: (tally) => counts.leave(tally),
    },
    limitedLog: limitLog(quietLog),
    metrics: createMetrics(),
  });
  door = createServer((socket) => path.letIn(socket, () => {}));
  await bind(door, { host: '127.0.0.1', port: 0 });
}

const lock = async (scope: LockScope, subject = '', values: Partial<LockRequest> = {}) => {
  const request = { target: lockTarget(scope, subject), reason: 'odd traffic', forMs: null, actor: 'test', ...values };
  return (await lockClients(store, request, Date.now())).lock;
};

/** Comes as the worker, asks once, and answers the status and the body. */
async function come(): Promise<string> {
  const socket = connectTls({
    host: '127.0.0.1',
    port: portOf(door),
    cert: readFileSync(join(folder, 'worker', 'tls.crt')),
    key: readFileSync(join(folder, 'worker', 'tls.key')),
    ca: readFileSync(caFiles(join(folder, 'certs')).bundle),
  });
  await new Promise((resolve, reject) => socket.once('secureConnect', () => resolve(null)).once('error', reject));
  const peer = peerOf(socket);
  peer.send(GET);
  const text = await peer.until(/\r\n\r\n[\s\S]+/u);
  socket.destroy();
  return `${text.slice(9, 12)} ${text.slice(text.indexOf('\r\n\r\n') + 4)}`;
}
const refused = (detail: string): string => `403 {"detail":"certgate: ${detail}"}`;

describe('whoever is locked', () => {
  it('is refused and told that it is not revoked, and until when, but not why', async () => {
    await start();
    const { until } = await lock('identity', 'worker/etl-1', { forMs: 3_600_000 });
    await path.applyRecords([]);
    const end = new Date(until ?? 0).toISOString();
    expect(await come()).toBe(refused(`worker/etl-1 is locked, not revoked, until ${end}`));
  });

  it.each<[LockScope, () => string, string]>([
    ['identity', () => 'worker/etl-1', 'worker/etl-1 is locked'],
    ['serial', () => serial, 'the certificate of worker/etl-1 is locked'],
    ['all', () => '', 'all clients are locked, worker/etl-1 among them'],
  ])('by %s is let in again after unlock, with the same certificate', async (scope, subject, words) => {
    await start();
    const made = await lock(scope, subject());
    await path.applyRecords([]);
    expect(await come()).toBe(refused(`${words}, not revoked, until it is unlocked`));
    await unlockClients(store, made, 'test', Date.now());
    await path.applyRecords([]);
    expect(await come()).toBe('200 ok');
  });

  it('on record or by the name that the rules make of it, is refused by either', async () => {
    await start([{ from: 'DNS', match: '([a-z]+)\\.test', as: 'service/$1' }]);
    expect(await come()).toBe('200 ok');
    for (const name of ['worker/etl-1', 'service/etl']) {
      const made = await lock('identity', name);
      await path.applyRecords([]);
      expect(await come()).toBe(refused('service/etl is locked, not revoked, until it is unlocked'));
      await unlockClients(store, made, 'test', Date.now());
      await path.applyRecords([]);
    }
    expect(await come()).toBe('200 ok');
  });

  it('is refused by a gate that starts while the lock stands, and stands in its record', async () => {
    await lock('all');
    await start();
    expect(await come()).toContain('all clients are locked');
    await audit.close();
    const [line] = readFileSync(join(folder, 'state', 'audit.jsonl'), 'utf8').match(/.*CG_CLIENT_LOCKED.*\n$/) ?? [];
    expect(JSON.parse(line ?? '')).toMatchObject({
      ...{ identity: 'worker/etl-1', serial, operation: 'connect', decision: 'refuse', status: 403 },
      reason: 'everyone is locked until it is unlocked: odd traffic',
    });
  });

  it('while its connection is being admitted is looked up again before it is served', async () => {
    await start();
    between = async () => {
      between = async () => {};
      await lock('identity', 'worker/etl-1');
      // The gate acts on it now, and finds nothing to cut.
      await path.applyRecords([]);
    };
    expect(await come()).toBe(refused('worker/etl-1 is locked, not revoked, until it is unlocked'));
    expect((await path.health()).locks).toEqual({ standing: 1, everyone: false });
  });
});
