// What the store keeps of a sign that somebody else has what one identity alone should have: a token that was used with
// another key, a key that is in two places. The first such sign stands on the identity until a person has looked and takes it
// off; what came after it is in the audit. A flag keeps nobody out: that is a lock's to do.
import type { AuditEntry } from './audit-entry.ts';

export interface FlagRecord {
  readonly identity: string;
  /** The first sign of it, in words. */
  readonly reason: string;
  /** ms since the epoch */
  readonly flaggedAt: number;
}

/** The token by which it was seen, which is flagged too, for good. */
export type FlaggedToken =
  /** A one-time token, by its id. */
  | { readonly kind: 'token'; readonly token: string }
  /** An identity token that was used, by what names it (identity-tokens.ts). */
  | { readonly kind: 'identity-token'; readonly token: string };

export interface FlagStore {
  /** Flags an identity and a token; false, and no audit entry, when both were flagged before. Of each the first flag stands. */
  flag(flag: FlagRecord, by: FlaggedToken | null, audit: AuditEntry): Promise<boolean>;
  /** Takes the flag off; null, and no audit entry, when there is none. */
  unflag(identity: string, audit: (flag: FlagRecord) => AuditEntry): Promise<FlagRecord | null>;
  /** The oldest first. */
  flags(): Promise<readonly FlagRecord[]>;
}
