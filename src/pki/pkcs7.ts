// Writes certificates as a PKCS#7 bundle: a SignedData that signs nothing (RFC 2315 §9.1, RFC 5652 §5.1), the form in
// which Windows, Java and appliances take a chain. The order is the caller's, leaf first, because programs print it as it
// stands; RFC 5652 §5.1 asks for no other. No key ever goes in.
import type { X509Certificate } from 'node:crypto';
import { contextConstructed, encodeOid, encodeTlv, encodeUnsigned, TAG } from './der.ts';

/** The ContentInfo with `certificates` and nothing else, DER. */
export function writePkcs7(certificates: readonly X509Certificate[]): Uint8Array {
  const signedData = encodeTlv(
    TAG.sequence,
    encodeUnsigned(Uint8Array.of(1)),
    encodeTlv(TAG.set), // no digest algorithms
    encodeTlv(TAG.sequence, encodeOid('1.2.840.113549.1.7.1')), // of no data
    encodeTlv(contextConstructed(0), ...certificates.map(({ raw }) => raw)),
    encodeTlv(TAG.set), // by no signers
  );
  return encodeTlv(TAG.sequence, encodeOid('1.2.840.113549.1.7.2'), encodeTlv(contextConstructed(0), signedData));
}
