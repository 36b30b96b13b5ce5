// The outbound sidecar: a plain HTTP listener on loopback or a unix socket, for a Prefect client that knows no client
// certificates, and kept mutual-TLS connections to the gate. It verifies the gate against its trust bundle and name.

import { createServer, isIP, type OnReadOpts } from 'node:net';
import { type ConnectionOptions, checkServerIdentity, connect as connectTls, type SecureContext } from 'node:tls';
import { openBundleNumber } from '../enroll/bundle-number.ts';
import { limitLog } from '../observe/limited-log.ts';
import type { Log } from '../observe/log.ts';
import { bind, type ConnectionSet, drainConnections, serveClient, sweepConnections } from '../proxy/connection-set.ts';
import type { Limits } from '../proxy/contract.ts';
import { limitToDescriptors } from '../proxy/descriptors.ts';
import { openUpstreamPool } from '../proxy/upstream-pool.ts';
import { type CredentialFiles, type Credentials, watchCredentials } from './credentials.ts';
import { forwardTo } from './forward.ts';
import { followRenewal } from './renewal.ts';
import { followTrust } from './trust-bundle.ts';

export interface SidecarOptions {
  /** Where the Prefect client connects. Port 0 for a free one. */
  readonly listen: { readonly host: string; readonly port: number } | { readonly path: string };
  /** The gate, e.g. https://gate.example:8443. */
  readonly gate: URL;
  readonly files: CredentialFiles;
  readonly trust: {
    /** How often the gate is asked for its trust bundle, ms. */
    readonly interval: number;
    /** Whether a new one may be written to `files.ca`. */
    readonly write: boolean;
  };
  /** The folder of `files` when its certificate is to be renewed from here, absolute; null when that is somebody else's. */
  readonly renewIn: string | null;
  /** See RenewalFollowing. */
  readonly enrollAgain: (() => Promise<void>) | null;
  /** The name to verify the gate's certificate against; null for the URL's host. */
  readonly serverName: string | null;
  readonly allowedHosts: readonly string[];
  readonly log: Log;
  readonly accessLog: boolean;
  readonly limits: Limits & { readonly upstreamIdle: number; readonly upstreamConnect: number };
}

export interface RunningSidecar {
  /** What PREFECT_API_URL is made of, e.g. http://127.0.0.1:4210; `unix:/path` for a unix socket. */
  readonly url: string;
  readonly credentials: () => Credentials;
  /** Takes no more connections, lets requests in flight finish for at most `ms`, then cuts them. */
  drain(ms: number, hurry?: AbortSignal): Promise<void>;
}

/** The address to connect to and the name to verify: a URL's host without the brackets of IPv6. */
export function gateAddress(gate: URL): { readonly host: string; readonly port: number } {
  return { host: gate.hostname.replace(/^\[|\]$/g, ''), port: gate.port === '' ? 443 : Number(gate.port) };
}

/** Starts a sidecar and resolves when it listens. CG_CREDENTIALS, CG_PASSPHRASE, CG_LISTEN. */
export async function startSidecar(options: SidecarOptions): Promise<RunningSidecar> {
  const { host, port } = gateAddress(options.gate);
  const name = options.serverName ?? host;
  const credentials = await watchCredentials(options.files, options.log, () => pool.refresh());
  const toGate = (context: SecureContext): ConnectionOptions => ({
    host,
    port,
    secureContext: context,
    // An IP address is verified against the certificate's addresses and never sent as SNI (RFC 6066 §3).
    ...(isIP(name) === 0 ? { servername: name } : {}),
    checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
    ALPNProtocols: ['http/1.1'],
  });
  const pool = openUpstreamPool({
    connect: (onread) => {
      const tls: ConnectionOptions & { readonly allowHalfOpen: boolean; readonly onread: OnReadOpts } = {
        ...toGate(credentials.current.context),
        // Not in the types of tls.connect, but documented there: a tunnel's half-close is passed on.
        allowHalfOpen: true,
        onread,
      };
      return connectTls(tls);
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
  });
  const set: ConnectionSet = { members: new Set(), now: performance.now(), draining: false };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    serveClient(socket, handler, pool, options.limits, set);
  });
  limitToDescriptors(server, (most) => {
    limitedLog.say('error', 'descriptors', { most }, 'connections refused: no more file descriptors for them');
  });
  const stopSweep = sweepConnections(set, () => {});
  const stopTrust = followTrust({
    host: options.gate.host,
    interval: options.trust.interval,
    current: () => credentials.current.ca,
    connect: (bundle) => connectTls(toGate(credentials.current.contextWith(bundle))),
    take: (bundle) => credentials.trust(bundle, options.trust.write),
    number: openBundleNumber(options.trust.write ? options.files.ca : null, options.log),
    log: options.log,
  });
  const { renewIn } = options;
  const stopRenewal =
    renewIn === null
      ? null
      : followRenewal({
          dir: renewIn,
          host: options.gate.host,
          current: () => credentials.current,
          look: () => credentials.look(),
          keyText: (key) => credentials.keyText(key),
          connect: () => connectTls(toGate(credentials.current.context)),
          enrollAgain: options.enrollAgain,
          log: options.log,
        });
  const stop = async (): Promise<void> => {
    stopSweep();
    stopTrust();
    await stopRenewal?.();
    credentials.stop();
    limitedLog.close();
    pool.close();
  };
  try {
    await bind(server, options.listen);
  } catch (error) {
    await stop();
    throw error;
  }
  const bound = server.address();
  const shownHost = 'host' in options.listen && isIP(options.listen.host) === 6 ? `[${options.listen.host}]` : null;
  return {
    url:
      'path' in options.listen
        ? `unix:${options.listen.path}`
        : `http://${shownHost ?? options.listen.host}:${typeof bound === 'object' && bound !== null ? bound.port : 0}`,
    credentials: () => credentials.current,
    async drain(ms, hurry) {
      server.close();
      await drainConnections(set, ms, hurry);
      await stop();
    },
  };
}
