// How a connection to the gate is opened: where to, and by which name the gate's certificate is verified.

import { isIP } from 'node:net';
import { type ConnectionOptions, checkServerIdentity, type SecureContext } from 'node:tls';

export interface GateName {
  /** e.g. https://gate.example:8443. */
  readonly gate: URL;
  /** The name to verify the gate's certificate against; null for the URL's host. */
  readonly serverName: string | null;
}

/** The address to connect to and the name to verify: a URL's host without the brackets of IPv6. */
export function gateAddress(gate: URL): { readonly host: string; readonly port: number } {
  return { host: gate.hostname.replace(/^\[|\]$/g, ''), port: gate.port === '' ? 443 : Number(gate.port) };
}

export function toGate({ gate, serverName }: GateName, context: SecureContext): ConnectionOptions {
  const { host, port } = gateAddress(gate);
  const name = serverName ?? host;
  return {
    host,
    port,
    secureContext: context,
    // An IP address is verified against the certificate's addresses and never sent as SNI (RFC 6066 §3).
    ...(isIP(name) === 0 ? { servername: name } : {}),
    checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
    ALPNProtocols: ['http/1.1'],
  };
}
