// A whole gate in this process, with a CA and one worker of its own, in front of an upstream that the test decides: what
// is sent to it goes through TLS, the reader, policy and the writer as in production. Its audit record can be
// read, so that a test can tell what was decided from what was sent on.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { createAuthority } from '../../src/authority/create.ts';
import { issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { caFiles, storeFile } from '../../src/authority/layout.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { type GateHealth, type GateOptions, startGate } from '../../src/inbound/gate.ts';
import { openAuditLog } from '../../src/observe/audit-log.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { GATE_OPTIONS } from '../inbound/gate-options.ts';
import { peerOf, type RawPeer } from '../proxy/plain-proxy.ts';

export interface GateFixture {
  readonly port: number;
  /** A connection of `worker/etl-1`, or with the certificate and key in these files, its handshake done. */
  connect(files?: ClientFiles): Promise<RawPeer>;
  /** The lines of the audit record so far. */
  records(): ReadonlyArray<Readonly<Record<string, unknown>>>;
  /** As SIGHUP does. */
  reloadPolicy(): void;
  health(): Promise<GateHealth>;
  /** Ends it as SIGTERM does; `graceMs` for what is in flight. */
  drain(graceMs: number): Promise<void>;
  close(): Promise<void>;
}

export interface ClientFiles {
  readonly cert: string;
  readonly key: string;
  /** The bundle that the gate's own certificate is held against; the house's without it. */
  readonly ca?: string;
}

/** A CA with its records and a worker's certificate, for one gate after another. */
export interface GateHouse {
  readonly certsDir: string;
  /** The folder of `worker/etl-1`: tls.crt, tls.key, ca.crt. */
  readonly worker: string;
  start(upstreamPort: number, different?: Partial<GateOptions>): Promise<GateFixture>;
  close(): Promise<void>;
}

/** What a client needs to be the worker of `house`, PEM. */
export function workerCredentials({ worker, certsDir }: GateHouse): Readonly<Record<'cert' | 'key' | 'ca', string>> {
  const read = (file: string): string => readFileSync(file, 'utf8');
  const [cert, key] = [read(join(worker, 'tls.crt')), read(join(worker, 'tls.key'))];
  return { cert, key, ca: read(caFiles(certsDir).bundle) };
}

/** `named` are the groups and the DNS names in the worker's certificate; the CA is made now, or was at `madeAt`. */
export async function openGateHouse({
  madeAt = Date.now(),
  ...named
}: {
  readonly groups?: readonly string[];
  readonly dns?: readonly string[];
  readonly madeAt?: number;
} = {}): Promise<GateHouse> {
  const folder = mkdtempSync(join(tmpdir(), 'certgate-security-'));
  const [certsDir, stateDir] = [join(folder, 'certs'), join(folder, 'state')];
  await createAuthority({ certsDir, stateDir, trustDomain: 'test.internal', actor: 'test', clock: () => madeAt });
  const store = openSqliteStore(storeFile(stateDir));
  const authority = await loadAuthority({ certsDir, store, trustDomain: 'test.internal' });
  const request = { identity: 'worker/etl-1', profile: 'client', ttlMs: 3_600_000, actor: 'test' } as const;
  const worker = join(folder, 'worker');
  await issueToDirectory(authority, { ...request, ...named, out: worker });
  const own: ClientFiles = { cert: join(worker, 'tls.crt'), key: join(worker, 'tls.key') };
  const auditFile = join(stateDir, 'audit.jsonl');
  const start = async (upstreamPort: number, different: Partial<GateOptions> = {}): Promise<GateFixture> => {
    const audit = await openAuditLog(auditFile);
    const gate = await startGate({
      listen: { host: '127.0.0.1', port: 0 },
      upstream: { host: '127.0.0.1', port: upstreamPort },
      names: ['localhost', '127.0.0.1'],
      serverTtl: 3_600_000,
      ...GATE_OPTIONS,
      trustDomain: 'test.internal',
      authority,
      policy: null,
      caPlace: { certsDir, store, trustDomain: 'test.internal', actor: 'gate' },
      store,
      audit,
      ...different,
    });
    return {
      port: gate.port,
      async connect({ cert, key, ca = caFiles(certsDir).bundle } = own) {
        const credentials = { cert: readFileSync(cert), key: readFileSync(key), ca: readFileSync(ca) };
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
      drain: (graceMs) => gate.drain(graceMs),
      async close() {
        await gate.drain(0);
        await audit.close();
      },
    };
  };
  return {
    certsDir,
    worker,
    start,
    async close() {
      await store.close();
      rmSync(folder, { recursive: true });
    },
  };
}
