// What the store keeps of identity tokens (JWT): which certificates each was used for, until nobody would take it any more.
// The token itself is nowhere in it. A use is written in the transaction that records the certificate, so that no kill leaves
// a certificate whose token could be used once too often.
import type { TokenUse } from './token-use.ts';

/** A use that is to be recorded with its certificate. Times are ms since the epoch. */
export interface IdentityTokenCause {
  readonly kind: 'identity-token';
  /** SHA-256, hex: names the token (enroll/identity-tokens.ts). */
  readonly token: string;
  /** SHA-256 of the SubjectPublicKeyInfo, hex. */
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
  identityTokenUses(token: string): Promise<readonly TokenUse[]>;
}
