// What the desk (desk.ts) is to those who ask it, and what it is made of.
import type { Authority } from '../authority/authority.ts';
import type { IdentityIssuer } from '../config/issuers.ts';
import type { LimitedLog } from '../observe/limited-log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Store } from '../store/store.ts';
import type { DeskAnswer } from './answers.ts';

/** What a gate's configuration says of it. */
export interface EnrollPolicy {
  /** Whether who has no certificate may come with a token. */
  readonly tokens: boolean;
  /** Whose identity tokens are taken; nobody’s when left out. */
  readonly issuers?: readonly IdentityIssuer[];
  /** Whether it may be asked in EST's words too. */
  readonly est: boolean;
  /** Whether an identity whose superseded certificate is used again is locked. */
  readonly lockOnReuse: boolean;
  /** How long after its end a certificate may still be renewed, ms; 0 for not at all. */
  readonly graceMs: number;
}

export interface EnrollDesk {
  /** Answers a stranger. `address` is for the log, `addressKey` what its tries are counted under. Never rejects. */
  enroll(body: string, from: { readonly address: string; readonly addressKey: string }): Promise<DeskAnswer>;
  /** Answers the holder of a certificate who wants the next one. Never rejects. */
  renew(body: string, holder: RenewalHolder): Promise<DeskAnswer>;
  /** Somebody was let in with this certificate, which is known to be the successor of another. Never rejects. */
  seen(serial: string): Promise<void>;
}

/** The clock that refusals are timed and counted by: it never goes back. */
export interface Ticker {
  /** ms, from wherever. */
  now(): number;
  /** Resolves after `ms`, perhaps a little early. */
  pause(ms: number): Promise<unknown>;
}

export interface DeskParts {
  readonly authority: Authority;
  readonly store: Store;
  readonly policy: EnrollPolicy;
  readonly log: LimitedLog;
  readonly metrics: Metrics;
  /** ms since the epoch; Date.now when left out. */
  readonly clock?: () => number;
  /** performance.now and setTimeout when left out. */
  readonly ticker?: Ticker;
  /** A refusal goes out at a multiple of this after its request came, ms; REFUSAL_TIME when left out. */
  readonly refusalTime?: number;
}

/** Whom the gate has admitted, or, within the grace, would have. */
export interface RenewalHolder {
  /** Of the certificate that is to be renewed. */
  readonly serial: string;
  readonly address: string;
  /** Whether the request has to say its names, and say them as the certificate does (RFC 7030 §4.2.2). */
  readonly exactNames?: boolean;
}
