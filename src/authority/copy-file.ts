// Copies one file into a new one, with exactly the mode asked for from its first byte, on the disk before it answers, and
// with the SHA-256 of what was written. For backups and what is restored from them.
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { about } from './files.ts';

const CHUNK = 1024 * 1024;
const LINE_FEED = 0x0a;

export interface Copied {
  readonly bytes: number;
  /** Hex. */
  readonly sha256: string;
}

/** The first `length` bytes of `from` (all of it, as it is now, when left out) into `to`, which must not exist. Node's errors. */
export async function copyFile(from: string, to: string, mode: number, length?: number): Promise<Copied> {
  const source = await open(from, 'r');
  try {
    const target = await open(to, 'wx', mode);
    try {
      await target.chmod(mode);
      const size = length ?? (await source.stat()).size;
      const hash = createHash('sha256');
      let at = 0;
      for await (const chunk of chunksOf(source, size, from)) {
        hash.update(chunk);
        await target.writeFile(chunk);
        at += chunk.length;
      }
      await target.sync();
      return { bytes: at, sha256: hash.digest('hex') };
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

/** Size and SHA-256 of the file at `path`. Node's errors. */
export async function digestOf(path: string): Promise<Copied> {
  const file = await open(path, 'r');
  try {
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of chunksOf(file, Number.POSITIVE_INFINITY, path)) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    return { bytes, sha256: hash.digest('hex') };
  } finally {
    await file.close();
  }
}

/** Where the last whole line of the file at `path`, which somebody appends to, ends: bytes. Node's errors. */
export async function endOfLines(path: string): Promise<number> {
  const file = await open(path, 'r');
  try {
    let { size: end } = await file.stat();
    const buffer = Buffer.alloc(CHUNK);
    while (end > 0) {
      const start = Math.max(0, end - CHUNK);
      const { bytesRead } = await file.read(buffer, 0, end - start, start);
      const last = buffer.subarray(0, bytesRead).lastIndexOf(LINE_FEED);
      if (last !== -1) return start + last + 1;
      end = start;
    }
    return 0;
  } finally {
    await file.close();
  }
}

/** The system's error names the file that could not be read: it is not the one that is written. */
async function* chunksOf(file: FileHandle, size: number, path: string): AsyncGenerator<Buffer, void> {
  const buffer = Buffer.alloc(CHUNK);
  for (let at = 0; at < size; ) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(CHUNK, size - at), at).catch((error: unknown) => {
      throw about(path, error);
    });
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}
