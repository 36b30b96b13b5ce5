// Writes a key as a JSON Web Key (RFC 7517; RFC 7518 §6 and RFC 8037 for its members) with its certificates: `x5c`, and
// `x5t#S256` by which JOSE libraries find it. Private members go in only when the private key itself is handed over.
import { createHash, type KeyObject, type X509Certificate } from 'node:crypto';

/** The JWK of `key` (private or public) for the first certificate of `chain`, which must be its own. */
export function writeJwk(
  key: KeyObject,
  chain: readonly [X509Certificate, ...X509Certificate[]],
): Readonly<Record<string, unknown>> {
  return {
    ...key.export({ format: 'jwk' }),
    x5c: chain.map(({ raw }) => raw.toString('base64')),
    'x5t#S256': createHash('sha256').update(chain[0].raw).digest('base64url'),
  };
}
