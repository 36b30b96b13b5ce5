// What a certificate revocation list says (RFC 5280 §5), as plain values for `certgate inspect`. Its signature is not
// checked here: a list that certgate acts on is its own.
import { printName, readName } from './names.ts';
import { signatureNames } from './oids.ts';
import { derOf } from './pem.ts';
import { readCrlEntry, readCrlFrame, unlessUnreadable } from './read-crl.ts';

export interface CrlDescription {
  readonly kind: 'crl';
  readonly issuer: string;
  readonly thisUpdate: string;
  readonly nextUpdate: string | null;
  /** CRL number, hex. */
  readonly number: string | null;
  readonly authorityKeyId: string | null;
  readonly signatureAlgorithm: string;
  /** How many certificates it revokes. */
  readonly revoked: number;
  /** The first 1,000 of them. */
  readonly entries: readonly RevokedEntry[];
}

export interface RevokedEntry {
  readonly serial: string;
  readonly revokedAt: string;
  readonly reason: string | null;
}

const MOST_ENTRIES = 1000;

/** A CRL, PEM or DER. CG_CRL_UNREADABLE. */
export function describeCrl(pemOrDer: string | Uint8Array): CrlDescription {
  return unlessUnreadable(() => {
    const frame = readCrlFrame(derOf(pemOrDer, 'X509 CRL'));
    const { der, signatureAlgorithm } = frame;
    return {
      kind: 'crl',
      issuer: printName(readName(der, frame.issuer, 'issuer')),
      thisUpdate: frame.thisUpdate.toISOString(),
      nextUpdate: frame.nextUpdate?.toISOString() ?? null,
      number: frame.number,
      authorityKeyId: frame.authorityKeyId,
      signatureAlgorithm: signatureNames.get(signatureAlgorithm) ?? signatureAlgorithm,
      revoked: frame.revoked.length,
      entries: frame.revoked.slice(0, MOST_ENTRIES).map((tlv) => {
        const { serial, revokedAt, reason } = readCrlEntry(der, tlv);
        return { serial, revokedAt: revokedAt.toISOString(), reason };
      }),
    };
  });
}
