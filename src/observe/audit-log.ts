// The gate's record of who did what: one JSON line for each write and each refusal, durable before the request goes on.
// Group commit: records that come while the disk is busy, or within a millisecond, share the next write and fdatasync. A
// record is either acknowledged and on disk, or refused with CG_AUDIT_UNWRITABLE; how many were refused is itself recorded
// as soon as that is possible. It must never block the event loop, nor hold more than a bounded number of records.

import { CertgateError, reasonOf } from '../errors.ts';
import { asciiJson } from './ascii-json.ts';
import { openAuditFile } from './audit-file.ts';

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

export interface AuditLog {
  /** Resolves when the record is durable. CG_AUDIT_UNWRITABLE when it can't be, or too many wait already. */
  append(record: AuditRecord): Promise<void>;
  /** False from a failed write until one succeeds; it tries again with each append, and by itself once a second. */
  healthy(): boolean;
  /** Writes what waits, then closes. Later appends are refused. */
  close(): Promise<void>;
}

export interface AuditLogOptions {
  /** Records that may wait for the disk; more are refused. Default 10 000. */
  readonly maxWaiting?: number;
}

interface Waiting {
  readonly line: string;
  readonly resolve: () => void;
  readonly reject: (error: CertgateError) => void;
}

/** Records of one write; some 300 bytes each. */
const BATCH = 4096;
/** Longer texts are cut: a peer's path must not fill the disk. Characters. */
const LONGEST = 1024;
/** Characters of all records that may wait. */
const MOST_WAITING = 16 * 1024 * 1024;
/**
 * From the beginning of one commit to that of the next, ms at least: each costs as much as several records, and a disk that
 * is faster than this would share it among few. Upstream works on the request meanwhile.
 */
const INTERVAL = 1;
/** How often an unhealthy log tries by itself, ms. */
const RETRY = 1000;

/** Opens or creates (0600) the record at `path`. CG_AUDIT_UNWRITABLE when that fails. */
export async function openAuditLog(path: string, options: AuditLogOptions = {}): Promise<AuditLog> {
  const maxWaiting = options.maxWaiting ?? 10_000;
  const unwritable = (reason: string, cause?: unknown): CertgateError =>
    new CertgateError('CG_AUDIT_UNWRITABLE', { path, reason }, { cause });
  const file = await openAuditFile(path).catch((error: unknown) => {
    throw unwritable(reasonOf(error), error);
  });

  let waiting: Waiting[] = [];
  let characters = 0;
  let working: Promise<void> | null = null;
  let closed = false;
  /** Since when records are refused, and how many; null while all is well. */
  let gap: { readonly since: number; missing: number } | null = null;
  let healthy = true;
  let retry: NodeJS.Timeout | null = null;
  /** When the last commit began, by performance.now(). */
  let began = Number.NEGATIVE_INFINITY;

  const missed = (count: number): void => {
    gap ??= { since: Date.now(), missing: 0 };
    gap.missing += count;
  };

  async function commit(batch: readonly Waiting[]): Promise<void> {
    const reported = gap;
    const count = reported?.missing ?? 0;
    const gapLine = reported === null ? '' : lineOf(gapRecord(reported.since, count));
    try {
      await file.append(Buffer.from(gapLine + batch.map((one) => one.line).join(''), 'latin1'));
    } catch (error) {
      healthy = false;
      missed(batch.length);
      const problem = unwritable(reasonOf(error), error);
      for (const one of batch) one.reject(problem);
      return;
    }
    healthy = true;
    // What was refused meanwhile is still to be told.
    gap = gap !== null && gap.missing > count ? { since: Date.now(), missing: gap.missing - count } : null;
    for (const one of batch) one.resolve();
  }

  /** Whatever else arrives in this turn of the event loop, or within INTERVAL of the last commit's beginning, shares the next. */
  async function nextCommit(): Promise<void> {
    const wait = began + INTERVAL - performance.now();
    if (wait <= 0 || closed) await new Promise(setImmediate);
    else await new Promise((resolve) => setTimeout(resolve, wait));
    began = performance.now();
  }

  async function work(): Promise<void> {
    do {
      await nextCommit();
      const batch = waiting.slice(0, BATCH);
      waiting = waiting.slice(BATCH);
      for (const one of batch) characters -= one.line.length;
      await commit(batch);
    } while (waiting.length > 0);
    working = null;
    if (gap !== null && !closed) retry ??= setTimeout(tryAgain, RETRY).unref();
  }

  function tryAgain(): void {
    retry = null;
    if (!closed && gap !== null) working ??= work();
  }

  return {
    append(record) {
      if (closed) return Promise.reject(unwritable('it has been closed'));
      if (waiting.length >= maxWaiting || characters > MOST_WAITING) {
        missed(1);
        working ??= work();
        return Promise.reject(unwritable(`${waiting.length} records are waiting for the disk already`));
      }
      const line = lineOf(record);
      characters += line.length;
      return new Promise((resolve, reject) => {
        waiting.push({ line, resolve, reject });
        working ??= work();
      });
    },
    healthy: () => healthy,
    async close() {
      closed = true;
      if (retry !== null) clearTimeout(retry);
      if (gap !== null) working ??= work();
      await working;
      await file.close();
    },
  };
}

/** The fields in one fixed order, whatever else the object carries. */
function lineOf(record: AuditRecord): string {
  const { time, serial, decision, code, status } = record;
  const line = asciiJson({
    time,
    requestId: cut(record.requestId),
    identity: cut(record.identity),
    serial,
    address: cut(record.address),
    method: cut(record.method),
    path: cut(record.path),
    operation: record.operation,
    object: cut(record.object),
    decision,
    code,
    status,
    reason: cut(record.reason),
    role: record.role ?? null,
    rule: cut(record.rule ?? null),
  });
  return `${line}\n`;
}

function cut(text: string | null): string | null {
  return text === null || text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}... (${text.length} characters)`;
}

/** Says in the record itself that something is missing from it. */
function gapRecord(since: number, missing: number): AuditRecord {
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
