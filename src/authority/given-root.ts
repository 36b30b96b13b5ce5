// A company's own CA above certgate's issuer: reads the chain that a person names, from the certificate that signs the
// issuer up to its root, and checks that it can carry one: each signed by the next, all CAs in their time, path lengths
// that leave room (RFC 5280 §4.2.1.9), a key usage that signs certificates. Nobody's root is trusted by mistake.
import type { X509Certificate } from 'node:crypto';
import { CertgateError, isCertgateError } from '../errors.ts';
import { type Issuer, issuerOf, type Signer } from '../pki/certificates.ts';
import { chainOf, isSignedBy } from '../pki/chain.ts';
import { readCertificates } from '../pki/facts.ts';
import { keyIdOf } from '../pki/keys.ts';
import { onOneLine } from '../pki/names.ts';
import type { CaRecord } from '../store/store.ts';
import { type FitFor, requireAbove } from './ca-fitness.ts';

export interface GivenChain {
  /** From whoever signs the issuer up to the root, which is the last. */
  readonly certificates: readonly X509Certificate[];
  /** Key identifier of the first. */
  readonly signer: string;
}

/**
 * Reads and checks `chainPem` (PEM, in any order).
 * @throws CG_CA_GIVEN
 */
export async function readGivenChain(chainPem: string, fit: FitFor): Promise<GivenChain> {
  const { file } = fit;
  const certificates = certificatesIn(chainPem, file);
  if (certificates.length === 0 || certificates.length > 10) {
    throw given(file, 'holds no certificates, or more than ten');
  }
  const [lowest, ...alsoLowest] = certificates.filter(
    (one) => !certificates.some((other) => other !== one && isSignedBy(other, one)),
  );
  if (lowest === undefined || alsoLowest.length > 0) {
    throw given(file, `holds ${certificates.length} certificates that are not one chain`);
  }
  const { certificates: chain, complete } = chainOf(lowest, certificates);
  if (!complete) {
    const top = chain.at(-1) ?? lowest;
    throw given(file, `contains no root: whoever signed ${onOneLine(top.subject)} is not in it`);
  }
  if (chain.length !== certificates.length) throw given(file, 'holds certificates that are not of the chain');
  for (const [depth, certificate] of chain.entries()) await requireAbove(certificate, depth + 1, fit);
  return { certificates: chain, signer: keyIdOf(lowest) };
}

/** The chain's first certificate with what signs for it. CG_CA_GIVEN when `signer` is another key's. */
export function givenIssuer({ certificates }: GivenChain, signer: Signer, keyFile: string): Issuer {
  const [first = raise(keyFile)] = certificates;
  try {
    return issuerOf(first.raw, signer);
  } catch (error) {
    if (!isCertgateError(error, 'CG_KEY_MISMATCH')) throw error;
    throw given(keyFile, `is not the key of ${onOneLine(first.subject)}`, KEY_REMEDY);
  }
}

/** The chain as active records of generations from `generation` on: its root, and what is between. */
export function givenRecords(
  { certificates }: GivenChain,
  at: { readonly root: number; readonly intermediate: number; readonly now: number },
): readonly CaRecord[] {
  return certificates
    .map((certificate, i): CaRecord => {
      const above = certificates[i + 1];
      const isRoot = above === undefined;
      return {
        keyId: keyIdOf(certificate),
        role: isRoot ? 'root' : 'intermediate',
        generation: isRoot ? at.root : at.intermediate + certificates.length - 2 - i,
        parent: keyIdOf(above ?? certificate),
        state: 'active',
        der: certificate.raw,
        addedAt: at.now,
        changedAt: at.now,
      };
    })
    .toReversed();
}

/** The certificates of a file. CG_CA_GIVEN where it has one that cannot be read. */
export function certificatesIn(pem: string, file: string): readonly X509Certificate[] {
  try {
    return readCertificates(pem);
  } catch (error) {
    if (!isCertgateError(error)) throw error;
    throw given(file, `cannot be read: ${error.message}`);
  }
}

/** For a key that is none, or another's. */
export const KEY_REMEDY =
  "name that certificate's key with --root-key FILE, or omit it: then init makes a request to be signed elsewhere";

export function given(file: string, problem: string, remedy?: string): CertgateError {
  return new CertgateError('CG_CA_GIVEN', { file, problem, ...(remedy === undefined ? {} : { remedy }) });
}

function raise(file: string): never {
  throw given(file, 'holds no certificate');
}
