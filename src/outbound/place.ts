// Where an outbound sidecar listens, and where its clients find it. Whoever reaches it uses its certificate: a socket that was
// passed to it, bound by others, serves only where it is on loopback, unless somebody has said that it may be elsewhere.

import type { AddressInfo } from 'node:net';
import { bracketed, isLoopback } from '../config/address.ts';
import { CertgateError } from '../errors.ts';
import type { PassedSocket, TcpAddress } from '../proxy/connection-set.ts';

export type SidecarPlace = TcpAddress | { readonly path: string } | (PassedSocket & { readonly loopbackOnly: boolean });

/** Where clients find it, once it listens; `bound` is null for a unix socket. CG_UNSAFE_LISTEN. */
export function urlOf(place: SidecarPlace, bound: AddressInfo | null): string {
  if ('path' in place) return `unix:${place.path}`;
  if (bound === null) return 'fd' in place ? place.name : place.host;
  const at = `${bracketed('host' in place ? place.host : bound.address)}:${bound.port}`;
  if ('fd' in place && place.loopbackOnly && !isLoopback(bound.address)) {
    throw new CertgateError('CG_UNSAFE_LISTEN', { address: `${at} (${place.name})` });
  }
  return `http://${at}`;
}
