// The signature that a trust bundle travels with: by an issuer that the bundle before it vouches for, so that whoever has
// stolen no more than a gate's own key can't plant a root of his; nor bring back one that is trusted no more, because the
// bundle's number, which grows with each change, is signed too. What is signed names its purpose, and is no structure
// that any other signature of a CA covers: it begins with `certgate`, and DER begins with 0x30.
import { createHash, verify, type X509Certificate } from 'node:crypto';
import { type Signer, signingAlgorithmOf } from './signing.ts';

/** A bundle as it travels. */
export interface NumberedBundle {
  /** PEM. */
  readonly pem: string;
  /** The moment of the change that made it, ms since the epoch; larger than that of every bundle of this CA before it. */
  readonly number: number;
}

/** What is signed for the bundle with this number and SHA-256, hex. */
export function bundleStatement(bundleId: string, number: number): Uint8Array {
  return Buffer.from(`certgate trust bundle 2\n${number}\n${bundleId}\n`, 'latin1');
}

/** What `bundleStatement` has made of what; null for anything else. */
export function readBundleStatement(
  content: Uint8Array,
): { readonly bundleId: string; readonly number: number } | null {
  const text = Buffer.from(content).toString('latin1');
  const [, digits = '', bundleId = ''] =
    /^certgate trust bundle 2\n([1-9]\d{0,15})\n([0-9a-f]{64})\n$/.exec(text) ?? [];
  const number = Number(digits);
  return bundleId !== '' && Number.isSafeInteger(number) ? { bundleId, number } : null;
}

/** The signature over the bundle, base64. What the signer throws. */
export async function signBundle({ pem, number }: NumberedBundle, signer: Signer): Promise<string> {
  return Buffer.from(await signer.sign(bundleStatement(bundleIdOf(pem), number))).toString('base64');
}

/**
 * Whether `signature` (base64) over the bundle is by one of `known`, or by a CA among `offered` that chains to one of `known`:
 * below a company's CA an issuer may come with another CA between. Validity in time is not asked: a bundle has to reach
 * those, too, whose clock is wrong.
 */
export function bundleIsSigned(
  { pem, number }: NumberedBundle,
  signature: string,
  known: readonly X509Certificate[],
  offered: readonly X509Certificate[],
): boolean {
  const statement = bundleStatement(bundleIdOf(pem), number);
  const octets = Buffer.from(signature, 'base64');
  return vouchedBy(known, offered).some(({ publicKey }) => {
    try {
      return verify(signingAlgorithmOf(publicKey).hash, statement, publicKey, octets);
    } catch {
      return false; // a key of a kind that signs nothing of ours
    }
  });
}

/** The CAs of `known`, and those of `offered` that one of them, or of these, has signed. */
function vouchedBy(known: readonly X509Certificate[], offered: readonly X509Certificate[]): readonly X509Certificate[] {
  const vouched = known.filter((one) => one.ca);
  let waiting = offered.filter((one) => one.ca);
  // What is pushed meanwhile is gone through as well.
  for (const above of vouched) {
    const isBelow = (one: X509Certificate): boolean => one.checkIssued(above) && one.verify(above.publicKey);
    vouched.push(...waiting.filter(isBelow));
    waiting = waiting.filter((one) => !vouched.includes(one));
  }
  return vouched;
}

/** Which bundle it is: SHA-256 of its PEM text, hex. */
export function bundleIdOf(bundlePem: string): string {
  return createHash('sha256').update(bundlePem).digest('hex');
}
