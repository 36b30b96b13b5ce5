// The way of every connection that is let in: TLS, who is it, what may it, and on to Prefect; with the records watched, so
// that whom a revocation or lock concerns is cut here. One in each process that serves: a gate by itself, or each worker
// of one. It listens nowhere and issues nothing: sockets and the server certificate are given to it.

import { connect, type OnReadOpts, type Socket } from 'node:net';
import { type LockSummary, lockSummary } from '../authority/lock-table.ts';
import type { EnrollDesk, EnrollPolicy } from '../enroll/contract.ts';
import type { CompiledRules } from '../identity/identify.ts';
import type { AuditLog } from '../observe/audit-log.ts';
import type { LimitedLog } from '../observe/limited-log.ts';
import { accessLogOf, type Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Policy } from '../policy/policy.ts';
import { drainConnections, serveClient, sweepConnections } from '../proxy/connection-set.ts';
import type { Limits } from '../proxy/contract.ts';
import { type ConnectionSet, type ConnectionWork, openWork } from '../proxy/open-connections.ts';
import { openUpstreamPool } from '../proxy/upstream-pool.ts';
import type { BundleTaken, Store } from '../store/store.ts';
import type { AdmissionRules } from './admission.ts';
import { clientAddresses } from './client-address.ts';
import { createClientReader } from './client-reader.ts';
import { decideFor } from './decide.ts';
import { receiveStranger } from './enrolment.ts';
import type { GateState } from './gate-state.ts';
import { type IdentityCounts, requestSlot } from './identity-counts.ts';
import { createListener, installContext, secureContext } from './listener.ts';
import { createLiveIndex } from './live-index.ts';
import { openAsker } from './prefect-ask.ts';
import { reachable } from './reachable.ts';
import { watchRevocations } from './revocation-watch.ts';
import { openScopeLookups } from './scope-lookups.ts';
import type { ClientTrust, ServerCredentials } from './server-certificate.ts';

export interface DataPathOptions {
  readonly upstream: { readonly host: string; readonly port: number } | { readonly path: string };
  /** Where that has its API: `/api`, or what PREFECT_SERVER_API_BASE_PATH says. */
  readonly apiPath: string;
  readonly minTls: '1.2' | '1.3';
  /** See ClientAddressOptions. */
  readonly balancers: readonly string[];
  readonly trustDomain: string;
  readonly rules: CompiledRules;
  /** See AdmissionRules. */
  readonly unsafeUnrecorded: boolean;
  readonly store: Store;
  readonly audit: AuditLog;
  readonly log: Log;
  readonly accessLog: boolean;
  readonly authString: string | null;
  /** Who may get a certificate over this gate's own port. */
  readonly enrolment: EnrollPolicy;
  readonly limits: Limits & {
    readonly requestsPerIdentity: number;
    readonly handshake: number;
    /** As DoorLimits. */
    readonly connectionsPerAddress: number;
    readonly handshakesPerAddress: number;
    readonly upstreamIdle: number;
    readonly upstreamConnect: number;
  };
}

/** What belongs to the process rather than to the configuration. */
export interface DataPathPlace {
  readonly credentials: ServerCredentials;
  readonly trust: ClientTrust;
  /** Null permits everything. */
  readonly policy: Policy | null;
  /** Notes that the holder of a client's certificate has a trust bundle. Never fails. */
  readonly noteBundle: (taken: BundleTaken) => void;
  /** Where certificates are issued; it may be in another process. */
  readonly desk: EnrollDesk;
  readonly identities: IdentityCounts;
  readonly limitedLog: LimitedLog;
  readonly metrics: Metrics;
}

export interface DataPathHealth {
  readonly store: boolean;
  readonly upstream: boolean;
  readonly connections: number;
  readonly locks: LockSummary;
  readonly metrics: Metrics;
}

export interface DataPath {
  /** Serves an accepted socket; `closed` is called when it has ended. */
  letIn(socket: Socket, closed: () => void): void;
  /** From the next handshake on; what is connected by an issuer that is trusted no more is cut. */
  install(credentials: ServerCredentials, trust: ClientTrust): void;
  /** From the next request on; WebSockets that it does not permit are cut. */
  setPolicy(policy: Policy | null): void;
  /** As `RevocationWatch.apply`. */
  applyRecords(causes: readonly string[]): Promise<{ readonly revision: number; readonly cut: ConnectionWork }>;
  health(): Promise<DataPathHealth>;
  /** Lets what is under way finish for at most `ms`, then cuts it, and stops. */
  drain(ms: number, hurry?: AbortSignal): Promise<void>;
  /** Stops what it started by itself; connections are not its concern. */
  stop(): Promise<void>;
}

/** Serial numbers that are remembered; when there are more, all are forgotten. */
const MOST_NOTED = 10_000;
/** How long Prefect may take to answer the gate's own questions, ms. */
const UPSTREAM_ANSWER = 10_000;
/** How long Prefect may take to accept a connection where it is asked how the gate is, ms: that answer is waited for 3 s (primary.ts). */
const UPSTREAM_ACCEPT = 2_000;

/** How often it is looked for clients that do not read, in turns of the sweep. */
const UNREAD_EVERY = 8;

/** CG_STORE_* when the records can't be read. */
export async function openDataPath(options: DataPathOptions & DataPathPlace): Promise<DataPath> {
  const { log, audit, store, metrics, limitedLog } = options;
  const live = createLiveIndex();
  const watch = await watchRevocations(store, live, log, (work, why) => {
    if (why === 'locked') metrics.locksApplied++;
    else metrics.revocationsApplied++;
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
  const asker = openAsker(
    { upstream: options.upstream, apiPath: options.apiPath },
    options.authString,
    UPSTREAM_ANSWER,
  );
  const set: ConnectionSet = { members: new Set(), now: performance.now(), draining: false };
  const state: GateState = {
    access: options.accessLog ? accessLogOf(log) : null,
    audit,
    metrics,
    watch,
    limitedLog,
    authString: options.authString,
    trust: options.trust,
    policy: options.policy,
    apiPath: options.apiPath,
    ask: asker.ask,
    lookups: openScopeLookups(asker.ask, () => performance.now()),
    noteBundle: options.noteBundle,
    desk: options.desk,
    enrolment: options.enrolment,
  };

  const read = createClientReader(options.rules, options.trustDomain, options.trust);
  const admission: AdmissionRules = {
    store,
    read: (certificate) => read.certificate(certificate),
    locks: () => watch.locks,
    unsafeUnrecorded: options.unsafeUnrecorded,
  };
  const enrolment = {
    desk: options.desk,
    policy: options.enrolment,
    admission,
    trust: () => state.trust,
    log: limitedLog,
  };
  /** Certificates that nobody has to be told of any more. */
  const noted = new Set<string>();
  const noteSeen = async (serial: string): Promise<void> => {
    if (noted.has(serial)) return;
    // Read here, where a connection is, so that the desk hears of a certificate once and not with every handshake.
    const succession = await store.unseenSuccession(serial).catch(() => undefined);
    if (succession === undefined) return;
    if (succession !== null) {
      await options.desk.seen(serial);
      return;
    }
    if (noted.size >= MOST_NOTED) noted.clear();
    noted.add(serial);
  };
  const { server, greet } = createListener({
    credentials: options.credentials,
    trust: options.trust,
    minTls: options.minTls,
    handshakeTimeout: options.limits.handshake,
    admission,
    identities: options.identities,
    live,
    watch,
    audit,
    log: limitedLog,
    metrics,
    addresses: clientAddresses({
      balancers: options.balancers,
      limits: options.limits,
      timeout: options.limits.handshake,
      log: limitedLog,
      metrics,
    }),
    limitsAddresses: Number.isFinite(options.limits.handshakesPerAddress),
    isDraining: () => set.draining,
    stranger: (socket, address, why, refuse) => receiveStranger(socket, address, why, enrolment, refuse),
    serve(socket, client, entry, tally) {
      void noteSeen(client.serial);
      const slot = requestSlot(tally, options.limits.requestsPerIdentity);
      // Given back in any case, a fault included.
      socket.once('close', () => slot.free());
      const handler = decideFor(state, client, entry.address, slot);
      entry.permitted = handler.permitted;
      entry.proxied = serveClient(socket, handler, pool, options.limits, set);
    },
  });
  const sockets = new Set<Socket>();
  let turn = 0;
  const stopSweep = sweepConnections(set, () => {
    metrics.cut += live.cutExpired(Date.now()).connections;
    if (++turn % UNREAD_EVERY === 0) metrics.cut += live.cutUnread().connections;
  });
  const stop = async (): Promise<void> => {
    stopSweep();
    pool.close();
    asker.close();
    await watch.stop();
  };

  return {
    letIn(socket, closed) {
      sockets.add(socket);
      socket.once('close', () => {
        sockets.delete(socket);
        closed();
      });
      // Asked once, Node remembers it: it can't be asked any more of a peer that has reset. This one has already.
      if (socket.remoteAddress === undefined) socket.destroy();
      else greet(socket);
    },
    install(credentials, trust) {
      read.trust(trust);
      installContext(server, secureContext(credentials, trust, options.minTls));
      state.trust = trust;
      const cut = live.cutOtherIssuers(new Set(trust.issuers));
      metrics.cut += cut.connections;
      if (cut.connections > 0) log.warn({ cut }, 'connections by an issuer that is trusted no more cut');
    },
    setPolicy(policy) {
      state.policy = policy;
      const cut = live.cutForbidden();
      metrics.cut += cut.connections;
      if (cut.connections > 0) log.warn({ cut }, 'websockets that the policy permits no more cut');
    },
    applyRecords: (causes) => watch.apply(causes),
    async health() {
      const upstream = await reachable(openUpstream, Math.min(UPSTREAM_ACCEPT, options.limits.upstreamConnect));
      return {
        store: watch.healthy,
        upstream,
        connections: live.size,
        locks: lockSummary(watch.locks, Date.now()),
        metrics: { ...metrics, ...openWork(set) },
      };
    },
    async drain(ms, hurry) {
      await drainConnections(set, ms, hurry);
      // Handshakes that never came to their end, refused peers that still read.
      for (const socket of sockets) socket.destroy();
      await stop();
    },
    stop,
  };
}
