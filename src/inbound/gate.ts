// The inbound sidecar: puts the listener, the records, the decisions and the proxy together, and takes them down again
// in order. Everything it needs is given to it; it reads no configuration and prints nothing.

import { connect, type OnReadOpts, type Socket } from 'node:net';
import type { Authority } from '../authority/authority.ts';
import type { CompiledRules } from '../identity/identify.ts';
import type { AuditLog } from '../observe/audit-log.ts';
import { limitLog } from '../observe/limited-log.ts';
import { accessLogOf, type Log } from '../observe/log.ts';
import { createMetrics, type Metrics } from '../observe/metrics.ts';
import { type ConnectionSet, type ConnectionWork, serveClient } from '../proxy/client-connection.ts';
import { bind, drainConnections, sweepConnections } from '../proxy/connection-set.ts';
import type { Limits } from '../proxy/contract.ts';
import { openUpstreamPool } from '../proxy/upstream-pool.ts';
import type { Store } from '../store/store.ts';
import { createClientReader } from './client-reader.ts';
import { decideFor } from './decide.ts';
import { createDoor } from './door.ts';
import { DoorCounts, type DoorLimits } from './door-counts.ts';
import { countIdentities, requestSlot } from './identity-counts.ts';
import { createListener, secureContext } from './listener.ts';
import { createLiveIndex } from './live-index.ts';
import { watchRevocations } from './revocation-watch.ts';
import { issueServerCertificate, keepRenewed } from './server-certificate.ts';

export interface GateOptions {
  readonly host: string;
  /** 0 for a free one. */
  readonly port: number;
  readonly upstream: { readonly host: string; readonly port: number } | { readonly path: string };
  /** DNS names and IP addresses of the server certificate. */
  readonly names: readonly string[];
  /** Lifetime of the server certificate, ms. */
  readonly serverTtl: number;
  readonly minTls: '1.2' | '1.3';
  readonly trustDomain: string;
  readonly rules: CompiledRules;
  /** See AdmissionRules. */
  readonly unsafeUnrecorded: boolean;
  readonly authority: Authority;
  readonly store: Store;
  readonly audit: AuditLog;
  readonly log: Log;
  readonly accessLog: boolean;
  readonly authString: string | null;
  readonly limits: Limits &
    DoorLimits & {
      readonly connectionsPerIdentity: number;
      readonly requestsPerIdentity: number;
      readonly handshake: number;
      readonly upstreamIdle: number;
      readonly upstreamConnect: number;
    };
}

export interface GateHealth {
  readonly status: 'ok' | 'degraded';
  readonly store: boolean;
  readonly audit: boolean;
  readonly upstream: boolean;
  readonly connections: number;
  readonly metrics: Metrics;
}

export interface RunningGate {
  /** As the listener reports it. */
  readonly host: string;
  readonly port: number;
  /** Applies every revocation committed so far and says what those of `serials` cut. */
  applyRevocations(serials: readonly string[]): Promise<{ readonly revision: number; readonly cut: ConnectionWork }>;
  health(): Promise<GateHealth>;
  /** Takes no more connections, lets what is under way finish for at most `ms`, then cuts it. */
  drain(ms: number, hurry?: AbortSignal): Promise<void>;
}

/** Starts a gate and resolves when it listens. CG_STORE_*, CG_AUDIT_*, CG_LISTEN. */
export async function startGate(options: GateOptions): Promise<RunningGate> {
  const { log, audit, store } = options;
  const metrics = createMetrics();
  const limitedLog = limitLog(log);
  const live = createLiveIndex();
  const watch = await watchRevocations(store, live, log, (work) => {
    metrics.revocationsApplied++;
    metrics.cut += work.connections;
  });
  const openUpstream = (onread?: OnReadOpts): Socket =>
    connect({
      ...options.upstream,
      ...(onread && { onread }),
      allowHalfOpen: true,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
    });
  const pool = openUpstreamPool({
    connect: openUpstream,
    readyEvent: 'connect',
    idle: options.limits.upstreamIdle,
    connectTimeout: options.limits.upstreamConnect,
  });
  const set: ConnectionSet = { members: new Set(), now: performance.now(), draining: false };
  const state = {
    log,
    access: options.accessLog ? accessLogOf(log) : null,
    audit,
    metrics,
    watch,
    limitedLog,
    authString: options.authString,
  };

  const issue = () => issueServerCertificate(options.authority, options.names, options.serverTtl);
  const credentials = await issue();
  const server = createListener({
    credentials,
    bundlePem: options.authority.bundlePem,
    minTls: options.minTls,
    handshakeTimeout: options.limits.handshake,
    admission: {
      store,
      read: createClientReader(options.rules, options.trustDomain),
      unsafeUnrecorded: options.unsafeUnrecorded,
    },
    identities: countIdentities(options.limits.connectionsPerIdentity),
    live,
    watch,
    audit,
    log: limitedLog,
    metrics,
    isDraining: () => set.draining,
    serve(socket, client, entry, tally) {
      const slot = requestSlot(tally, options.limits.requestsPerIdentity);
      // Given back in any case, a fault included.
      socket.once('close', () => slot.free());
      const handler = decideFor(state, client, entry.address, slot);
      entry.proxied = serveClient(socket, handler, pool, options.limits, set);
    },
  });
  const sockets = new Set<Socket>();
  const counts = new DoorCounts(options.limits);
  const door = createDoor({
    counts,
    log: limitedLog,
    metrics,
    letIn(socket, address) {
      sockets.add(socket);
      socket.once('close', () => {
        sockets.delete(socket);
        counts.leave(address);
      });
      server.emit('connection', socket);
    },
  });
  const stopRenewal = keepRenewed(
    credentials,
    issue,
    (fresh) => server.setSecureContext(secureContext(fresh, options.authority.bundlePem, options.minTls)),
    log,
  );
  const stopSweep = sweepConnections(set, () => {
    metrics.cut += live.cutExpired(Date.now()).connections;
  });
  const stop = async (): Promise<void> => {
    stopSweep();
    stopRenewal();
    pool.close();
    limitedLog.close();
    await watch.stop();
  };
  try {
    await bind(door, { host: options.host, port: options.port });
  } catch (error) {
    await stop();
    throw error;
  }
  const bound = door.address();

  return {
    host: options.host,
    port: typeof bound === 'object' && bound !== null ? bound.port : options.port,
    applyRevocations: (serials) => watch.apply(serials),
    async health() {
      const upstream = await reachable(openUpstream, options.limits.upstreamConnect);
      const ok = watch.healthy && audit.healthy() && upstream;
      return {
        status: ok ? 'ok' : 'degraded',
        store: watch.healthy,
        audit: audit.healthy(),
        upstream,
        connections: live.size,
        metrics: { ...metrics, ...openWork(set) },
      };
    },
    async drain(ms, hurry) {
      door.close();
      await drainConnections(set, ms, hurry);
      // Handshakes that never came to their end, refused peers that still read.
      for (const socket of sockets) socket.destroy();
      await stop();
    },
  };
}

/** The gauges that are cheaper to count when asked for. */
function openWork(set: ConnectionSet): Pick<Metrics, 'requestsOpen' | 'tunnels'> {
  const open = { requestsOpen: 0, tunnels: 0 };
  for (const { work } of set.members) {
    open.requestsOpen += work.requests;
    open.tunnels += work.tunnels;
  }
  return open;
}

function reachable(open: () => Socket, timeout: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = open();
    const answer = (yes: boolean): void => {
      resolve(yes);
      socket.destroy();
    };
    socket.setTimeout(timeout, () => answer(false));
    socket.once('connect', () => answer(true));
    socket.once('error', () => answer(false));
  });
}
