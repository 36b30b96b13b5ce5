// The record as a worker has it: the primary writes the one file, and a record is acknowledged here when it is durable
// there, so that a worker that is killed has answered no write that is not on record. Records of one turn of the event
// loop travel together. Holds a bounded number of them.

import { CertgateError, isCertgateError, reasonOf } from '../../errors.ts';
import type { AuditLog, AuditOutcome, NewRecord } from '../../observe/audit-log.ts';
import type { AuditAnswer } from './messages.ts';

/** More than the primary lets wait, so that it is the primary that refuses and records how many are missing. */
const MOST_WAITING = 20_000;

export interface RelayedAudit extends AuditLog {
  /** What the primary says of its file. */
  setHealthy(healthy: boolean): void;
}

/** `path` is the file's, for messages; `commit` sends records to the primary, `tell` how writes went. */
export function relayAudit(
  path: string,
  commit: (records: readonly NewRecord[]) => Promise<AuditAnswer>,
  tell: (outcomes: readonly AuditOutcome[]) => void,
): RelayedAudit {
  const unwritable = (reason: string) => new CertgateError('CG_AUDIT_UNWRITABLE', { path, reason });
  let batch: Array<{ record: NewRecord; resolve: () => void; reject: (error: CertgateError) => void }> = [];
  let outcomes: AuditOutcome[] = [];
  let waiting = 0;
  let healthy = true;
  let closed = false;
  let idle: () => void = () => {};

  async function send(): Promise<void> {
    const sent = batch;
    batch = [];
    try {
      const { failed } = await commit(sent.map(({ record }) => record));
      const reasons = new Map(failed);
      sent.forEach(({ resolve, reject }, place) => {
        const reason = reasons.get(place);
        if (reason === undefined) resolve();
        else reject(unwritable(reason));
      });
    } catch (error) {
      for (const { reject } of sent) reject(unwritable(reasonOf(error)));
    }
    waiting -= sent.length;
    if (waiting === 0) idle();
  }

  const tellOutcomes = (): void => {
    const told = outcomes;
    outcomes = [];
    if (told.length > 0) tell(told);
  };

  return {
    append(record) {
      if (closed) return Promise.reject(unwritable('it has been closed'));
      if (waiting >= MOST_WAITING) {
        return Promise.reject(unwritable(`${waiting} records are waiting for the disk already`));
      }
      waiting++;
      return new Promise((resolve, reject) => {
        batch.push({ record, resolve, reject });
        if (batch.length === 1) setImmediate(() => void send());
      });
    },
    outcome(outcome) {
      if (outcomes.push(outcome) === 1) setImmediate(tellOutcomes);
    },
    // The primary's concern.
    hurry() {},
    checkpoint: async () => {},
    healthy: () => healthy,
    setHealthy(now) {
      healthy = now;
    },
    async close() {
      closed = true;
      tellOutcomes();
      if (waiting === 0) return;
      await new Promise<void>((resolve) => {
        idle = resolve;
      });
    },
  };
}

/** The primary's side: hands `records` to the file and says which are not durable. */
export async function commitRelayed(audit: AuditLog, records: readonly NewRecord[]): Promise<AuditAnswer> {
  const failed: Array<readonly [number, string]> = [];
  const appended = records.map((record) => audit.append(record));
  // Which answers wait for them is not known here.
  for (const one of new Set(appended)) audit.hurry(one);
  // The worker says which record it is about.
  const reasonIn = (error: unknown): string =>
    isCertgateError(error, 'CG_AUDIT_UNWRITABLE') ? error.facts.reason : reasonOf(error);
  const told = (error: unknown, place: number) => void failed.push([place, reasonIn(error)]);
  await Promise.all(appended.map((one, place) => one.catch((error: unknown) => told(error, place))));
  return { failed };
}
