// The CA that decides: who gets a certificate, for how long, and which one is revoked. Records before deeds: a
// certificate leaves `issue` only after its record and its audit entry are committed, so that what exists is recorded
// (RFC 3647 §4.4.3, §4.5.8). Certificates are those of DESIGN.md: SPIFFE URI, 128-bit serial, backdated by 60 s for the
// clocks of others. It never sees a subject's private key and never writes a file.
import { hash, type KeyObject } from 'node:crypto';
import { CertgateError } from '../errors.ts';
import { parseGroups } from '../identity/groups.ts';
import { kindOf, parseIdentityName, spiffeUri } from '../identity/name.ts';
import { createLeaf, derToPem, type Issuer, leafSubject, newSerial } from '../pki/certificates.ts';
import type { CaRecord, CertificateRecord, LockRecord, RevocationReason, Store } from '../store/store.ts';
import type { IssueCause } from '../store/tokens.ts';
import { openBarredKeys } from './barred-keys.ts';
import { requireNotDebian } from './debian-weak-keys.ts';
import { lockOnIssue, targetArguments, targetWords, untilWords } from './lock-table.ts';
import { type RevocationSelector, revokeCertificates } from './revocation.ts';
import { statusUrls } from './status-urls.ts';
import { chainOf, pemOf, type Trust } from './trust.ts';

/** The shortest certificate, ms: less and a slow clock or a slow restart ends it before its first use. */
export const SHORTEST_TTL = 300_000;
/** How far a certificate's validity begins in the past, ms. */
export const BACKDATED = 60_000;

export interface IssueRequest {
  /** `worker/etl-1`, …; `gate/…` for the profile `server`. */
  readonly identity: string;
  readonly profile: 'client' | 'server';
  /** From now on, ms; at least SHORTEST_TTL, at most what is left of the issuer, unless `untilIssuerEnds`. */
  readonly ttlMs: number;
  /** Whether what is left of the issuer will do where that is less; the record then says what was wanted. */
  readonly untilIssuerEnds?: boolean;
  readonly publicKey: KeyObject;
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
  /** Whether its holder may renew it; yes when left out. */
  readonly renewable?: boolean;
  /** That it belongs to: the OUs of its subject. */
  readonly groups?: readonly string[];
  /** Who asks, for the audit record: `cli:root@host`, `gate`, or an identity. */
  readonly actor: string;
  /** The peer's IP address, for the audit record; nothing when an operator asks on this machine. */
  readonly address?: string;
  /** The token or the certificate on whose account it is issued; nothing when an operator asks. */
  readonly cause?: IssueCause;
}

export interface Issued {
  readonly record: CertificateRecord;
  readonly certificatePem: string;
  /** Leaf, then issuer, then intermediates if there are any: what a TLS peer is to be shown. */
  readonly chainPem: string;
}

/** The CA's certificates and the keys that are here, as they were read together. */
export interface CaInUse {
  readonly trust: Trust;
  /** What issues. */
  readonly issuer: Issuer;
  /** Every trusted issuer whose key is here, the one that issues first: who can still sign a CRL. */
  readonly issuers: readonly Issuer[];
}

export interface Authority {
  readonly trustDomain: string;
  /** As of the last `reload`; every rotation changes it. */
  readonly ca: CaInUse;
  /** `ca.issuer`. */
  readonly issuer: Issuer;
  /** `ca.trust.bundlePem`: what certificates of this CA are verified with. */
  readonly bundlePem: string;
  /** Reads the CA again and answers whether it changed. What it throws is `loadAuthority`'s; then the present one stays. */
  reload(): Promise<boolean>;
  /**
   * A new certificate, recorded. None is for an identity that is locked by the time the record is committed.
   * @throws CG_IDENTITY_NAME, CG_PROFILE, CG_GROUP, CG_TTL, CG_CA_EXPIRED, CG_CERT_CONTENT, CG_CSR_KEY, CG_KEY_BARRED,
   *   CG_LOCKED, CG_TOKEN_SPENT, CG_RENEW_REFUSED, CG_STORE_*
   */
  issue(request: IssueRequest): Promise<Issued>;
  /** A certificate on record as `Issued.chainPem` had it, PEM: leaf, its issuer, intermediates if there are any. */
  chainFor(record: Pick<CertificateRecord, 'der' | 'issuer'>): string;
  /** As `revokeCertificates`, with this authority's store and clock. */
  revoke(selector: RevocationSelector, reason: RevocationReason, actor: string): Promise<readonly CertificateRecord[]>;
}

export interface AuthorityParts {
  readonly store: Store;
  readonly ca: CaInUse;
  /** Reads the CA anew; null when it is the same as `known`. */
  readonly reread: (known: CaInUse) => Promise<CaInUse | null>;
  readonly trustDomain: string;
  /** Under which URL revocations are published, which leaves then say; null, or left out, for nowhere. */
  readonly statusUrl?: string | null;
  /** ms since the epoch; Date.now when left out. */
  readonly clock?: () => number;
}

/** The authority over parts that are known to fit each other: see `loadAuthority` for files that must be checked. */
export function openAuthority(parts: AuthorityParts): Authority {
  const { store, reread, trustDomain, statusUrl = null, clock = Date.now } = parts;
  let { ca } = parts;
  const barredKeys = openBarredKeys(store, () => ca.trust.records);
  return {
    trustDomain,
    get ca() {
      return ca;
    },
    get issuer() {
      return ca.issuer;
    },
    get bundlePem() {
      return ca.trust.bundlePem;
    },
    async reload() {
      const fresh = await reread(ca);
      if (fresh !== null) ca = fresh;
      return fresh !== null;
    },
    async issue(request) {
      const { issuer, trust } = ca;
      const identity = parseIdentityName(request.identity);
      requireProfile(identity, request.profile);
      const groups = parseGroups(request.groups ?? []);
      const now = clock();
      const ttlMs = request.untilIssuerEnds === true ? withinIssuer(request.ttlMs, issuer, now) : request.ttlMs;
      const notAfter = requireLifetime(now, ttlMs, issuer);
      await barredKeys.check(request.publicKey);
      await requireNotDebian(request.publicKey);
      const serial = newSerial();
      const der = await createLeaf({
        profile: request.profile,
        subjectCommonName: identity, // left out when too long: the SPIFFE URI says it in full
        spiffeUri: spiffeUri(trustDomain, identity),
        dns: request.dns ?? [],
        ip: request.ip ?? [],
        units: groups,
        publicKey: request.publicKey,
        notBefore: new Date(wholeSecond(now - BACKDATED)),
        notAfter: new Date(notAfter),
        serial,
        issuer,
        ...(statusUrl === null ? {} : { status: statusUrls(statusUrl, issuer.keyId) }),
      });
      const record: CertificateRecord = {
        // As a gate will read them out of the certificate: they are what it looks up.
        serial,
        issuer: issuer.keyId,
        identity,
        profile: request.profile,
        subject: leafSubject(identity, groups)
          .map(([attribute, value]) => `${attribute}=${value}`)
          .join(', '),
        notBefore: wholeSecond(now - BACKDATED),
        notAfter,
        fingerprint: hash('sha256', der),
        der,
        issuedAt: now,
        ...(ttlMs < request.ttlMs ? { wantedTtl: request.ttlMs } : {}),
        ...(groups.length > 0 ? { groups } : {}),
        ...(request.renewable === false ? { renewable: false } : {}),
        revokedAt: null,
        reason: null,
      };
      const audit = {
        time: now,
        actor: request.actor,
        action: 'certificate.issue',
        object: identity,
        detail: {
          serial: record.serial,
          profile: record.profile,
          notAfter,
          fingerprint: record.fingerprint,
          dns: (request.dns ?? []).join(','),
          ip: (request.ip ?? []).join(','),
          ...(groups.length > 0 ? { groups: groups.join(',') } : {}),
          ...(request.address === undefined ? {} : { address: request.address }),
          ...(request.cause?.kind === 'token' ? { token: request.cause.token } : {}),
          ...(request.cause?.kind === 'identity-token' ? request.cause.about : {}),
          ...(request.cause?.kind === 'renewal' ? { replaces: request.cause.replaces } : {}),
        },
      };
      const approve = (locks: readonly LockRecord[]): void => requireUnlocked(locks, identity, now);
      await store.addCertificate(record, audit, approve, request.cause);
      const certificatePem = derToPem(der, 'CERTIFICATE');
      return { record, certificatePem, chainPem: certificatePem + shownWith(trust, trust.activeIssuer) };
    },
    chainFor({ der, issuer }) {
      const { trust } = ca;
      const signer = trust.records.find(({ keyId }) => keyId === issuer) ?? null;
      return derToPem(der, 'CERTIFICATE') + shownWith(trust, signer);
    },
    revoke: (selector, reason, actor) => revokeCertificates(store, selector, reason, actor, clock()),
  };
}

/** An issuer, and whatever is between it and its root, PEM. */
function shownWith({ records }: Trust, issuer: CaRecord | null): string {
  return issuer === null ? '' : chainOf(records, issuer).map(pemOf).join('');
}

// A client's certificate must never pass for the gate's, nor the gate's for a client's.
function requireProfile(identity: string, profile: 'client' | 'server'): void {
  const own = kindOf(identity) === 'gate';
  if (own === (profile === 'server')) return;
  const problem = own ? 'gate/… is reserved for server certificates' : 'only gate/… can have a server certificate';
  throw new CertgateError('CG_PROFILE', { identity, problem });
}

function requireUnlocked(locks: readonly LockRecord[], identity: string, now: number): void {
  const lock = lockOnIssue(locks, identity, now);
  if (lock === null) return;
  throw new CertgateError('CG_LOCKED', {
    identity,
    lock: `${targetWords(lock)} is locked ${untilWords(lock)}`,
    reason: lock.reason,
    unlock: targetArguments(lock),
  });
}

// Who renews near the end of an issuer gets what is left of that. An issuer that has ended is requireLifetime's to refuse.
function withinIssuer(ttlMs: number, { certificate }: Issuer, now: number): number {
  const left = Math.floor((certificate.validToDate.getTime() - now) / 1000) * 1000;
  return Math.min(ttlMs, left);
}

// The end of a certificate's validity, ms since the epoch.
function requireLifetime(now: number, ttlMs: number, issuer: Issuer): number {
  const from = issuer.certificate.validFromDate.getTime();
  const until = issuer.certificate.validToDate.getTime();
  if (now < from || now >= until) {
    const problem =
      now < from
        ? `is not valid before ${new Date(from).toISOString()}`
        : `expired at ${new Date(until).toISOString()}`;
    throw new CertgateError('CG_CA_EXPIRED', { file: 'the issuer certificate', problem });
  }
  const ttl = durationText(ttlMs);
  if (!(ttlMs >= SHORTEST_TTL)) {
    const problem = `is shorter than ${durationText(SHORTEST_TTL)}`;
    throw new CertgateError('CG_TTL', { ttl, problem, remedy: `use --ttl ${durationText(SHORTEST_TTL)} or more` });
  }
  const notAfter = wholeSecond(now + ttlMs);
  if (!(notAfter <= until)) {
    const problem = `ends after the issuer itself, which expires at ${new Date(until).toISOString()}`;
    const step = until - now > 86_400_000 ? 3_600_000 : 1000;
    const longest = durationText(Math.floor((until - now) / step) * step);
    throw new CertgateError('CG_TTL', { ttl, problem, remedy: `use --ttl ${longest} or less` });
  }
  return notAfter;
}

// In the largest unit that leaves no rest, as --ttl takes it: `400d`, `5m`, `299999ms`.
function durationText(ms: number): string {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
  ] as const;
  const whole = units.find(([, size]) => ms !== 0 && ms % size === 0);
  return whole === undefined ? `${ms}ms` : `${ms / whole[1]}${whole[0]}`;
}

/** Certificates tell time no finer. */
export function wholeSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}
