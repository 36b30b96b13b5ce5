// What the store keeps of enrolment: tokens, who has used them, and which certificate took the place of which. A token is
// kept as a hash, so that whoever reads the records can enrol nobody. Its uses are counted in the transaction that
// records the certificate: no token is used up by a certificate that does not exist, none is used once too often.

import type { AuditEntry } from './audit-entry.ts';
import type { IdentityTokenCause, IdentityTokenStore } from './identity-tokens.ts';
import type { TokenUse } from './token-use.ts';

/** What of a token may be shown to anybody. Times are ms since the epoch. */
export interface TokenFace {
  /** 16 hex digits: names it in lists and logs, and is no secret. */
  readonly id: string;
  /** An identity, or a pattern of them with `*` as its end: `worker/etl-*`. */
  readonly subject: string;
  /** Certificates that it may get in all, and that it still may. */
  readonly uses: number;
  readonly usesLeft: number;
  readonly expiresAt: number;
  readonly createdAt: number;
  /** The first use of it that only a thief has reason to, in words; null when there was none. */
  readonly flag: string | null;
}

export interface TokenRecord extends TokenFace {
  /** SHA-256 of the secret, hex. */
  readonly secretHash: string;
  /** Lifetime of those certificates, ms. */
  readonly ttlMs: number;
  /** The groups that they say; none when left out. */
  readonly groups?: readonly string[];
  /** As in AuditEntry. */
  readonly createdBy: string;
  readonly revokedAt: number | null;
  /** When the use in `flag` was. */
  readonly flaggedAt: number | null;
}

export interface AskedToken {
  readonly token: TokenRecord;
  readonly use: TokenUse | null;
}

/** That a certificate took the place of another of the same identity. */
export interface Succession {
  readonly serial: string;
  /** The serial number of the one before. */
  readonly replaces: string;
  /** Of the new one's key: SHA-256 of the SubjectPublicKeyInfo, hex. */
  readonly keyHash: string;
  /** When somebody was first let in with it, ms since the epoch; null before that. */
  readonly seenAt: number | null;
}

/** Why a certificate is issued, recorded in its transaction. */
export type IssueCause =
  | { readonly kind: 'token'; readonly token: string; readonly keyHash: string }
  | IdentityTokenCause
  | { readonly kind: 'renewal'; readonly replaces: string; readonly keyHash: string };

export interface TokenStore extends IdentityTokenStore {
  addToken(token: TokenRecord, audit: AuditEntry): Promise<void>;
  /** Null when there is none of that id. One index look-up. */
  token(id: string): Promise<TokenRecord | null>;
  /** The newest first, at most 1000. */
  tokens(): Promise<readonly TokenRecord[]>;
  /** The oldest first, at most 1000. */
  tokenUses(id: string): Promise<readonly TokenUse[]>;
  /**
   * A token with the use of it that bears on who asks: the one by this key; else, where the token is for several names, the one
   * for the name that was asked for, if any. Null when there is no token of that id. Two index look-ups as a rule.
   */
  tokenFor(id: string, by: { readonly keyHash: string; readonly asked: string | null }): Promise<AskedToken | null>;
  /** Takes a token back; false, and no audit entry, when there is none or it was taken back before. */
  revokeToken(id: string, at: number, audit: AuditEntry): Promise<boolean>;
  /** What took the place of the certificate with this serial, the oldest first. */
  successors(serial: string): Promise<readonly Succession[]>;
  /** The succession that made this certificate, when nobody was let in with it yet; else null. One index look-up. */
  unseenSuccession(serial: string): Promise<Succession | null>;
  /** Notes that somebody was let in with it, once; false when that was known. No audit entry: it decides nothing alone. */
  markSeen(serial: string, at: number): Promise<boolean>;
}
