// How the trust bundle reaches every connected client by itself: a sidecar asks the gate for it over its own connection,
// saying which one it has (If-None-Match with the bundle's SHA-256); who asks with the present one is known to have it.
// The bundle is public; what makes it trustworthy is the connection it comes by, which the old bundle has verified, and
// the signature of an issuer that the old bundle vouches for, over its number, too. Both are told with a 304 as well: so a
// sidecar learns the number of the bundle that it has.

import type { RequestHead } from '../http1/request-head.ts';
import type { Answer } from '../proxy/contract.ts';
import type { ClientTrust } from './server-certificate.ts';

/** The id of the bundle that the client says it has; null when it says nothing. */
export function bundleHeld(head: RequestHead): string | null {
  const at = head.names.indexOf('if-none-match');
  return /^"([0-9a-f]{64})"$/.exec(at < 0 ? '' : (head.values[at] ?? ''))?.[1] ?? null;
}

/** The bundle as a stranger has it, who believes it by a root's fingerprint only. */
export function bundleContent({ bundlePem: text, bundleId }: ClientTrust) {
  return { type: 'application/pem-certificate-chain', text, extra: `etag: "${bundleId}"\r\n` };
}

/** The bundle, or 304 when the client has it. */
export function bundleAnswer(trust: ClientTrust, held: string | null): Answer {
  const { type, text, extra } = bundleContent(trust);
  return {
    kind: 'answer',
    status: held === trust.bundleId ? 304 : 200,
    detail: '',
    body: { type, text },
    extra: `${extra}x-certgate-bundle-number: ${trust.bundleNumber}\r\nx-certgate-signature: ${trust.bundleSignature}\r\n`,
    close: false,
    recorded: null,
  };
}
