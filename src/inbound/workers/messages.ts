// What primary and workers say to each other over node:cluster's channel (structured clones). A question carries an id, and
// its answer the same one. Nothing here is trusted less than the process itself: both ends are the same program.

import type { LockSummary } from '../../authority/lock-table.ts';
import type { PolicyWords } from '../../config/policy-words.ts';
import type { Config } from '../../config/schema.ts';
import type { RenewalHolder } from '../../enroll/contract.ts';
import type { AuditOutcome, NewRecord } from '../../observe/audit-log.ts';
import type { Metrics } from '../../observe/metrics.ts';
import type { ConnectionWork } from '../../proxy/open-connections.ts';
import type { BundleTaken } from '../../store/store.ts';
import type { ClientTrust, ServerCredentials } from '../server-certificate.ts';

/** All that a worker needs; it reads no configuration and no key itself. */
export interface WorkerStart {
  readonly config: Config;
  readonly authString: string | null;
  readonly trust: ClientTrust;
  readonly credentials: ServerCredentials;
  /** As the primary has checked it. */
  readonly policy: PolicyWords | null;
  readonly workers: number;
}

/** How a worker's part of the gate is. */
export interface WorkerHealth {
  readonly store: boolean;
  readonly upstream: boolean;
  readonly connections: number;
  readonly locks: LockSummary;
  readonly metrics: Metrics;
}

/** Requests in flight of an identity. */
export type InFlight = readonly [identity: string, requests: number];

export type ToWorker =
  | { readonly kind: 'start'; readonly start: WorkerStart }
  /** Comes with the socket, which may have gone on the way. */
  | { readonly kind: 'connection'; readonly connection: number; readonly address: string }
  | { readonly kind: 'credentials'; readonly credentials: ServerCredentials; readonly trust: ClientTrust }
  | { readonly kind: 'elsewhere'; readonly inFlight: readonly InFlight[] }
  | { readonly kind: 'audit-health'; readonly healthy: boolean }
  | { readonly kind: 'drain'; readonly ms: number }
  | { readonly kind: 'hurry' }
  | { readonly kind: 'ask'; readonly id: number; readonly question: WorkerQuestion }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown };

/** What the primary asks a worker. */
export type WorkerQuestion =
  | { readonly about: 'records'; readonly causes: readonly string[] }
  /** Answered when it holds here, or will where this worker does not serve yet, or a newer one came. */
  | { readonly about: 'policy'; readonly policy: PolicyWords }
  /** Answered by whoever takes messages at all. */
  | { readonly about: 'life' }
  | { readonly about: 'health' };

export interface AppliedHere {
  readonly revision: number;
  readonly cut: ConnectionWork;
}

export type ToPrimary =
  | { readonly kind: 'hello' }
  | { readonly kind: 'ready' }
  /** It can't start: an error of the catalogue, or `code` null with a reason. */
  | { readonly kind: 'failed'; readonly code: string | null; readonly facts: unknown; readonly reason: string }
  /** It has the socket that came with `connection`. */
  | { readonly kind: 'taken'; readonly connection: number }
  | { readonly kind: 'closed'; readonly connections: readonly number[] }
  | { readonly kind: 'left'; readonly identity: string }
  | { readonly kind: 'in-flight'; readonly inFlight: readonly InFlight[] }
  | { readonly kind: 'metrics'; readonly metrics: Metrics }
  | { readonly kind: 'bundle'; readonly taken: BundleTaken }
  /** How writes went. */
  | { readonly kind: 'outcomes'; readonly outcomes: readonly AuditOutcome[] }
  /** As `EnrollDesk.seen`. */
  | { readonly kind: 'seen'; readonly serial: string }
  | { readonly kind: 'ask'; readonly id: number; readonly question: PrimaryQuestion }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown };

/** What a worker asks the primary. */
export type PrimaryQuestion =
  /** May one more connection of it be served? The answer is a boolean. */
  | { readonly about: 'identity'; readonly identity: string }
  /** Make these durable. The answer is an `AuditAnswer`. */
  | { readonly about: 'audit'; readonly records: readonly NewRecord[] }
  /** As `EnrollDesk.enroll` and `.renew`; the answer is a `DeskAnswer`. */
  | {
      readonly about: 'enroll';
      readonly body: string;
      readonly from: { readonly address: string; readonly addressKey: string };
    }
  | { readonly about: 'renew'; readonly body: string; readonly holder: RenewalHolder };

export interface AuditAnswer {
  /** Why a record, by its place in the question, is not durable. */
  readonly failed: ReadonlyArray<readonly [place: number, reason: string]>;
}

/** The channel to the primary. */
export interface Channel {
  send(message: ToPrimary): void;
  /** All messages from now on, with the socket that came with one. */
  listen(heard: (message: ToWorker, socket: unknown) => void): void;
}
