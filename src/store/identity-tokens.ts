// What the store keeps of identity tokens (JWT): which certificates each was used for, until nobody would take it any more.
// The token itself is nowhere in it. A use is written in the transaction that records the certificate, so that no kill leaves
// a certificate whose token could be used once too often.
import type { AuditEntry } from './store.ts';

/** One certificate that an identity token was used for. Times are ms since the epoch. */
export interface IdentityTokenUse {
  /** SHA-256, hex: names the token (enroll/identity-tokens.ts). */
  readonly token: string;
  /** SHA-256 of the SubjectPublicKeyInfo, hex. */
  readonly keyHash: string;
  readonly identity: string;
  readonly serial: string;
  readonly usedAt: number;
}

/** A use that is to be recorded with its certificate. */
export interface IdentityTokenCause {
  readonly kind: 'identity-token';
  readonly token: string;
  readonly keyHash: string;
  /** How many certificates the token is good for. */
  readonly uses: number;
  /** When the use may be forgotten. */
  readonly endsAt: number;
  /** Whose token it was, for the audit entry. */
  readonly about: Readonly<Record<'issuer' | 'iss' | 'sub' | 'jti' | 'rule', string>>;
}

export interface IdentityTokenStore {
  /** The oldest first. */
  identityTokenUses(token: string): Promise<readonly IdentityTokenUse[]>;
  /** Notes the first misuse of a token; false, and no audit entry, when one was noted before or it was never used. */
  flagIdentityToken(token: string, at: number, audit: AuditEntry): Promise<boolean>;
}
