// The lines of the record from a number on, and then those that come, for who follows it: `certgate audit --follow` and
// export. It goes by the numbers of the lines and by open files, so that a rename, a rotation while nobody looked, a new gate
// or a file that was cut and filled anew neither loses a line nor gives one twice. It reads only, holds one line, and looks
// for more five times a second: a gate need not know of it.

import { type FileHandle, open, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { placeOf } from './audit-chain.ts';
import { filesOf, firstSeq } from './audit-head.ts';
import { type AuditLine, auditLines } from './audit-reader.ts';

export interface TailLine extends AuditLine {
  readonly file: string;
  /** 0 for a line that is no part of the chain. */
  readonly seq: number;
  /** The hash that it names; empty for 0. */
  readonly prev: string;
}

export interface TailOptions {
  /** The number after which to begin; what stands outside of the chain is left out then. Default 0: everything. */
  readonly after?: number;
  readonly signal: AbortSignal;
}

/** How often it looks for more, ms. */
const LOOK = 200;

interface Open {
  readonly file: string;
  readonly handle: FileHandle;
  readonly device: bigint;
  readonly inode: bigint;
  at: number;
  lines: number;
}

/**
 * Every line once, in the order written; null whenever there is no more for now. Ends when the signal is aborted. The caller
 * sees by `seq` whether lines are missing. CG_AUDIT_UNREADABLE, the system's error.
 */
export async function* tailAudit(path: string, { after = 0, signal }: TailOptions): AsyncGenerator<TailLine | null> {
  let newest = after;
  let current: Open | null = null;

  /** What `file` has more than was read; its unfinished end too when nothing will be added to it. */
  async function* more(file: Open, finished: boolean): AsyncGenerator<TailLine> {
    const { size } = await file.handle.stat();
    // Cut and filled anew (logrotate's copytruncate): numbers tell what is known.
    if (size < file.at) Object.assign(file, { at: 0, lines: 0 });
    if (size === file.at) return;
    for await (const line of auditLines(file.file, { start: file.at, hashed: true, handle: file.handle })) {
      if (!line.ended && !finished) return;
      Object.assign(file, { at: line.end, lines: file.lines + 1 });
      const place = line.ended && line.text !== null ? placeOf(line.text) : null;
      if (place === null ? after > 0 : place.seq <= newest) continue;
      newest = place?.seq ?? newest;
      yield { ...line, number: file.lines, file: file.file, seq: place?.seq ?? 0, prev: place?.prev ?? '' };
      if (signal.aborted) return;
    }
  }

  try {
    while (!signal.aborted) {
      if (current !== null) yield* more(current, false);
      const next: Open | null = signal.aborted ? null : await nextOf(path, current, newest);
      if (next !== null) {
        // Whoever wrote the next one has written the last of this one before.
        if (current !== null) yield* more(current, true);
        await current?.handle.close();
        current = next;
        continue;
      }
      yield null;
      await sleep(LOOK, undefined, { signal }).catch(() => {});
    }
  } finally {
    await current?.handle.close();
  }
}

/** The file in which the record goes on after `current`, open, once something stands in it; null while there is none. */
async function nextOf(path: string, current: Open | null, newest: number): Promise<Open | null> {
  if (current !== null && (await isAt(path, current))) return null;
  const files = await filesOf(path);
  if (current === null) {
    // The last one that begins no later than what is wanted; the first, when everything is, or all begin later.
    let from: string | undefined;
    for (const file of files) {
      const first = await firstSeq(file);
      const begun = first > 0 && first <= newest + 1;
      if (newest > 0 && begun) from = file;
      else if (from === undefined && (await isWritten(file))) from = file;
    }
    return from === undefined ? null : openFile(from);
  }
  let passed = false;
  let later: string | undefined;
  for (const file of files) {
    if (await isAt(file, current)) passed = true;
    else if (passed && (await isWritten(file))) return openFile(file);
    else if ((await firstSeq(file)) > newest) later ??= file;
  }
  if (passed) return null;
  // It is not here any more. One that begins before (a restored copy) may still go on: numbers tell what is known.
  const next = later ?? path;
  return (await isWritten(next)) ? openFile(next) : null;
}

async function isWritten(path: string): Promise<boolean> {
  return ((await stat(path).catch(() => null))?.size ?? 0) > 0;
}

async function isAt(path: string, { device, inode }: Open): Promise<boolean> {
  const facts = await stat(path, { bigint: true }).catch(() => null);
  return facts?.dev === device && facts.ino === inode;
}

async function openFile(file: string): Promise<Open | null> {
  const handle = await open(file).catch(() => null);
  if (handle === null) return null;
  const facts = await handle.stat({ bigint: true });
  return { file, handle, device: facts.dev, inode: facts.ino, at: 0, lines: 0 };
}
