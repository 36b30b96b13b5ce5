// Why a request is given no certificate, although its connection shows one: it may be somebody else's, who could only make
// the connection's owner send it. A browser sends what a page of another site makes it send (browser.ts); a sidecar, what
// anybody sends it who can reach its port.

import type { RequestHead } from '../http1/request-head.ts';
import { crossSite } from './browser.ts';

/** Null for a request that the holder of the certificate made himself. */
export function heldBack(head: RequestHead): { readonly code: string; readonly detail: string } | null {
  const foreign = crossSite(head, true);
  if (foreign !== null) return { code: 'CG_REQUEST_CROSS_SITE', detail: foreign };
  // Sidecars say this of every request that they pass on, and let no client say or unsay it (outbound/forward.ts). Whoever
  // can reach a sidecar's port may act by its certificate there, and must not be able to carry one away.
  if (!head.names.includes('x-certgate-client-proto')) return null;
  const detail = 'a certificate is renewed by its holder, not through its sidecar';
  return { code: 'CG_RENEW_THROUGH_SIDECAR', detail };
}
