// When a checkpoint of the record is due: so many lines, or so long, after the last one; when the record goes on in another
// file, and at its end. Signing takes as long as the signer takes, and no line waits for it: the statement names the line
// that was the newest when it began. What can't be signed is told and tried again; the record goes on without.

import type { Head } from './audit-chain.ts';
import type { Checkpoint } from './audit-checkpoint.ts';

export interface Signing {
  /** Signs that `record` is the newest line. Rejects with why not. */
  readonly sign: (record: Head) => Promise<Checkpoint>;
  /** A checkpoint is on record. */
  readonly signed: (checkpoint: Checkpoint) => Promise<void>;
  readonly failed: (error: unknown) => void;
  /** From a line to the checkpoint that covers it, ms. */
  readonly every: number;
}

/** Lines after which one is due before its time. */
const MANY = 10_000;
/** A signature that took this many lines to make is of no use to those who verify in one pass (audit-verify.ts). */
export const LATEST = 30_000;
/** How long after a failure it is tried again, ms. */
const AFTER_FAILURE = 30_000;

export interface CheckpointClock {
  /** The newest line is `head` now. */
  moved(head: Head): void;
  /** Signs now, if there is a line that is not covered, and resolves when that is on record or has failed. */
  now(): Promise<void>;
  /** The newest line that a checkpoint covers which is kept elsewhere too. */
  saved(): number;
  stop(): void;
}

/** `add` puts a checkpoint on record; `known` is the line that the newest one covers. */
export function checkpointClock(
  signing: Signing,
  known: number,
  add: (checkpoint: Checkpoint) => Promise<void>,
): CheckpointClock {
  let head: Head | null = null;
  /** The newest line that is a checkpoint's, or that one covers. */
  let covered = 0;
  let saved = known;
  let timer: NodeJS.Timeout | null = null;
  let working: Promise<void> | null = null;
  let stopped = false;

  async function work(): Promise<void> {
    if (head === null || head.seq <= covered) return;
    try {
      const checkpoint = await signing.sign(head);
      if ((head?.seq ?? 0) - checkpoint.record.seq > LATEST) throw new Error('the signature came too late');
      const before = head.seq;
      await add(checkpoint);
      // Its own line needs no other one.
      covered = head.seq === before + 1 ? head.seq : checkpoint.record.seq;
      await signing.signed(checkpoint);
      saved = checkpoint.record.seq;
    } catch (error) {
      signing.failed(error);
      wake(AFTER_FAILURE);
    }
  }

  function wake(ms: number): void {
    if (stopped || timer !== null) return;
    timer = setTimeout(() => {
      timer = null;
      void now();
    }, ms);
    timer.unref();
  }

  async function now(): Promise<void> {
    while (working !== null) await working;
    working = work();
    await working;
    working = null;
    if (head !== null && head.seq > covered) wake(signing.every);
  }

  return {
    moved(to) {
      head = to;
      if (to.seq <= covered) return;
      wake(signing.every);
      if (to.seq - covered >= MANY && working === null) void now();
    },
    now,
    saved: () => saved,
    stop() {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
    },
  };
}
