// Where the chain of a record's file ends, found from its end: what the next line must name. A last line that a crash or a
// full disk cut short is a line all the same: the next one names what is left of it, so that nobody can add to it later.

import type { FileHandle } from 'node:fs/promises';
import { open, stat } from 'node:fs/promises';
import { type Head, hashOf, placeOf, START } from './audit-chain.ts';
import { filesBefore, listRecord } from './audit-files.ts';
import { auditLines } from './audit-reader.ts';
import { rotatedSeq } from './audit-rotation.ts';

/** How far from the end a numbered line is looked for; longest line that is hashed. Octets. */
const FAR = 4 * 1024 * 1024;
const LONGEST = 64 * 1024 * 1024;
/** How much of a file's end is looked through first. */
const NEAR = 16 * 1024 * 1024;
const LINE_FEED = 0x0a;

/** The head of the open file of `size` octets; null when it is empty. The system's error; an Error for a line without end. */
export async function headIn(handle: FileHandle, size: number): Promise<Head | null> {
  if (size === 0) return null;
  for (let length = 64 * 1024; ; length *= 4) {
    const from = Math.max(0, size - length);
    const bytes = await readWhole(handle, from, size - from);
    const end = bytes.at(-1) === LINE_FEED ? bytes.length - 1 : bytes.length;
    const start = bytes.subarray(0, end).lastIndexOf(LINE_FEED) + 1;
    const whole = from === 0 || start > 0;
    if (!whole && length > LONGEST) throw new Error(`its last line is longer than ${LONGEST} octets`);
    if (!whole) continue;
    const seq = newestSeq(bytes.subarray(from === 0 ? 0 : bytes.indexOf(LINE_FEED) + 1).toString('latin1'));
    if (seq === 0 && from > 0 && length < FAR) continue;
    const line = bytes.subarray(start, end);
    return { seq, hash: hashOf(Buffer.concat([line, Buffer.from('\n')])) };
  }
}

/** The number of the newest finished line that has one; 0 for none. */
function newestSeq(text: string): number {
  const lines = text.split('\n');
  // What stands after the last line feed was never finished.
  for (let i = lines.length - 2; i >= 0; i--) {
    const place = placeOf(lines[i] ?? '');
    if (place !== null) return place.seq;
  }
  return 0;
}

/** Where the record at `path` ended in the files that it was in before: the newest head, and the file it is in; START without any. */
export async function endBefore(path: string): Promise<{ readonly head: Head; readonly file: string | null }> {
  let newest: { head: Head; file: string | null } = { head: START, file: null };
  for (const file of await newestBefore(path)) {
    const head = await endOf(file);
    if (head !== null && head.seq > newest.head.seq) newest = { head, file };
  }
  return newest;
}

/**
 * Those of the files before that can be the newest, the newest first. Whoever rotated may have been a little late with the
 * last line of one; and who copied them or put them back may have changed all their times, but not their names.
 */
async function newestBefore(path: string): Promise<string[]> {
  const files = (await filesBefore(path)).toReversed();
  const [named] = files.toSorted((a, b) => (rotatedSeq(b) ?? 0) - (rotatedSeq(a) ?? 0));
  return [...new Set([...files.slice(0, 3), ...(named === undefined ? [] : [named])])];
}

/**
 * Null when the record at `path` still holds the line `known`, or goes on where that ended; else what is wrong, and the head
 * by which the next line shows it: one that names what is missing.
 */
export async function headSince(
  path: string,
  known: Head,
): Promise<{ readonly head: Head; readonly words: string } | null> {
  if (known.seq === 0) return null;
  let newest = (await endBefore(path)).head;
  // Where nothing could be signed for long, it may be far back.
  const holder = (await listRecord(path)).findLast(({ seq }) => seq > 0 && seq <= known.seq)?.file;
  const others = holder === undefined || holder === path ? [] : [holder];
  for (const file of [path, ...new Set([...others, ...(await newestBefore(path))])]) {
    const found = await lineAt(file, known.seq);
    if (found === known.hash) return null;
    if (found !== null)
      return {
        head: { seq: Math.max(known.seq, newest.seq), hash: known.hash },
        words: `record ${known.seq} is not the one that was signed`,
      };
    if (file !== path) continue;
    const own = await endOf(file);
    if (own !== null && own.seq > newest.seq) newest = own;
  }
  return newest.seq >= known.seq
    ? { head: { seq: newest.seq, hash: known.hash }, words: `record ${known.seq}, which was signed, is missing` }
    : { head: known, words: `it ends with record ${newest.seq}, but record ${known.seq} was signed` };
}

/** The hash of the line with this number, looked for at the end first; null for none. */
async function lineAt(file: string, seq: number): Promise<string | null> {
  const size = (await stat(file).catch(() => null))?.size ?? 0;
  for (const start of size > NEAR ? [size - NEAR, 0] : [0]) {
    for await (const { text, ended, hash } of auditLines(file, { start, hashed: true })) {
      if (ended && text !== null && placeOf(text)?.seq === seq) return hash;
    }
  }
  return null;
}

async function endOf(file: string): Promise<Head | null> {
  const handle = await open(file).catch(() => null);
  if (handle === null) return null;
  try {
    return await headIn(handle, (await handle.stat()).size);
  } finally {
    await handle.close();
  }
}

async function readWhole(handle: FileHandle, from: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let at = 0;
  while (at < length) {
    const { bytesRead } = await handle.read(bytes, at, length - at, from + at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return bytes.subarray(0, at);
}
