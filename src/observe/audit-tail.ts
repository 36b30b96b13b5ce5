// The lines of the record from a number on, and then those that come, for who follows it: `certgate audit --follow` and
// export. It goes by the numbers of the lines and by open files, so that a rename, a rotation while nobody looked, a new gate
// or a file that was cut and filled anew neither loses a line nor gives one twice. It reads only, holds one line, and looks
// for more five times a second: a gate need not know of it.

import { type FileHandle, open, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { placeOf } from './audit-chain.ts';
import { listRecord, type RecordFile } from './audit-files.ts';
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
  /** False spares the hashes of the lines, which are empty then. */
  readonly hashed?: boolean;
  readonly signal: AbortSignal;
}

/** How often it looks for more, ms. */
const LOOK = 200;
/** How often a file is looked for anew at once because the files changed under it. */
const ATTEMPTS = 20;

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
export async function* tailAudit(
  path: string,
  { after = 0, hashed = true, signal }: TailOptions,
): AsyncGenerator<TailLine | null> {
  let newest = after;
  let current: Open | null = null;

  /** What `file` has more than was read; its unfinished end too when nothing will be added to it. */
  async function* more(file: Open, finished: boolean): AsyncGenerator<TailLine> {
    const { size } = await file.handle.stat();
    // Cut and filled anew (logrotate's copytruncate): numbers tell what is known.
    if (size < file.at) Object.assign(file, { at: 0, lines: 0 });
    if (size === file.at) return;
    for await (const line of auditLines(file.file, { start: file.at, hashed, handle: file.handle })) {
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
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (current !== null && (await isAt(path, current))) return null;
    const next = nextIn(await listRecord(path), path, current, newest);
    if (next === null) return null;
    const file = await openFile(next);
    // Else it was renamed or removed since: what is called so now may be a later one.
    if (file !== null) return file;
  }
  return null;
}

function nextIn(files: readonly RecordFile[], path: string, current: Open | null, newest: number): RecordFile | null {
  const written = files.filter(({ size }) => size > 0);
  // The last one that begins no later than what is wanted; the first, when everything is, or all begin later.
  if (current === null) {
    const begun = newest > 0 ? written.findLast(({ seq }) => seq > 0 && seq <= newest + 1) : undefined;
    return begun ?? written[0] ?? null;
  }
  const place = written.findIndex(({ device, inode }) => device === current.device && inode === current.inode);
  if (place !== -1) return written[place + 1] ?? null;
  // It is not here any more. One that begins before (a restored copy) may still go on: numbers tell what is known.
  return written.find(({ seq }) => seq > newest) ?? written.find(({ file }) => file === path) ?? null;
}

async function isAt(path: string, { device, inode }: Open): Promise<boolean> {
  const facts = await stat(path, { bigint: true }).catch(() => null);
  return facts?.dev === device && facts.ino === inode;
}

async function openFile({ file, device, inode }: RecordFile): Promise<Open | null> {
  const handle = await open(file).catch(() => null);
  if (handle === null) return null;
  const facts = await handle.stat({ bigint: true });
  if (facts.dev === device && facts.ino === inode) return { file, handle, device, inode, at: 0, lines: 0 };
  await handle.close();
  return null;
}
