// What is put on record about a decision: who, from where, what it was about, what was decided and by which rule.

import type { RequestHead } from '../http1/request-head.ts';
import { inOnePiece } from '../observe/ascii-json.ts';
import { type AuditLog, LONGEST, type NewRecord, restOfRecord } from '../observe/audit-log.ts';
import { type Operation, objectOf } from '../policy/operation.ts';
import type { Answer } from '../proxy/contract.ts';
import type { Admitted } from './admission.ts';
import type { Judgement } from './permission.ts';

/** What a record says of a request that `judgement` permits. */
export interface Permitted {
  readonly judgement: Judgement | null;
  /** See NewRecord. */
  readonly rest: string;
}

interface Decision {
  readonly reading: {
    readonly head: RequestHead;
    readonly path: string;
    /** For access lines. */
    readonly subject: string;
    readonly operation: Operation | null;
    readonly judgement: Judgement | null;
    /** Its record where it is permitted, but for time and id. */
    permitted: Permitted | null;
  };
  readonly requestId: string;
  /** Null for what is permitted. */
  readonly code: string | null;
}

/** Why a request is refused, and how the answer says it. */
export interface Refusing {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  /** In place of the JSON with `detail`. */
  readonly body?: Answer['body'];
  /** Further header lines. */
  readonly extra?: string;
  readonly wait?: boolean;
  readonly close?: boolean;
  readonly closeWebSocket?: string;
}

/** The record of a decision about a request of `client`, made now. */
export function recordOfDecision(
  client: Admitted,
  address: string,
  { reading, requestId, code }: Decision,
  status: number | null,
  reason: string | null,
): NewRecord {
  const { judgement } = reading;
  if (code !== null || status !== null || reason !== null) {
    return { time: Date.now(), requestId, rest: restOf(client, address, reading, code, status, reason) };
  }
  let known = reading.permitted;
  if (known === null || known.judgement !== judgement) {
    known = { judgement, rest: inOnePiece(restOf(client, address, reading, null, null, null)) };
    reading.permitted = known;
  }
  return { time: Date.now(), requestId, rest: known.rest };
}

function restOf(
  { identity, serial }: Admitted,
  address: string,
  { head, path, operation, judgement, subject }: Decision['reading'],
  code: string | null,
  status: number | null,
  reason: string | null,
): string {
  // What is refused may have been permitted before, or by its head alone: no role permits it.
  const by = code === null ? judgement : null;
  const record = {
    identity,
    serial,
    address,
    method: head.method,
    path,
    operation: operation?.name ?? null,
    object: operation === null ? null : objectOf(operation),
    decision: code === null ? 'permit' : 'refuse',
    code,
    status,
    reason,
    role: by?.role ?? null,
    rule: by?.rule ?? null,
  } as const;
  const whole = identity.length + head.method.length + path.length <= LONGEST;
  return whole ? restOfRecord(record, subject) : restOfRecord(record);
}

/** How a request that is on record went: the status that was answered, why it ended, after how many ms. */
export function noteOutcome(audit: AuditLog, requestId: string, outcome: number, ending: string, ms: number): void {
  audit.outcome({ time: Date.now(), requestId, outcome, ending, ms });
}
