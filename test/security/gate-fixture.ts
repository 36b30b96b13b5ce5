// A whole gate in this process, with a CA and one worker of its own, in front of an upstream that the test decides: what
// is sent to it goes through TLS, the reader, policy and the writer as in production. Its audit record can be
// read, so that a test can tell what was decided from what was sent on.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { pino } from 'pino';
import { createAuthority } from '../../src/authority/create.ts';
import { issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { caFiles, storeFile } from '../../src/authority/layout.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { compileRules } from '../../src/identity/identify.ts';
import { type GateHealth, startGate } from '../../src/inbound/gate.ts';
import type { PolicyPlace } from '../../src/inbound/policy-watch.ts';
import { openAuditLog } from '../../src/observe/audit-log.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { GATE_LIMITS } from '../inbound/gate-limits.ts';
import { peerOf, type RawPeer } from '../proxy/plain-proxy.ts';

export interface GateFixture {
  readonly port: number;
  /** A connection of `worker/etl-1`, its handshake done. */
  connect(): Promise<RawPeer>;
  /** The lines of the audit record so far. */
  records(): ReadonlyArray<Readonly<Record<string, unknown>>>;
  /** As SIGHUP does. */
  reloadPolicy(): void;
  health(): Promise<GateHealth>;
  close(): Promise<void>;
}

/** A CA with its records and a worker's certificate, for one gate after another. */
export interface GateHouse {
  /** The folder of `worker/etl-1`: tls.crt, tls.key, ca.crt. */
  readonly worker: string;
  start(upstreamPort: number, policy?: PolicyPlace): Promise<GateFixture>;
  close(): Promise<void>;
}

/** `groups` are what the worker's certificate says it belongs to. */
export async function openGateHouse(groups: readonly string[] = []): Promise<GateHouse> {
  const folder = mkdtempSync(join(tmpdir(), 'certgate-security-'));
  const [certsDir, stateDir] = [join(folder, 'certs'), join(folder, 'state')];
  await createAuthority({ certsDir, stateDir, trustDomain: 'test.internal', actor: 'test' });
  const store = openSqliteStore(storeFile(stateDir));
  const authority = await loadAuthority({ certsDir, store, trustDomain: 'test.internal' });
  const request = { identity: 'worker/etl-1', profile: 'client', ttlMs: 3_600_000, actor: 'test', groups } as const;
  await issueToDirectory(authority, { ...request, out: join(folder, 'worker') });
  const credentials = {
    cert: readFileSync(join(folder, 'worker', 'tls.crt')),
    key: readFileSync(join(folder, 'worker', 'tls.key')),
    ca: readFileSync(caFiles(certsDir).bundle),
  };
  const auditFile = join(stateDir, 'audit.jsonl');
  const start = async (upstreamPort: number, policy: PolicyPlace | null = null): Promise<GateFixture> => {
    const audit = await openAuditLog(auditFile);
    const gate = await startGate({
      host: '127.0.0.1',
      port: 0,
      upstream: { host: '127.0.0.1', port: upstreamPort },
      names: ['localhost', '127.0.0.1'],
      serverTtl: 3_600_000,
      minTls: '1.3',
      trustDomain: 'test.internal',
      rules: compileRules([{ from: 'spiffe' }]),
      unsafeUnrecorded: false,
      authority,
      policy,
      caPlace: { certsDir, store, trustDomain: 'test.internal', actor: 'gate' },
      store,
      audit,
      log: pino({ level: 'silent' }),
      accessLog: false,
      enrolment: { tokens: true, est: true, lockOnReuse: true, graceMs: 0 },
      authString: null,
      limits: GATE_LIMITS,
    });
    return {
      port: gate.port,
      async connect() {
        // `allowHalfOpen` is an option of the socket beneath, which Node's types of tls.connect do not name.
        const how = { host: '127.0.0.1', port: gate.port, ...credentials, allowHalfOpen: true };
        const socket = connect(how);
        await new Promise((resolve, reject) => socket.once('secureConnect', () => resolve(null)).once('error', reject));
        return peerOf(socket);
      },
      records: () =>
        readFileSync(auditFile, 'utf8')
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => JSON.parse(line) as Record<string, unknown>),
      reloadPolicy: () => gate.reloadPolicy?.(),
      health: () => gate.health(),
      async close() {
        await gate.drain(0);
        await audit.close();
      },
    };
  };
  return {
    worker: join(folder, 'worker'),
    start,
    async close() {
      await store.close();
      rmSync(folder, { recursive: true });
    },
  };
}
