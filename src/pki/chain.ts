// Puts certificates into the order in which one signed the next, by names, key identifiers and the signatures themselves.
// It says what belongs together and not who is trusted: verification of a peer's chain is OpenSSL's (DESIGN.md).
import { X509Certificate } from 'node:crypto';
import { pemBlocks } from './pem.ts';

export interface Chain {
  /** The leaf, its issuer, and so on. */
  readonly certificates: readonly [X509Certificate, ...X509Certificate[]];
  /** Whether the last one signed itself. */
  readonly complete: boolean;
}

/**
 * The certificates of a PEM text in their order, at least one, as Node takes them; facts.ts reads them more strictly. CG_PEM, and
 * Node's own error where one can't be read.
 */
export function certificatesIn(pem: string): readonly X509Certificate[] {
  return pemBlocks(pem, 'CERTIFICATE').map((der) => new X509Certificate(der));
}

/** The way from `leaf` upwards through `others`, as far as they reach. Each signature on it has been verified. */
export function chainOf(leaf: X509Certificate, others: readonly X509Certificate[]): Chain {
  const certificates: [X509Certificate, ...X509Certificate[]] = [leaf];
  for (let last = leaf; !isSignedBy(last, last); ) {
    const issuer = others.find((one) => isSignedBy(last, one) && !isAmong(certificates, one));
    if (issuer === undefined) return { certificates, complete: false };
    certificates.push(issuer);
    last = issuer;
  }
  return { certificates, complete: true };
}

/** Whether the same certificate, octet for octet, is among them. */
export function isAmong(certificates: readonly X509Certificate[], wanted: X509Certificate): boolean {
  return certificates.some(({ raw }) => raw.equals(wanted.raw));
}

/** Whether `issuer` has signed it, by its names, key identifiers and the signature itself. */
export function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
