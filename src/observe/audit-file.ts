// An append-only file of lines in which what was acknowledged stays: 0600 from its first byte, O_APPEND, and O_DSYNC, so that a
// write returns when its bytes are on the disk (open(2)); in libuv's pool, so that the event loop never waits for it: one trip
// there for each write, where write and fdatasync were two. After a failed write the tail that nobody was promised is cut off,
// or else ended with a line feed, before anything more is written. A file that was renamed or deleted underneath (logrotate)
// is noticed before and after each write, and made anew: what is written to a renamed one is lost when that is compressed.
// One writer at a time (audit-lock.ts), but not always the same.

import { constants, existsSync, fstatSync, statSync } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Head } from './audit-chain.ts';
import { headIn } from './audit-head.ts';

export interface AuditFile {
  /** Where the file ends, when somebody or something else than the last `append` made it end there; `null` when not. */
  changedEnd(): Promise<Head | 'empty' | null>;
  /** What `changedEnd` has said could not be made use of: it says so again. */
  forgetEnd(): void;
  /** Resolves when `lines`, whole and each ended by a line feed, are durable; rejects with the system's error. */
  append(lines: Buffer): Promise<void>;
  /** How many octets it has by what is known here. */
  size(): number;
  /** Durably renames it to `to`, where nothing may be; what comes next goes into a new one. Rejects with the system's error. */
  moveTo(to: string): Promise<void>;
  close(): Promise<void>;
}

/** An open file, and where its acknowledged bytes end. */
interface Current {
  readonly handle: FileHandle;
  readonly device: bigint;
  readonly inode: bigint;
  end: number;
  /** The last byte is no line feed: something was cut short. */
  torn: boolean;
  /** `changedEnd` has answered for what is in it. */
  known: boolean;
}

// Non-blocking, because opening a FIFO for nobody would wait for ever.
const FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK | constants.O_DSYNC;
const LINE_FEED = 0x0a;

/** Opens or creates the file at `path`; rejects with the system's error. */
export async function openAuditFile(path: string): Promise<AuditFile> {
  let current: Current | null = await openCurrent(path);

  async function changedEnd(): Promise<Head | 'empty' | null> {
    if (current !== null && !stands(path, current)) {
      const old = current;
      current = null;
      await old.handle.close();
    }
    current ??= await openCurrent(path);
    const file = current;
    // In the kernel's memory already: nothing is waited for.
    const { size } = fstatSync(file.handle.fd);
    if (file.known && size === file.end) return null;
    file.end = size;
    file.torn = await endsTorn(file.handle, size);
    const head = await headIn(file.handle, size);
    file.known = true;
    return head ?? 'empty';
  }

  async function append(lines: Buffer): Promise<void> {
    current ??= await openCurrent(path);
    const file = current;
    const bytes = file.torn ? Buffer.concat([Buffer.from('\n'), lines]) : lines;
    try {
      await writeAll(file.handle, bytes);
      file.end += bytes.length;
      file.torn = false;
      if (stands(path, file)) return;
    } catch (error) {
      await repair(file, bytes.length);
      throw error;
    }
    // Renamed: these lines are safe in the old file. Deleted: they went with it, and are written again.
    const { nlink } = await file.handle.stat();
    current = null;
    await file.handle.close();
    if (nlink === 0) await append(lines);
  }

  return {
    changedEnd,
    forgetEnd() {
      if (current !== null) current.known = false;
    },
    append,
    size: () => current?.end ?? 0,
    async moveTo(to) {
      if (existsSync(to)) throw new Error(`${to} is there already`);
      await rename(path, to);
      const old = current;
      current = null;
      await old?.handle.close();
      await syncFolder(dirname(to));
    },
    async close() {
      await current?.handle.close();
      current = null;
    },
  };
}

async function openCurrent(path: string): Promise<Current> {
  const handle = await open(path, FLAGS, 0o600);
  try {
    const facts = await handle.stat({ bigint: true });
    if (!facts.isFile()) throw new Error('it is not a regular file');
    await syncFolder(dirname(path));
    // What another writer has left may not be on the disk yet; what follows must not stand there without it.
    await handle.datasync();
    const end = Number(facts.size);
    return { handle, device: facts.dev, inode: facts.ino, end, torn: await endsTorn(handle, end), known: false };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Else it was renamed or deleted since, and another writer may go on in a new one already: two ends make two chains. */
function stands(path: string, { device, inode }: Current): boolean {
  const facts = statSync(path, { bigint: true, throwIfNoEntry: false });
  return facts?.dev === device && facts.ino === inode;
}

/** After a failed write of `length` bytes: takes away what of it reached the file, so far as that can be done. */
async function repair(file: Current, length: number): Promise<void> {
  file.known = false;
  try {
    const { size } = await file.handle.stat();
    // Anything else means that someone cut or wrote the file too: then nothing is taken away.
    if (size > file.end && size <= file.end + length) await file.handle.truncate(file.end);
    const now = await file.handle.stat();
    file.end = now.size;
    file.torn = await endsTorn(file.handle, now.size);
  } catch {
    file.torn = true;
  }
}

async function endsTorn(handle: FileHandle, size: number): Promise<boolean> {
  if (size === 0) return false;
  const last = Buffer.alloc(1);
  const { bytesRead } = await handle.read(last, 0, 1, size - 1);
  return bytesRead !== 1 || last[0] !== LINE_FEED;
}

async function writeAll(handle: FileHandle, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, at, bytes.length - at);
    at += bytesWritten;
  }
}

/** Makes a new file's name as durable as its bytes; a file system that can't (EINVAL) has nothing to make durable. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY);
  try {
    await folder.sync();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
  } finally {
    await folder.close();
  }
}
