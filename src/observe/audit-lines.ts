// The lines of the record as JSON: what an act of a client looks like, how it went, and that something is missing. Fields
// stand in one fixed order, whatever else an object carries, and texts from a peer are cut. Their number and the hash of the
// line before are added when they are written (audit-chain.ts).

import { asciiText } from './ascii-json.ts';

export interface AuditRecord {
  /** ms since the epoch */
  readonly time: number;
  readonly requestId: string;
  readonly identity: string | null;
  /** The certificate's serial number, hex. */
  readonly serial: string | null;
  /** The peer's IP address. */
  readonly address: string;
  readonly method: string;
  /** Decoded, without the query string. */
  readonly path: string;
  /** Prefect's handler, e.g. `create_flow_run`. */
  readonly operation: string | null;
  /** What the path names: an id, or names joined by `/`. */
  readonly object: string | null;
  readonly decision: 'permit' | 'refuse';
  /** Why it was refused, from the catalogue of errors. */
  readonly code: string | null;
  /** The HTTP status answered, when the gate itself answered. */
  readonly status: number | null;
  readonly reason: string | null;
  /** By which role the policy permits it; null where none does, or there is no policy. Older records have none. */
  readonly role?: string | null;
  /** Where that role is bound, e.g. `policy.yaml:12:5`. */
  readonly rule?: string | null;
}

/** A record that is to be written: its fields, or what `restOfRecord` has made of those from `identity` on. */
export type NewRecord = AuditRecord | (Pick<AuditRecord, 'time' | 'requestId'> & { readonly rest: string });

/** How a permitted write went: a line of its own, because its record must be durable before anybody can know. */
export interface AuditOutcome {
  /** ms since the epoch */
  readonly time: number;
  /** Of its record. */
  readonly requestId: string;
  /** The HTTP status that the client was answered; 0 when it got none. */
  readonly outcome: number;
  /** `complete`, `client-gone`, `upstream-failed` or `cut`; `refused` when its body was. */
  readonly ending: string;
  /** From the request's head to the last octet of the answer. */
  readonly ms: number;
}

/** Longer texts are cut: a peer's path must not fill the disk. Characters. */
export const LONGEST = 1024;

/** The JSON of a record, ASCII, without a line feed. */
export function recordJson(record: NewRecord): string {
  const rest = 'rest' in record ? record.rest : restOfRecord(record);
  return `{"time":${record.time},"requestId":${cutText(record.requestId)},${rest}}`;
}

/**
 * The members from `identity` on. `subject` is what `accessSubject` has made of those up to `operation`, where they are no
 * longer than LONGEST.
 */
export function restOfRecord(record: Omit<AuditRecord, 'time' | 'requestId'>, subject = subjectOf(record)): string {
  const { object, decision, code, status, reason, role = null, rule = null } = record;
  const why =
    code === null && status === null && reason === null
      ? '"code":null,"status":null,"reason":null'
      : `"code":${asciiText(code)},"status":${status},"reason":${cutText(reason)}`;
  return `${subject},"object":${cutText(object)},"decision":"${decision}",${why},"role":${asciiText(role)},"rule":${cutText(rule)}`;
}

type Subject = Pick<AuditRecord, 'identity' | 'serial' | 'address' | 'method' | 'path' | 'operation'>;

function subjectOf({ identity, serial, address, method, path, operation }: Subject): string {
  return (
    `"identity":${cutText(identity)},"serial":${asciiText(serial)},"address":${cutText(address)},` +
    `"method":${cutText(method)},"path":${cutText(path)},"operation":${asciiText(operation)}`
  );
}

/** The JSON of an outcome. */
export function outcomeJson({ time, requestId, outcome, ending, ms }: AuditOutcome): string {
  return `{"time":${time},"requestId":"${requestId}","outcome":${outcome},"ending":"${ending}","ms":${Math.round(ms)}}`;
}

function cutText(text: string | null): string {
  return asciiText(
    text === null || text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}... (${text.length} characters)`,
  );
}

/** Says in the record itself that something is missing from it. */
export function gapRecord(since: number, missing: number): AuditRecord {
  const reason = `the record could not be written from ${new Date(since).toISOString()} on; entries missing: ${missing}`;
  return {
    time: Date.now(),
    requestId: 'gap',
    identity: null,
    serial: null,
    address: '',
    method: '',
    path: '',
    operation: null,
    object: null,
    decision: 'refuse',
    code: 'CG_AUDIT_UNWRITABLE',
    status: null,
    reason,
  };
}
