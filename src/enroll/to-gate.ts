// How a connection to the gate is opened: where to, and by which name the gate's certificate is verified.

import { isIP } from 'node:net';
import { type ConnectionOptions, checkServerIdentity } from 'node:tls';

export interface GateName {
  /** e.g. https://gate.example:8443. */
  readonly gate: URL;
  /** The name to verify the gate's certificate against; null for the URL's host. */
  readonly serverName: string | null;
}

/** All but whom to trust, and what to show. */
export function toGate({ gate, serverName }: GateName): ConnectionOptions {
  // Without the brackets of IPv6.
  const host = gate.hostname.replace(/^\[|\]$/g, '');
  const name = serverName ?? host;
  return {
    host,
    port: gate.port === '' ? 443 : Number(gate.port),
    // An IP address is verified against the certificate's addresses and never sent as SNI (RFC 6066 §3).
    ...(isIP(name) === 0 ? { servername: name } : {}),
    // Whatever the environment says for the programs of others (NODE_TLS_REJECT_UNAUTHORIZED).
    rejectUnauthorized: true,
    checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
    ALPNProtocols: ['http/1.1'],
  };
}
