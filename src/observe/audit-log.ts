// The gate's record of who did what: one JSON line for each write and each refusal, durable before the client has its answer,
// and another for how a write went; each names the line before it (audit-chain.ts).
// Group commit: records that come while the disk is busy, or within ten milliseconds (two, when somebody waits for one and
// for nothing else), share the next write to the disk. A record is either acknowledged and on disk, or refused with
// CG_AUDIT_UNWRITABLE; how many were refused is itself recorded as soon as that is possible. It must never block the event
// loop, nor hold more than a bounded number of records.

import { CertgateError, fileReason } from '../errors.ts';
import { type Head, linkAll, roomFor, START } from './audit-chain.ts';
import { type Checkpoint, checkpointJson } from './audit-checkpoint.ts';
import { openAuditFile } from './audit-file.ts';
import { endBefore, headSince } from './audit-head.ts';
import { type AuditOutcome, gapRecord, type NewRecord, outcomeJson, recordJson } from './audit-lines.ts';
import { openAuditLock } from './audit-lock.ts';
import { openingJson, rotatedName, rotatedSeq } from './audit-rotation.ts';
import { checkpointClock, type Signing } from './audit-signing.ts';
import { recordUpkeep, type Upkeep } from './audit-upkeep.ts';

export { type AuditOutcome, type AuditRecord, LONGEST, type NewRecord, restOfRecord } from './audit-lines.ts';

export interface AuditLog {
  /** Resolves when the record is durable. CG_AUDIT_UNWRITABLE when it can't be, or too many wait already. */
  append(record: NewRecord): Promise<void>;
  /** Somebody waits for the record that `append` gave this promise for, and for nothing else. */
  hurry(appended: Promise<void>): void;
  /** Adds how a write went, a little later, together with others. What can't be added is counted as missing. */
  outcome(outcome: AuditOutcome): void;
  /** False from a failed write until one succeeds; it tries again with each append, and by itself once a second. */
  healthy(): boolean;
  /** Has all that is on record by now signed, unless it is; see Signing. */
  checkpoint(): Promise<void>;
  /** Writes what waits, then closes. Later appends are refused. */
  close(): Promise<void>;
}

export interface AuditLogOptions {
  /** Records that may wait for the disk; more are refused. Default 10 000. */
  readonly maxWaiting?: number;
  /** Signs checkpoints; none are made when left out. */
  readonly signing?: Signing;
  /** Has it go on in another file in time, and the oldest removed; neither happens when left out. */
  readonly upkeep?: Upkeep;
  /** The newest line that a checkpoint kept elsewhere speaks of; where it is not there any more, the next line shows it. */
  readonly known?: Head | null;
  /** Called when that is so. */
  readonly missing?: (words: string) => void;
}

/** Records that will be written together. */
interface Group {
  readonly bodies: string[];
  readonly written: PromiseWithResolvers<void>;
}

/** Records of one write; some 300 bytes each. */
const BATCH = 4096;
/** Octets that are kept for putting lines together. */
const MOST_KEPT = 256 * 1024;
/** Characters of all records that may wait. */
const MOST_WAITING = 16 * 1024 * 1024;
/**
 * From the beginning of one commit to that of the next, ms at least: each costs as much as several records, and a disk that
 * is faster than this would share it among few. Upstream works on the requests meanwhile, about as long, and the first answer
 * that waits has it begin; a record that comes after a pause waits for nothing.
 */
const INTERVAL = 10;
/** The same when upstream was faster, or the gate itself answers. */
const HURRIED = 2;
/** How often an unhealthy log tries by itself, ms. */
const RETRY = 1000;
/** How long outcomes wait for a record to share its commit with, ms; nobody waits for them. */
const OUTCOMES_WAIT = 100;
/** How many of them may wait. */
const MOST_OUTCOMES = 20_000;

/** Opens or creates (0600) the record at `path`. CG_AUDIT_UNWRITABLE when that fails. */
export async function openAuditLog(path: string, options: AuditLogOptions = {}): Promise<AuditLog> {
  const maxWaiting = options.maxWaiting ?? 10_000;
  const unwritable = (reason: string, cause?: unknown): CertgateError =>
    new CertgateError('CG_AUDIT_UNWRITABLE', { path, reason }, { cause });
  const file = await openAuditFile(path).catch((error: unknown) => {
    throw unwritable(fileReason(error), error);
  });
  const lock = openedLock(path, unwritable);

  let head: Head = START;
  /** What the file ends with is not what must be there. */
  let distrust = false;
  if (options.known) {
    const since = await headSince(path, options.known).catch((error: unknown) => {
      throw unwritable(fileReason(error), error);
    });
    if (since !== null) {
      head = since.head;
      distrust = true;
      options.missing?.(since.words);
    }
  }
  const clock = options.signing === undefined ? null : checkpointClock(options.signing, options.known?.seq ?? 0, add);
  /** The next group is the first; only the last one grows. */
  const groups: Group[] = [];
  let waiting = 0;
  let outcomes: string[] = [];
  /** What else is to be done with the file, each on its own; none rejects. */
  const deeds: Array<() => Promise<void>> = [];
  let characters = 0;
  /** Where lines are put together. */
  let room = Buffer.allocUnsafeSlow(0);
  let working: Promise<void> | null = null;
  let closed = false;
  /** Since when records are refused, and how many; null while all is well. */
  let gap: { readonly since: number; missing: number } | null = null;
  let healthy = true;
  let retry: NodeJS.Timeout | null = null;
  let later: NodeJS.Timeout | null = null;
  /** When the last commit began, by performance.now(). */
  let began = Number.NEGATIVE_INFINITY;
  /** Begins the commit that is waited with; null while there is none. */
  let begin: (() => void) | null = null;
  let hurried = false;
  /** Whether it is to go on in another file at the next occasion. */
  let moving: (() => Promise<boolean>) | null = null;
  /** The file that it has just left. */
  let left: string | null = null;
  const upkeep =
    options.upkeep === undefined
      ? null
      : recordUpkeep(path, options.upkeep, {
          size: () => file.size(),
          head: () =>
            inTurn(async () => {
              await write([]);
              return head;
            }),
          saved: () => clock?.saved() ?? 0,
          moveOn,
          add: (body) => inTurn(() => write([body])),
        });

  const missed = (count: number): void => {
    gap ??= { since: Date.now(), missing: 0 };
    gap.missing += count;
  };

  const lookAgain = (error: unknown): never => {
    file.forgetEnd(); // else the next look would begin the chain anew
    throw error;
  };
  /** Adopts where the chain ends by now; what is to stand first in what is written next, comes back. */
  async function look(): Promise<string[]> {
    const end = await file.changedEnd();
    if (end !== null) lock.share();
    // What this log has just left is known better than by looking at all that bears such a name.
    const before =
      end !== 'empty' ? null : left === null ? await endBefore(path).catch(lookAgain) : { head, file: left };
    left = null;
    // Where lines were taken out, what comes next shows it.
    const found = end === 'empty' ? (before?.head ?? null) : end;
    if (found !== null && !distrust && (head.seq === 0 || found.seq >= head.seq)) head = found;
    // A name that somebody else gave may be another's by tomorrow (logrotate).
    const name = before?.file ?? null;
    return name === null || rotatedSeq(name) === null ? [] : [openingJson(Date.now(), name)];
  }

  /** Writes `bodies` as the next lines of the chain, wherever that ends by now. */
  async function write(bodies: readonly string[]): Promise<void> {
    const all = [...(await look()), ...bodies];
    if (all.length === 0) return;
    // Written by now, or given up.
    if (room.length < roomFor(all)) room = Buffer.allocUnsafeSlow(2 * roomFor(all));
    const next = linkAll(all, head, room);
    await file.append(next.lines);
    if (room.length > MOST_KEPT) room = Buffer.allocUnsafeSlow(0);
    head = next.head;
    distrust = false;
    clock?.moved(head);
  }

  /** Not among those that wait: at the end of the log, nobody adds to those any more. */
  function inTurn<T>(deed: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      deeds.push(() => lock.holding(deed).then(resolve, reject));
      working ??= work();
    });
  }

  function add(checkpoint: Checkpoint): Promise<void> {
    return inTurn(async () => {
      await write([checkpointJson(checkpoint)]);
      // Who asked for it tries once more, and is told.
      await move().catch(() => {});
    });
  }

  /** Has the file end with a checkpoint, where one can be had, and goes on in another one while `due` says so. */
  async function moveOn(due: () => Promise<boolean>): Promise<void> {
    moving = due;
    try {
      await clock?.now();
      await inTurn(move);
    } finally {
      moving = null;
    }
  }

  async function move(): Promise<void> {
    if (moving === null) return;
    await write([]);
    // Another process may have done it.
    if (await moving()) {
      const to = rotatedName(path, Date.now(), head.seq);
      await file.moveTo(to);
      options.upkeep?.rotated(to);
      left = to;
      await write([]);
    }
    moving = null;
  }

  async function commit(group: Group | undefined): Promise<void> {
    const reported = gap;
    const count = reported?.missing ?? 0;
    const told = outcomes;
    outcomes = [];
    const bodies = group?.bodies ?? [];
    const gapBody = reported === null ? [] : [recordJson(gapRecord(reported.since, count))];
    try {
      await lock.holding(() => write([...gapBody, ...told, ...bodies]));
    } catch (error) {
      healthy = false;
      missed(bodies.length + told.length);
      group?.written.reject(unwritable(fileReason(error), error));
      return;
    }
    healthy = true;
    // What was refused meanwhile is still to be told.
    gap = gap !== null && gap.missing > count ? { since: Date.now(), missing: gap.missing - count } : null;
    group?.written.resolve();
    upkeep?.grown();
  }

  /** Whatever else arrives in this turn of the event loop, or within INTERVAL of the last commit's beginning, shares the next. */
  async function nextCommit(): Promise<void> {
    const wait = began + (hurried ? HURRIED : INTERVAL) - performance.now();
    if (wait <= 0 || closed) await new Promise(setImmediate);
    else {
      await new Promise<void>((resolve) => {
        begin = resolve;
        setTimeout(resolve, wait);
      });
      begin = null;
    }
    began = performance.now();
    hurried = false;
  }

  function hurry(appended: Promise<void>): void {
    // One that is being written comes no sooner.
    if (hurried || !groups.some(({ written }) => written.promise === appended)) return;
    hurried = true;
    if (begin === null) return;
    const wait = began + HURRIED - performance.now();
    // A timer would take a millisecond at least.
    if (wait < 1) setImmediate(begin);
    else setTimeout(begin, wait);
  }

  async function work(): Promise<void> {
    do {
      const deed = deeds.shift();
      if (deed !== undefined) {
        await deed();
        continue;
      }
      await nextCommit();
      const group = groups.shift();
      waiting -= group?.bodies.length ?? 0;
      for (const body of group?.bodies ?? []) characters -= body.length;
      await commit(group);
    } while (groups.length > 0 || deeds.length > 0);
    working = null;
    if (outcomes.length > 0) later ??= setTimeout(writeOutcomes, OUTCOMES_WAIT);
    if (gap !== null && !closed) retry ??= setTimeout(tryAgain, RETRY).unref();
  }

  function writeOutcomes(): void {
    later = null;
    if (outcomes.length > 0) working ??= work();
  }

  function tryAgain(): void {
    retry = null;
    if (!closed && gap !== null) working ??= work();
  }

  return {
    append(record) {
      if (closed) return Promise.reject(unwritable('it has been closed'));
      if (waiting >= maxWaiting || characters > MOST_WAITING) {
        missed(1);
        working ??= work();
        return Promise.reject(unwritable(`${waiting} records are waiting for the disk already`));
      }
      const body = recordJson(record);
      characters += body.length;
      waiting++;
      let group = groups.at(-1);
      if (group === undefined || group.bodies.length >= BATCH) {
        group = { bodies: [], written: Promise.withResolvers() };
        groups.push(group);
      }
      group.bodies.push(body);
      working ??= work();
      return group.written.promise;
    },
    outcome(outcome) {
      if (closed || outcomes.length >= MOST_OUTCOMES) missed(1);
      else if (outcomes.push(outcomeJson(outcome)) === 1 && working === null) {
        later ??= setTimeout(writeOutcomes, OUTCOMES_WAIT);
      }
    },
    hurry,
    healthy: () => healthy,
    checkpoint: async () => clock?.now(),
    async close() {
      closed = true;
      if (retry !== null) clearTimeout(retry);
      if (later !== null) clearTimeout(later);
      await upkeep?.stop();
      // A checkpoint that is being signed may come at any time: two at work would write over each other.
      while (working !== null) await working;
      if (gap !== null || outcomes.length > 0) {
        working = work();
        await working;
      }
      await clock?.now();
      clock?.stop();
      await file.close();
      lock.close();
    },
  };
}

function openedLock(path: string, unwritable: (reason: string, cause: unknown) => CertgateError) {
  try {
    return openAuditLock(path);
  } catch (error) {
    throw unwritable(fileReason(error), error);
  }
}
