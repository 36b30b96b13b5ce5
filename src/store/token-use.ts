// One use of a token, of either kind, as the store keeps it.

/** One certificate that a token was used for. */
export interface TokenUse {
  /** The id of a one-time token; the SHA-256, hex, that names an identity token (enroll/identity-tokens.ts). */
  readonly token: string;
  /** SHA-256 of the SubjectPublicKeyInfo, hex. */
  readonly keyHash: string;
  readonly identity: string;
  readonly serial: string;
  /** ms since the epoch */
  readonly usedAt: number;
}
