// What the record says of a client's request, made of what was read of it and what was decided.

import type { AuditLog, AuditRecord } from '../observe/audit-log.ts';
import { objectOf } from '../policy/operation.ts';
import type { Admitted } from './admission.ts';
import type { Judged } from './permission.ts';

/** A request of which the gate has decided. */
export interface Recorded {
  readonly reading: Judged & { readonly path: string };
  readonly requestId: string;
  /** Why it is refused; null for what is permitted. */
  readonly code: string | null;
}

/** `status` and `reason` for what the gate itself answers; null for what is sent on. */
export function recordOf(
  client: Pick<Admitted, 'identity' | 'serial'>,
  address: string,
  { reading, requestId, code }: Recorded,
  status: number | null,
  reason: string | null,
): AuditRecord {
  const { head, path, operation, judgement } = reading;
  return {
    time: Date.now(),
    requestId,
    identity: client.identity,
    serial: client.serial,
    address,
    method: head.method,
    path,
    operation: operation?.name ?? null,
    object: operation === null ? null : objectOf(operation),
    decision: code === null ? 'permit' : 'refuse',
    code,
    status,
    reason,
    role: judgement?.role ?? null,
    rule: judgement?.rule ?? null,
  };
}

/** How a request that is on record went: the status that was answered, why it ended, after how many ms. */
export function noteOutcome(audit: AuditLog, requestId: string, outcome: number, ending: string, ms: number): void {
  audit.outcome({ time: Date.now(), requestId, outcome, ending, ms });
}
