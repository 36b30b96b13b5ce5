// The outbound sidecar: a plain HTTP listener on loopback or a unix socket, for a Prefect client that knows no client
// certificates, and kept mutual-TLS connections to the gate. It verifies the gate against its trust bundle and name.

import { createServer, type OnReadOpts } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { limitLog } from '../observe/limited-log.ts';
import { certificatesIn } from '../pki/chain.ts';
import { bind, drainConnections, serveClient, sweepConnections } from '../proxy/connection-set.ts';
import type { Limits } from '../proxy/contract.ts';
import { limitToDescriptors } from '../proxy/descriptors.ts';
import { type ConnectionSet, openWork } from '../proxy/open-connections.ts';
import { openUpstreamPool } from '../proxy/upstream-pool.ts';
import { connectToGate } from './connect-gate.ts';
import type { Credentials } from './credentials.ts';
import { forwardTo } from './forward.ts';
import { type IdentityOptions, type KeptIdentity, keepIdentity } from './kept-identity.ts';
import { type SidecarPlace, urlOf } from './place.ts';
import { createSidecarState, type SidecarState } from './sidecar-state.ts';

export interface SidecarOptions extends IdentityOptions {
  /** Where the Prefect client connects. Port 0 for a free one. */
  readonly listen: SidecarPlace;
  readonly allowedHosts: readonly string[];
  readonly accessLog: boolean;
  readonly limits: Limits & { readonly upstreamIdle: number; readonly upstreamConnect: number };
}

export interface SidecarHealth {
  /** It has not ended. */
  readonly certificate: boolean;
  /** A certificate of the trust bundle has not ended. */
  readonly trust: boolean;
  /** As in SidecarState. */
  readonly gate: boolean;
  /** As in KeptIdentity. */
  readonly filesRefused: boolean;
  /** When the certificate began, ms since the epoch. */
  readonly begins: number;
  /** ms since the epoch; `trust`: when the last certificate of the bundle does. */
  readonly ends: { readonly identity: number; readonly trust: number };
  /** Clients connected, requests in flight and WebSockets open now. */
  readonly open: { readonly connections: number; readonly requestsOpen: number; readonly tunnels: number };
  /** As it was when this was asked for. */
  readonly state: SidecarState;
}

export interface RunningSidecar {
  /** What PREFECT_API_URL is made of, e.g. http://127.0.0.1:4210; `unix:/path` for a unix socket. */
  readonly url: string;
  readonly credentials: () => Credentials;
  /** What time it is for the gate, as far as is known here, ms since the epoch. */
  readonly gateNow: () => number;
  /** Where the gate was not there, or refused the certificate, it is asked again, soon. */
  readonly health: () => SidecarHealth;
  /** Takes no more connections, lets requests in flight finish for at most `ms`, then cuts them. */
  drain(ms: number, hurry?: AbortSignal): Promise<void>;
}

/** Starts a sidecar and resolves when it listens. CG_CREDENTIALS, CG_PASSPHRASE, CG_LISTEN. */
export async function startSidecar(options: SidecarOptions): Promise<RunningSidecar> {
  const state = createSidecarState();
  const identity = await keepIdentity(options, () => pool.refresh(), state);
  const pool = openUpstreamPool({
    connect: (onread) => {
      const tls: ConnectionOptions & { readonly allowHalfOpen: boolean; readonly onread: OnReadOpts } = {
        secureContext: identity.current.context,
        // Not in the types of tls.connect, but documented there: a tunnel's half-close is passed on.
        allowHalfOpen: true,
        onread,
      };
      return connectToGate(options, state.counts, tls);
    },
    readyEvent: 'secureConnect',
    idle: options.limits.upstreamIdle,
    connectTimeout: options.limits.upstreamConnect,
  });
  const limitedLog = limitLog(options.log);
  const handler = forwardTo({
    log: options.log,
    limitedLog,
    accessLog: options.accessLog,
    gate: options.gate.origin,
    allowedHosts: options.allowedHosts,
    ended: () => endedWords(identity, options.again),
    refused: () => identity.doubt(),
    state,
  });
  const set: ConnectionSet = { members: new Set(), now: performance.now(), draining: false };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    serveClient(socket, handler, pool, options.limits, set);
  });
  limitToDescriptors(server, (most) => {
    state.counts.limitedConnections++;
    limitedLog.say('error', 'descriptors', { most }, 'connections refused: no more file descriptors for them');
  });
  const stopSweep = sweepConnections(set, () => {});
  const stop = async (): Promise<void> => {
    stopSweep();
    await identity.stop();
    limitedLog.close();
    pool.close();
  };
  let url: string;
  try {
    url = urlOf(options.listen, await bind(server, options.listen));
  } catch (error) {
    server.close();
    await stop();
    throw error;
  }
  return {
    url,
    credentials: () => identity.current,
    gateNow: () => identity.now(),
    health() {
      if (!state.gate) identity.doubt();
      return healthOf(identity, state, set);
    },
    async drain(ms, hurry) {
      server.close();
      await drainConnections(set, ms, hurry);
      await stop();
    },
  };
}

function healthOf(
  { current, now, filesRefused }: KeptIdentity,
  state: SidecarState,
  set: ConnectionSet,
): SidecarHealth {
  const trusted = certificatesIn(current.ca).map(({ validToDate }) => validToDate.getTime());
  const ends = { identity: current.notAfter, trust: Math.max(0, ...trusted) };
  return {
    certificate: now() < ends.identity,
    trust: now() < ends.trust,
    gate: state.gate,
    filesRefused,
    begins: current.certificate.validFromDate.getTime(),
    ends,
    open: { connections: set.members.size, ...openWork(set) },
    state: structuredClone(state),
  };
}

/** What is said once a certificate has ended that a person has to come again for; null before, and for others. */
function endedWords({ current, now }: KeptIdentity, again: string | null): string | null {
  const { certificate, notAfter } = current;
  if (again === null || now() < notAfter) return null;
  return `the login ended at ${certificate.validToDate.toISOString()}: log in again with ${again}, on the machine of this sidecar`;
}
