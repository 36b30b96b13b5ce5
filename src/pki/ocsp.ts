// Writes OCSP answers (RFC 6960 §4.2): good, revoked with moment and reason, unknown; signed by the key of the issuer
// itself, so that whoever can verify the certificate can verify the answer and no responder certificate has to be
// issued, recorded, renewed and told apart. The responder is named by its key's hash (§4.2.2.3). An answer that is no
// statement about a certificate is unsigned (§2.3) and always the same octets. No clock: the dates are the caller's.
import { createHash } from 'node:crypto';
import type { Issuer } from './certificates.ts';
import { context, contextConstructed, encodeGeneralizedTime, encodeOid, encodeTlv, encodingOf, TAG } from './der.ts';
import { ocspNonce } from './extensions.ts';
import { frameOf } from './facts.ts';
import type { CertId } from './ocsp-request.ts';
import { reasonNames } from './oids.ts';
import { keyBitsOf } from './public-keys.ts';
import { withSignature } from './signing.ts';

export { type CertId, type OcspRequest, readOcspRequest } from './ocsp-request.ts';

/** Times are ms since the epoch, cut to seconds in the answer. */
export type OcspStatus =
  | { readonly status: 'good' }
  | { readonly status: 'unknown' }
  /** `reason` as RFC 5280 §5.3.1 spells it; `unspecified` is left out. */
  | { readonly status: 'revoked'; readonly revokedAt: number; readonly reason: string };

export interface OcspAnswer {
  readonly issuer: Issuer;
  readonly answers: ReadonlyArray<readonly [certId: CertId, status: OcspStatus]>;
  /** As it was asked for; null for none. */
  readonly nonce: Uint8Array | null;
  readonly producedAt: Date;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
}

/** The answers without a statement (RFC 6960 §4.2.1), DER. */
export const OCSP_ERRORS = {
  malformedRequest: errorAnswer(1),
  internalError: errorAnswer(2),
  tryLater: errorAnswer(3),
  unauthorized: errorAnswer(6),
} as const;

const codes: ReadonlyMap<string, number> = new Map([...reasonNames].map(([code, name]) => [name, code]));

/** Whether `certId` asks about a certificate of `issuer`. */
export type IssuerMatch = (certId: CertId) => boolean;

/** Compares with the hashes of the issuer's name and key, which are made once. */
export function matchIssuer({ certificate }: Issuer): IssuerMatch {
  const frame = frameOf(certificate);
  const name = encodingOf(frame.der, frame.subject);
  const key = keyBitsOf(encodingOf(frame.der, frame.publicKey));
  const hashes = new Map(
    (['sha1', 'sha256'] as const).map((hash) => [hash, { name: hexDigest(hash, name), key: hexDigest(hash, key) }]),
  );
  return ({ hash, issuerNameHash, issuerKeyHash }) => {
    const own = hash === null ? undefined : hashes.get(hash);
    return own !== undefined && own.name === issuerNameHash && own.key === issuerKeyHash;
  };
}

/** A whole answer, DER, signed by its issuer. What the signer throws. */
export async function createOcspAnswer(answer: OcspAnswer): Promise<Uint8Array> {
  const { issuer, answers, nonce, producedAt, thisUpdate, nextUpdate } = answer;
  const frame = frameOf(issuer.certificate);
  const key = createHash('sha1')
    .update(keyBitsOf(encodingOf(frame.der, frame.publicKey)))
    .digest();
  const until = encodeTlv(contextConstructed(0), encodeGeneralizedTime(nextUpdate));
  const singles = answers.map(([{ der }, status]) =>
    encodeTlv(TAG.sequence, der, statusOf(status), encodeGeneralizedTime(thisUpdate), until),
  );
  const extensions =
    nonce === null ? [] : [encodeTlv(contextConstructed(1), encodeTlv(TAG.sequence, ocspNonce(nonce)))];
  const data = encodeTlv(
    TAG.sequence,
    encodeTlv(contextConstructed(2), encodeTlv(TAG.octetString, key)),
    encodeGeneralizedTime(producedAt),
    encodeTlv(TAG.sequence, ...singles),
    ...extensions,
  );
  const basic = encodeTlv(TAG.octetString, await withSignature(data, issuer.signer));
  const body = encodeTlv(TAG.sequence, encodeOid('1.3.6.1.5.5.7.48.1.1'), basic);
  return encodeTlv(TAG.sequence, enumerated(0), encodeTlv(contextConstructed(0), body));
}

/** CertStatus: its three forms are IMPLICIT. */
function statusOf(status: OcspStatus): Uint8Array {
  if (status.status === 'good') return encodeTlv(context(0));
  if (status.status === 'unknown') return encodeTlv(context(2));
  const code = codes.get(status.reason) ?? 0;
  const reason = code === 0 ? [] : [encodeTlv(contextConstructed(0), enumerated(code))];
  return encodeTlv(contextConstructed(1), encodeGeneralizedTime(new Date(status.revokedAt)), ...reason);
}

function enumerated(code: number): Uint8Array {
  return encodeTlv(TAG.enumerated, Uint8Array.of(code));
}

function errorAnswer(code: number): Uint8Array {
  return encodeTlv(TAG.sequence, enumerated(code));
}

function hexDigest(hash: string, octets: Uint8Array): string {
  return createHash(hash).update(octets).digest('hex');
}
