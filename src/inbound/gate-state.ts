// What every request of a gate is decided with, in one place: a rotation and a reload change their part of it, and that
// holds at the next request of every connection.

import type { EnrollDesk, EnrollPolicy } from '../enroll/contract.ts';
import type { AuditLog } from '../observe/audit-log.ts';
import type { LimitedLog } from '../observe/limited-log.ts';
import type { AccessLog } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Policy } from '../policy/policy.ts';
import type { BundleTaken } from '../store/store.ts';
import type { AskPrefect } from './prefect-ask.ts';
import type { RevocationWatch } from './revocation-watch.ts';
import type { ScopeLookups } from './scope-lookups.ts';
import type { ClientTrust } from './server-certificate.ts';

/** What every request of a gate shares. */
export interface GateState {
  /** For what peers can cause as often as they like. */
  readonly limitedLog: LimitedLog;
  /** Null when access lines are off. */
  readonly access: AccessLog | null;
  readonly audit: AuditLog;
  readonly metrics: Metrics;
  readonly watch: RevocationWatch;
  /** What is answered to who asks for the trust bundle; changed by a rotation. */
  trust: ClientTrust;
  /** Notes that the holder of a certificate has a bundle. Never fails. */
  readonly noteBundle: (taken: BundleTaken) => void;
  /** Where certificates are renewed. */
  readonly desk: EnrollDesk;
  readonly enrolment: EnrollPolicy;
  /** The Prefect server's own password; null when it has none, or the clients bring it. */
  readonly authString: string | null;
  /** Where Prefect has its API; clients find it at /api. */
  readonly apiPath: string;
  /** Asks Prefect, as nobody's client. */
  readonly ask: AskPrefect;
  /** Whose things of Prefect are. */
  readonly lookups: ScopeLookups;
  /** Who may do what; null permits everything. Changed by a reload, and holds at the next request. */
  policy: Policy | null;
}
