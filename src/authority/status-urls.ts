// Where the revocations of an issuer are published: what its leaves say (RFC 5280 §4.2.1.13, §4.2.2.1), what its list says
// about itself, and what the status listener serves, in one place, so that the three can't drift. Plain http, as RFC 5280
// §8 wants it: a verifier that had to verify another certificate to get at a list could go round in circles.
import type { StatusUrls } from '../pki/certificates.ts';

/** Paths below the URL, with the issuer's key identifier where there is one for each issuer. */
export const STATUS_PATHS = {
  crl: (keyId: string) => `/crl/${keyId}.crl`,
  ocsp: '/ocsp',
  issuer: (keyId: string) => `/issuer/${keyId}.crt`,
  /** The list of the issuer that issues now, for people. */
  activeCrl: '/crl.crl',
} as const;

/** How every one of them begins, and nothing that is not about certificates. */
export const STATUS_ROOTS = ['/crl', '/ocsp', '/issuer/'] as const;

/** The URLs for the issuer `keyId` below `base`, e.g. `http://gate.example:8081`. */
export function statusUrls(base: string, keyId: string): StatusUrls {
  const below = base.replace(/\/$/, '');
  return {
    crl: below + STATUS_PATHS.crl(keyId),
    ocsp: below + STATUS_PATHS.ocsp,
    caIssuers: below + STATUS_PATHS.issuer(keyId),
  };
}
