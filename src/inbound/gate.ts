// The inbound sidecar in one process: the door, the way behind it, and the gate's own certificate, taken up and down again
// in order. Everything it needs is given to it; it reads no configuration and prints nothing.

import type { LockSummary } from '../authority/lock-table.ts';
import { openDesk } from '../enroll/desk.ts';
import { limitLog } from '../observe/limited-log.ts';
import { addMetrics, createMetrics, type Metrics } from '../observe/metrics.ts';
import { bindTcp, type PassedSocket, type TcpAddress } from '../proxy/connection-set.ts';
import type { ConnectionWork } from '../proxy/open-connections.ts';
import { noteBundlesIn } from './bundle-notes.ts';
import { balancersIn } from './client-address.ts';
import { type DataPathOptions, openDataPath } from './data-path.ts';
import { createDoor } from './door.ts';
import { DoorCounts, type DoorLimits } from './door-counts.ts';
import type { EnrolmentListener, EnrolmentPlace } from './enrolment-listener.ts';
import { countIdentities } from './identity-counts.ts';
import { type PolicyPlace, watchPolicy } from './policy-watch.ts';
import { type CertificateEnds, openStandingCredentials, type StandingOptions } from './standing-credentials.ts';

export interface GateOptions extends DataPathOptions, StandingOptions {
  /** Port 0 for a free one. */
  readonly listen: TcpAddress | PassedSocket;
  /** Null for no policy: every client that is admitted may do everything. */
  readonly policy: PolicyPlace | null;
  /** The listener for enrolment alone; null, or left out, for none. */
  readonly enrolmentPlace?: EnrolmentPlace | null;
  readonly limits: DataPathOptions['limits'] & DoorLimits & { readonly connectionsPerIdentity: number };
}

export interface GateHealth {
  readonly status: 'ok' | 'degraded';
  readonly store: boolean;
  readonly audit: boolean;
  readonly upstream: boolean;
  /** Each process that should serve does, and says so in time. */
  readonly workers: boolean;
  readonly connections: number;
  readonly locks: LockSummary;
  readonly metrics: Metrics;
  readonly ends: CertificateEnds;
}

export interface RunningGate {
  /** As the listener reports it. */
  readonly host: string;
  readonly port: number;
  /** Applies every revocation and lock committed so far and says what was cut on account of `causes`. */
  applyRecords(causes: readonly string[]): Promise<{
    readonly revision: number;
    readonly cut: ConnectionWork;
    /** Worker processes that did not confirm in time, and were ended for that; not said by a gate without any. */
    readonly workersEnded?: number;
  }>;
  /** Within a few seconds, whatever hangs. */
  health(): Promise<GateHealth>;
  /** Connections that were accepted and are not closed, in their handshake or after it. */
  readonly open: () => number;
  /** Reads the policy anew, now; null when there is none. */
  readonly reloadPolicy: (() => void) | null;
  /** Takes no more connections, lets what is under way finish for at most `ms`, then cuts it. */
  drain(ms: number, hurry?: AbortSignal): Promise<void>;
}

/** Starts a gate and resolves when it listens. CG_STORE_*, CG_AUDIT_*, CG_LISTEN. */
export async function startGate(options: GateOptions): Promise<RunningGate> {
  const { log, audit } = options;
  const metrics = createMetrics();
  const limitedLog = limitLog(log);
  const { authority } = options;
  const standing = await openStandingCredentials(options);
  const noteBundle = noteBundlesIn(options.store, limitedLog);
  const desk = openDesk({ authority, store: options.store, policy: options.enrolment, log: limitedLog, metrics });
  const identities = countIdentities(options.limits.connectionsPerIdentity);
  const path = await openDataPath({
    ...options,
    ...standing.current,
    policy: options.policy?.loaded.policy ?? null,
    noteBundle,
    desk,
    identities,
    limitedLog,
    metrics,
  });
  const counts = new DoorCounts(options.limits, balancersIn(options.balancers));
  const door = createDoor({
    counts,
    log: limitedLog,
    metrics,
    letIn: (socket, address) => path.letIn(socket, () => counts.leave(address)),
  });
  let enrolling: EnrolmentListener | null = null;
  let at: TcpAddress;
  const policyWatch =
    options.policy === null
      ? null
      : watchPolicy(options.policy, { log, metrics }, ({ policy }) => path.setPolicy(policy));
  try {
    enrolling = await enrolmentListenerOf(options, { desk, limitedLog, standing: standing.current });
    at = await bindTcp(door, options.listen);
  } catch (error) {
    policyWatch?.stop();
    limitedLog.close();
    await enrolling?.stop();
    await path.stop();
    throw error;
  }
  // Not before all are there who must be told.
  const stopStanding = standing.keep((fresh) => {
    path.install(fresh.credentials, fresh.trust);
    enrolling?.install(fresh);
  });
  return {
    ...at,
    applyRecords: (causes) => path.applyRecords(causes),
    open: () => counts.open,
    reloadPolicy: policyWatch?.reload ?? null,
    async health() {
      const health = await path.health();
      const ok = health.store && audit.healthy() && health.upstream;
      const all = addMetrics(health.metrics, enrolling?.metrics() ?? null);
      return {
        status: ok ? 'ok' : 'degraded',
        audit: audit.healthy(),
        ...health,
        workers: true,
        metrics: all,
        ends: standing.ends(),
      };
    },
    async drain(ms, hurry) {
      door.close();
      await enrolling?.stop();
      await path.drain(ms, hurry);
      policyWatch?.stop();
      stopStanding();
      limitedLog.close();
    },
  };
}

/** The listener for enrolment alone, where one is configured: loaded only then. */
export async function enrolmentListenerOf(
  options: GateOptions,
  shared: Parameters<typeof import('./enrolment-listener.ts').startEnrolmentListener>[2],
): Promise<EnrolmentListener | null> {
  const place = options.enrolmentPlace ?? null;
  if (place === null) return null;
  const { startEnrolmentListener } = await import('./enrolment-listener.ts');
  return startEnrolmentListener(place, options, shared);
}
