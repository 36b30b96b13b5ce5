// The signature that a trust bundle travels with: by an issuer that the bundle before it vouches for, so that whoever has
// stolen no more than a gate's own key can't plant a root of his. What is signed names its purpose, and is no structure
// that any other signature of a CA covers: it begins with `certgate`, and DER begins with 0x30.
import { createHash, verify, type X509Certificate } from 'node:crypto';
import { type Signer, signingAlgorithmOf } from './signing.ts';

/** What is signed for the bundle with this SHA-256, hex. */
export function bundleStatement(bundleId: string): Uint8Array {
  return Buffer.from(`certgate trust bundle 1\n${bundleId}\n`, 'latin1');
}

/** The signature over `bundlePem`, base64. What the signer throws. */
export async function signBundle(bundlePem: string, signer: Signer): Promise<string> {
  return Buffer.from(await signer.sign(bundleStatement(bundleIdOf(bundlePem)))).toString('base64');
}

/**
 * Whether `signature` (base64) over `bundlePem` is by one of `known`, or by a CA among `offered` that one of `known` has
 * signed. Validity in time is not asked: a bundle has to reach those, too, whose clock is wrong.
 */
export function bundleIsSigned(
  bundlePem: string,
  signature: string,
  known: readonly X509Certificate[],
  offered: readonly X509Certificate[],
): boolean {
  const statement = bundleStatement(bundleIdOf(bundlePem));
  const octets = Buffer.from(signature, 'base64');
  const vouched = offered.filter(
    (one) => one.ca && known.some((other) => other.ca && one.checkIssued(other) && one.verify(other.publicKey)),
  );
  return [...known.filter((one) => one.ca), ...vouched].some(({ publicKey }) => {
    try {
      return verify(signingAlgorithmOf(publicKey).hash, statement, publicKey, octets);
    } catch {
      return false; // a key of a kind that signs nothing of ours
    }
  });
}

/** Which bundle it is: SHA-256 of its PEM text, hex. */
export function bundleIdOf(bundlePem: string): string {
  return createHash('sha256').update(bundlePem).digest('hex');
}
