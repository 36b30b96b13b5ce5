// The records: what was issued, what was revoked, what the CA and its operators did. One interface, so that SQLite on
// one machine and PostgreSQL behind several gates are the same to everything above. It knows no TLS and no X.509.
// Invariants of every implementation: a promise that resolves has been made durable; a record and its audit entry are
// one transaction; a serial is unique for ever; `revision` grows by at least one with every committed change.

import type { AuditEntry, StoredAuditEntry } from './audit-entry.ts';
import type { FlagStore } from './flags.ts';
import type { IssueCause, TokenStore } from './tokens.ts';

/** RFC 5280 §5.3.1, the reasons certgate accepts: those that are final and can be said of a client or a server. */
export const revocationReasons = [
  'unspecified',
  'keyCompromise',
  'cACompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'privilegeWithdrawn',
] as const;
export type RevocationReason = (typeof revocationReasons)[number];

/** Whether `reason` says what must be known of a certificate that was revoked for `before`. */
export function outweighs(reason: RevocationReason, before: RevocationReason): boolean {
  return reason === 'keyCompromise' && before !== 'keyCompromise' && before !== 'cACompromise';
}

/**
 * The identity of a certificate of which nothing is known but that a revocation list names it (sqlite-copy.ts): its `der`
 * holds its serial alone. No identity can be called so.
 */
export const UNKNOWN_IDENTITY = 'unknown';

/** One issued certificate. Times are milliseconds since the epoch, `serial`, `issuer` and hashes lower-case hex. */
export interface CertificateRecord {
  /** Serial number, lower-case hex of whole octets without DER's sign octet, e.g. `4f…`. */
  readonly serial: string;
  /** Subject key identifier of the issuer certificate, hex. */
  readonly issuer: string;
  /** Who it speaks for, e.g. `worker/etl-1`. */
  readonly identity: string;
  readonly profile: 'client' | 'server';
  readonly subject: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** SHA-256 of the DER, hex. */
  readonly fingerprint: string;
  readonly der: Uint8Array;
  readonly issuedAt: number;
  /** The lifetime that it should have had, ms, where the end of its issuer cut it short; else left out. */
  readonly wantedTtl?: number;
  /** False for one that its holder may not renew; else left out. */
  readonly renewable?: false;
  /** The groups that it says; none when left out. */
  readonly groups?: readonly string[];
  /** The moment of the first revocation. A second one changes the reason only, and only to keyCompromise. */
  readonly revokedAt: number | null;
  readonly reason: RevocationReason | null;
}

/** `valid`: not revoked, notAfter ahead; `expired`: not revoked, notAfter reached; `revoked`: whatever its notAfter. */
export type CertificateState = 'valid' | 'expired' | 'revoked';

/** What a listing may be narrowed to; pages run by (issuedAt, serial) descending. */
export interface CertificateFilter {
  /** Exactly this identity. */
  readonly identity?: string;
  /** Identities that begin so. */
  readonly identityStart?: string;
  readonly serial?: string;
  readonly state?: CertificateState;
  /** Only certificates that expire before this moment, ms since the epoch. */
  readonly expiresBefore?: number;
  /** The moment `state` is about, ms since the epoch. */
  readonly now: number;
  /** Rows of a page, 1 to 1000; 100 when left out. */
  readonly limit?: number;
  /** The last row of the page before: the next page starts after it. */
  readonly after?: { readonly issuedAt: number; readonly serial: string };
}

/** Where a certificate stands, for a gate that must decide about a connection. */
export interface CertificateStanding {
  readonly identity: string;
  readonly notAfter: number;
  /** SHA-256 of its DER, hex. */
  readonly fingerprint: string;
  readonly revokedAt: number | null;
}

export interface Revocation {
  readonly serial: string;
  readonly issuer: string;
  readonly identity: string;
  readonly revokedAt: number;
  readonly reason: RevocationReason;
  /** Of the certificate, ms since the epoch: how long a CRL must name it (RFC 5280 §3.3). */
  readonly notAfter: number;
  /** The store's revision that carried it, or that made keyCompromise of another reason. */
  readonly revision: number;
  /** False when it was revoked before, for another reason, and a list may name it already. */
  readonly isNew: boolean;
}

/**
 * `prepared`: trusted, not issued with; `active`: issued with, one root and one issuer; `retiring`: trusted until what it issued
 * has ended; `retired`: trusted no more.
 */
export type CaState = 'prepared' | 'active' | 'retiring' | 'retired';

/** `root`: where trust ends; `intermediate`: between a company's root and the issuer, if any; `issuer`: signs leaves. */
export type CaRole = 'root' | 'intermediate' | 'issuer';

/** One certificate of the CA itself. Key identifiers are lower-case hex, times ms since the epoch. */
export interface CaRecord {
  /** Subject key identifier. */
  readonly keyId: string;
  readonly role: CaRole;
  /** Counts from 1 within its role; its files carry the number. */
  readonly generation: number;
  /** Key identifier of who signed it; its own for a root. */
  readonly parent: string;
  readonly state: CaState;
  readonly der: Uint8Array;
  readonly addedAt: number;
  /** When it came into `state`, or, of an active issuer, when the CA was restored. No two changes have one moment. */
  readonly changedAt: number;
}

/** What changes of the CA, all of it or nothing, in this order: `renames`, `states`, `add`. */
export interface CaChange {
  /** Key identifiers that were on record wrongly. */
  readonly renames?: ReadonlyArray<{ readonly from: string; readonly to: string }>;
  readonly add?: readonly CaRecord[];
  readonly states?: ReadonlyArray<{ readonly keyId: string; readonly from: CaState; readonly to: CaState }>;
  /** What the store says about itself from now on. */
  readonly meta?: Readonly<Partial<Record<MetaKey, string>>>;
  /** ms since the epoch */
  readonly at: number;
}

export type LockScope = 'identity' | 'serial' | 'all';

/** Refused and cut for now, not revoked. `subject` is an identity or a serial, empty for `all`. */
export interface LockRecord {
  readonly scope: LockScope;
  readonly subject: string;
  readonly reason: string;
  /** Who locked it, as in AuditEntry. */
  readonly actor: string;
  /** ms since the epoch */
  readonly lockedAt: number;
  /** When it ends by itself, ms since the epoch; null for not before `unlock`. */
  readonly until: number | null;
}

/** That the holder of a certificate has a trust bundle. */
export interface BundleTaken {
  /** Of the certificate. */
  readonly serial: string;
  readonly identity: string;
  /** SHA-256 of the bundle's PEM text, hex. */
  readonly bundle: string;
  /** ms since the epoch */
  readonly takenAt: number;
}

/** A certificate whose key somebody else has. */
export interface CompromisedCertificate {
  readonly serial: string;
  readonly identity: string;
  readonly der: Uint8Array;
  /** The store's revision that carried the revocation. */
  readonly revision: number;
}

/**
 * What a store says about itself: set once by `init`, read by everything that must know whose store it is. `restoredAt`: when it
 * last came back from a backup, ms since the epoch in decimal digits.
 */
export type MetaKey = 'trustDomain' | 'rootFingerprint' | 'restoredAt';

export interface Store extends TokenStore, FlagStore {
  /** Where it is, for messages: a file path or a database URL without its password. */
  readonly location: string;
  /**
   * How often it has been opened. When it grows, the file was lost and found since, maybe unseen by this reader because
   * another one's call met the failure: what was read before may be of another past.
   */
  readonly openings: number;
  /** Null when it was never set. */
  meta(key: MetaKey): Promise<string | null>;
  /**
   * Commits the certificate and its audit entry together, as not revoked: only `revoke` revokes. In the same transaction
   * `approve` is shown the locks on the record's identity and on all that stand at `issuedAt`; what it throws undoes it.
   * `cause` is recorded with it: a use of a token, of either kind, is counted, and is none when it has expired or been used up.
   * CG_CA_CHANGED when its issuer is retired; CG_STORE_SERIAL_TAKEN when the serial exists, whoever issued it;
   * CG_TOKEN_SPENT; CG_RENEW_REFUSED when
   * the certificate that it is to replace is revoked or locked.
   */
  addCertificate(
    record: CertificateRecord,
    audit: AuditEntry,
    approve?: (locks: readonly LockRecord[]) => void,
    cause?: IssueCause,
  ): Promise<void>;
  /**
   * Marks what is not yet revoked among `serials`, with one audit entry each; answers the records as they now are, in
   * the order given, without those that don't exist. Idempotent: what was revoked before keeps its moment and reason,
   * has no second audit entry, and moves no revision. But that a key is known to others is never forgotten:
   * `keyCompromise` takes the place of another reason (not of cACompromise), with an audit entry that is told the one
   * before.
   */
  revoke(
    serials: readonly string[],
    reason: RevocationReason,
    at: number,
    audit: (record: CertificateRecord, before: RevocationReason | null) => AuditEntry,
  ): Promise<readonly CertificateRecord[]>;
  listCertificates(filter: CertificateFilter): Promise<readonly CertificateRecord[]>;
  /** Null when no such serial was ever recorded for that issuer. Synchronously cheap: one index look-up. */
  standing(issuer: string, serial: string): Promise<CertificateStanding | null>;
  addAudit(entry: AuditEntry): Promise<void>;
  /** Entries after `afterId` (from the first when left out), oldest first; `limit` 1 to 1000, 100 when left out. */
  listAudit(filter: { readonly afterId?: number; readonly limit?: number }): Promise<readonly StoredAuditEntry[]>;
  /** The newest entry; null for none. */
  lastAct(): Promise<StoredAuditEntry | null>;
  /** Keeps the newest checkpoint of the record, one line of JSON, in place of the one before. */
  saveCheckpoint(line: string): Promise<void>;
  /** What `saveCheckpoint` kept last; null for none. */
  checkpoint(): Promise<string | null>;
  /** The number of the newest committed change; cheap enough to ask a hundred times a second. CG_STORE_* on failure. */
  revision(): Promise<number>;
  /**
   * Revocations committed after `revision`, oldest first: all, or `limit` and what else the revision of the last has; fewer
   * than `limit` are the last.
   */
  revocationsSince(revision: number, limit?: number): Promise<readonly Revocation[]>;
  /** Those of them for keyCompromise, with the certificate. Cheap when there are none: one index look-up. */
  compromisedSince(revision: number, limit?: number): Promise<readonly CompromisedCertificate[]>;
  /** All certificates the CA has had: roots, intermediates, issuers, each role by generation. */
  listCa(): Promise<readonly CaRecord[]>;
  /**
   * Commits `change` with its audit entry. CG_CA_CHANGED, and nothing is changed, when somebody else was faster: one of
   * `states` or `renames` is not in `from`, a new one's key or generation exists, a second root would be `prepared`, or an
   * issuer `retired` that has a live client certificate at `at`. What comes into a state does so at a moment after all
   * before it, whatever the clock says: at `at`, or 1 ms after the last.
   */
  changeCa(change: CaChange, audit: AuditEntry): Promise<void>;
  /** Locks, in place of a standing lock of the same scope and subject. */
  lock(lock: LockRecord, audit: AuditEntry): Promise<void>;
  /** Ends a standing lock; false, and no audit entry, when there is none at `at`, ms since the epoch. */
  unlock(scope: LockScope, subject: string, at: number, audit: AuditEntry): Promise<boolean>;
  /** The locks that stand at `now`, ms since the epoch, oldest first. */
  locks(now: number): Promise<readonly LockRecord[]>;
  /** The number of `issuer`'s newest CRL; 0 when it has had none. */
  crlNumber(issuer: string): Promise<number>;
  /** Takes the next number for a CRL of `issuer`, larger than all before and than `above`. */
  nextCrlNumber(issuer: string, above?: number): Promise<number>;
  /** Notes it in place of what was known of that serial. No audit entry, no new revision: nothing is decided by it alone. */
  noteBundle(taken: BundleTaken): Promise<void>;
  /**
   * The identities with a client certificate that is not revoked, expires after `now` (ms since the epoch) and whose
   * holder was not last seen to have `bundle`; sorted, at most 1000.
   */
  identitiesWithout(bundle: string, now: number): Promise<readonly string[]>;
  /** The identities with a client certificate of `issuer` that is not revoked and expires after `now`; sorted, at most 1000. */
  liveIdentities(issuer: string, now: number): Promise<readonly string[]>;
  /** When the last of those certificates ends, ms since the epoch; null when there is none. */
  lastEnd(issuer: string, now: number): Promise<number | null>;
  /** May be called twice; everything else fails afterwards with CG_STORE_CLOSED. */
  close(): Promise<void>;
}
