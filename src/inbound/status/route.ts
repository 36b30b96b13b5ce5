// What a request to the status listener asks for: a list, the state of certificates, or an issuer's certificate. Nothing
// else is there, whatever the path looks like. Pure: a request in, a decision out. OCSP over GET is RFC 6960 appendix A.1:
// base64 of the request behind a slash, percent-encoded or not.
import { STATUS_PATHS } from '../../authority/status-urls.ts';

export type Asked =
  /** `keyId` null for the issuer that issues now. */
  | { readonly what: 'crl'; readonly keyId: string | null }
  | { readonly what: 'issuer'; readonly keyId: string }
  /** `octets` null for those in the body. */
  | { readonly what: 'ocsp'; readonly octets: Uint8Array | null }
  | { readonly what: 'nothing'; readonly status: 400 | 404 }
  /** `allow` as the header of that name has it. */
  | { readonly what: 'method'; readonly allow: string };

const KEY_ID = '[0-9a-f]{8,128}';
const CRL = new RegExp(`^${STATUS_PATHS.crl(`(${KEY_ID})`)}$`);
const ISSUER = new RegExp(`^${STATUS_PATHS.issuer(`(${KEY_ID})`)}$`);
const NOTHING = { what: 'nothing', status: 404 } as const;

/** `target` is in origin form. */
export function askedFor(method: string, target: string): Asked {
  const reads = method === 'GET' || method === 'HEAD';
  const readOnly = (asked: Asked): Asked => (reads ? asked : { what: 'method', allow: 'GET, HEAD' });
  if (target === STATUS_PATHS.activeCrl) return readOnly({ what: 'crl', keyId: null });
  const [, crl] = CRL.exec(target) ?? [];
  if (crl !== undefined) return readOnly({ what: 'crl', keyId: crl });
  const [, issuer] = ISSUER.exec(target) ?? [];
  if (issuer !== undefined) return readOnly({ what: 'issuer', keyId: issuer });
  if (target === STATUS_PATHS.ocsp || target === `${STATUS_PATHS.ocsp}/`) {
    return method === 'POST' ? { what: 'ocsp', octets: null } : { what: 'method', allow: 'POST' };
  }
  if (!target.startsWith(`${STATUS_PATHS.ocsp}/`)) return NOTHING;
  if (!reads) return { what: 'method', allow: 'GET, HEAD' };
  const octets = octetsIn(target.slice(STATUS_PATHS.ocsp.length + 1));
  return octets === null ? { what: 'nothing', status: 400 } : { what: 'ocsp', octets };
}

/** Base64 in its one form; with the slashes, pluses and equals signs as they are or percent-encoded. */
function octetsIn(text: string): Uint8Array | null {
  const base64 = text.replace(/%(2[bBfF]|3[dD])/g, (triplet) => decodeURIComponent(triplet));
  const octets = Buffer.from(base64, 'base64');
  return octets.length > 0 && octets.toString('base64') === base64 ? octets : null;
}
