// Writes lines to a file descriptor beside the event loop, in order, holding what the reader has not yet taken in memory
// up to a bound. It never throws and never keeps a process: a reader that stalls and a disk that is full cost lines, and
// an ending process tries once more for a bounded time. (Not sonic-boom: its flushSync tries for ever when a disk is full
// or a pipe's reader has stopped, so that only SIGKILL ended the process.)

import { openSync, write, writeSync } from 'node:fs';

/** A reader that is behind is tried again after this, ms; a destination that failed (no space) after that. */
const BUSY_WAIT = 100;
const FAILED_WAIT = 1_000;
/** How long an ending process waits for a reader that is behind, ms. */
const LAST_WAIT = 1_000;

export interface LineWriter {
  /** Takes whole lines, which must not change any more; false when there was no room and they are lost. */
  write(lines: Buffer): boolean;
  /** Calls `done` once all lines so far are handed to the operating system, or could not be. */
  flush(done: () => void): void;
  /** Hands over what is left, in the last moment of the process; it blocks for a bounded time. */
  writeLast(): void;
}

export interface LineWriterOptions {
  /** Bytes that may wait. */
  readonly backlog: number;
  /** Lines are joined up to this many bytes for one write. */
  readonly most: number;
}

/** Opens `target`, a file descriptor or the path of a file (0600). `drained` is told whenever nothing waits any more. */
export function openLineWriter(
  target: number | string,
  { backlog, most }: LineWriterOptions,
  drained: () => void,
): LineWriter {
  const fd = typeof target === 'number' ? target : openOrNone(target);
  const queue: Buffer[] = [];
  let waiting = 0;
  let present: Buffer | null = null;
  let inFlight = false;
  let timer: NodeJS.Timeout | null = null;
  let flushed: Array<() => void> = [];

  const settle = (): void => {
    const told = flushed;
    flushed = [];
    for (const done of told) done();
  };
  const later = (ms: number): void => {
    timer = setTimeout(() => {
      timer = null;
      next();
    }, ms).unref();
  };
  const next = (): void => {
    present ??= take(queue, most);
    if (present === null) {
      settle();
      drained();
      return;
    }
    inFlight = true;
    const bytes = present;
    write(fd, bytes, (error, written) => {
      inFlight = false;
      if (error === null) {
        waiting -= written;
        present = written === bytes.length ? null : bytes.subarray(written);
        next();
      } else if (isBusy(error)) later(BUSY_WAIT);
      else {
        settle();
        later(FAILED_WAIT);
      }
    });
  };

  return {
    write(lines) {
      if (fd < 0 || waiting + lines.length > backlog) return false;
      queue.push(lines);
      waiting += lines.length;
      if (!inFlight && timer === null) next();
      return true;
    },
    flush(done) {
      if (waiting === 0) done();
      else flushed.push(done);
    },
    writeLast() {
      // What is being written right now is the operating system's; the rest may overtake it.
      let bytes = inFlight ? take(queue, most) : (present ?? take(queue, most));
      const end = performance.now() + LAST_WAIT;
      while (bytes !== null) {
        try {
          const written = writeSync(fd, bytes);
          bytes = written === bytes.length ? take(queue, most) : bytes.subarray(written);
        } catch (error) {
          if (!isBusy(error) || performance.now() > end) return;
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
        }
      }
    },
  };
}

function take(queue: Buffer[], most: number): Buffer | null {
  let size = 0;
  let count = 0;
  for (const { length } of queue) {
    if (count > 0 && size + length > most) break;
    size += length;
    count++;
  }
  return count > 1 ? Buffer.concat(queue.splice(0, count), size) : (queue.shift() ?? null);
}

function openOrNone(path: string): number {
  try {
    return openSync(path, 'a', 0o600);
  } catch {
    return -1;
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EAGAIN' || error.code === 'EBUSY');
}
