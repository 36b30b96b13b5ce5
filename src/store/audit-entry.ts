// What the audit trail in the store says of one act of the CA or of an operator.

/** One act of the CA or of an operator. */
export interface AuditEntry {
  /** ms since the epoch */
  readonly time: number;
  /** Who did it: `cli:root@host`, `gate`, or an identity. */
  readonly actor: string;
  /** `ca.init`, `certificate.issue`, `certificate.revoke`, … */
  readonly action: string;
  /** What it was done to: an identity, a serial. */
  readonly object: string;
  readonly detail: Readonly<Record<string, string | number | boolean | null>>;
}

export interface StoredAuditEntry extends AuditEntry {
  /** From 1, without a gap. */
  readonly id: number;
  /** The hash of the act before it; null for one that is older than the chain. */
  readonly prev: string | null;
  /** SHA-256, hex (sqlite-acts.ts). */
  readonly hash: string;
}
