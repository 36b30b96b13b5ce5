// Answers OCSP requests from the records (RFC 6960, RFC 9654). What stands in the store at this moment is what is said:
// a signed answer is kept and given again only while it still says that. Anybody may ask, so nobody gets the issuer's key
// to sign as fast as he likes: answers without a nonce are kept, and only so many are signed at a time. Nothing that a
// peer sends makes it throw.
import type { Issuer } from '../pki/certificates.ts';
import {
  type CertId,
  createOcspAnswer,
  type IssuerMatch,
  matchIssuer,
  OCSP_ERRORS,
  type OcspRequest,
  type OcspStatus,
  readOcspRequest,
} from '../pki/ocsp.ts';
import type { Store } from '../store/store.ts';
import { BACKDATED, wholeSecond } from './authority.ts';

/** How long an answer is valid, ms: also how long others may believe that nothing was revoked. */
const LIFETIME = 3_600_000;
/** Answers that are kept; a few hundred bytes each. */
const MOST_KEPT = 10_000;
/** Signatures at a time; past it, tryLater. */
const MOST_SIGNING = 16;

export interface OcspReply {
  readonly der: Uint8Array;
  /** The times of what may be kept by others, ms since the epoch; null for what may not. */
  readonly fresh: { readonly thisUpdate: number; readonly nextUpdate: number } | null;
}

export interface OcspResponderOptions {
  readonly store: Store;
  /** All whose certificates are asked about, now. */
  readonly issuers: () => readonly Issuer[];
  /** Told what went wrong in the store or the signer, while the asker gets `tryLater`. */
  readonly failed: (error: unknown) => void;
  /** ms since the epoch; Date.now when left out. */
  readonly clock?: () => number;
}

interface Kept extends OcspReply {
  readonly status: OcspStatus;
  /** ms since the epoch */
  readonly until: number;
}

/** Answers the octets of a request. */
export type OcspResponder = (request: Uint8Array) => Promise<OcspReply>;

export function openOcspResponder(options: OcspResponderOptions): OcspResponder {
  const { store, issuers, failed, clock = Date.now } = options;
  const kept = new Map<string, Kept>();
  const matches = new Map<string, IssuerMatch>();
  let signing = 0;

  const matchOf = (issuer: Issuer): IssuerMatch => {
    const match = matches.get(issuer.keyId) ?? matchIssuer(issuer);
    matches.set(issuer.keyId, match);
    return match;
  };

  const statusOf = async (issuer: Issuer, certId: CertId): Promise<OcspStatus> => {
    if (!matchOf(issuer)(certId)) return { status: 'unknown' };
    const standing = await store.standing(issuer.keyId, certId.serial);
    if (standing === null) return { status: 'unknown' };
    if (standing.revokedAt === null) return { status: 'good' };
    const [record] = await store.listCertificates({ serial: certId.serial, now: clock() });
    return { status: 'revoked', revokedAt: standing.revokedAt, reason: record?.reason ?? 'unspecified' };
  };

  const sign = async (
    issuer: Issuer,
    { certIds, nonce }: OcspRequest,
    statuses: readonly OcspStatus[],
  ): Promise<OcspReply> => {
    if (signing >= MOST_SIGNING) return { der: OCSP_ERRORS.tryLater, fresh: null };
    const now = clock();
    const thisUpdate = wholeSecond(now - BACKDATED);
    const nextUpdate = wholeSecond(now + LIFETIME);
    signing++;
    try {
      const der = await createOcspAnswer({
        issuer,
        answers: certIds.map((certId, i) => [certId, statuses[i] ?? { status: 'unknown' }]),
        nonce,
        producedAt: new Date(now),
        thisUpdate: new Date(thisUpdate),
        nextUpdate: new Date(nextUpdate),
      });
      return { der, fresh: nonce === null ? { thisUpdate, nextUpdate } : null };
    } finally {
      signing--;
    }
  };

  const answer = async (request: OcspRequest): Promise<OcspReply> => {
    const { certIds, nonce } = request;
    const issuer = issuers().find((one) => certIds.some(matchOf(one)));
    // About other people's certificates there is nothing to say, and nothing to sign.
    if (issuer === undefined) return { der: OCSP_ERRORS.unauthorized, fresh: null };
    const statuses: OcspStatus[] = [];
    for (const certId of certIds) statuses.push(await statusOf(issuer, certId));
    const [first] = certIds;
    const [status] = statuses;
    // What is unknown may be issued in the next moment, and there are more unknown serials than room.
    if (
      first === undefined ||
      status === undefined ||
      certIds.length > 1 ||
      nonce !== null ||
      status.status === 'unknown'
    ) {
      const reply = await sign(issuer, request, statuses);
      return statuses.every((one) => one.status !== 'unknown') ? reply : { ...reply, fresh: null };
    }
    const key = Buffer.from(first.der).toString('latin1');
    const before = kept.get(key);
    if (before !== undefined && isInItsTime(before, clock()) && isSame(before.status, status)) return before;
    const reply = await sign(issuer, request, statuses);
    if (reply.fresh === null) return reply;
    kept.delete(key);
    kept.set(key, { ...reply, status, until: reply.fresh.nextUpdate - LIFETIME / 2 });
    for (const oldest of kept.keys()) {
      if (kept.size <= MOST_KEPT) break;
      kept.delete(oldest);
    }
    return reply;
  };

  return async (octets) => {
    const request = readOcspRequest(octets);
    if (request === null) return { der: OCSP_ERRORS.malformedRequest, fresh: null };
    try {
      return await answer(request);
    } catch (error) {
      failed(error);
      return { der: OCSP_ERRORS.tryLater, fresh: null };
    }
  };
}

/** And not made by a clock that was ahead, which nobody would believe. */
function isInItsTime({ fresh, until }: Kept, now: number): boolean {
  return fresh !== null && now >= fresh.thisUpdate && now < until;
}

function isSame(a: OcspStatus, b: OcspStatus): boolean {
  if (a.status !== 'revoked' || b.status !== 'revoked') return a.status === b.status;
  return a.revokedAt === b.revokedAt && a.reason === b.reason;
}
