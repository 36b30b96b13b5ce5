// Where the chain of a record's file ends, found from its end: what the next line must name. A last line that a crash or a
// full disk cut short is a line all the same: the next one names what is left of it, so that nobody can add to it later.

import type { FileHandle } from 'node:fs/promises';
import { open, stat } from 'node:fs/promises';
import { systemCode } from '../errors.ts';
import { type Head, hashOf, hashWith, placeOf, START } from './audit-chain.ts';
import { filesBefore, listRecord } from './audit-files.ts';
import { auditLines, LONGEST_LINE } from './audit-reader.ts';
import { rotatedSeq } from './audit-rotation.ts';

/** How far from the end a numbered line is looked for, octets. */
const FAR = 64 * 1024 * 1024;
/** How much of a file's end is looked through first. */
const NEAR = 16 * 1024 * 1024;
const LINE_FEED = 0x0a;

/**
 * The head of the open file of `size` octets, with what stands after its newest line; null when it is empty. The system's
 * error; an Error when there is no end to what stands there.
 */
export async function headIn(handle: FileHandle, size: number): Promise<Head | null> {
  if (size === 0) return null;
  for (let length = 64 * 1024; ; length *= 4) {
    const from = Math.max(0, size - length);
    const bytes = await readWhole(handle, from, size - from);
    // Where it does not begin with the file, the first line is cut.
    const lines = linesIn(from === 0 ? bytes : bytes.subarray(bytes.indexOf(LINE_FEED) + 1));
    const newest = lines.findLastIndex(({ octets, ended }) => ended && seqOf(octets) > 0);
    if (newest >= 0) {
      const [hash = '', ...odd] = lines.slice(newest).map(({ octets }) => lineHash(octets));
      return { seq: seqOf(lines[newest]?.octets), hash: odd.reduce(hashWith, hash) };
    }
    if (from === 0) return { seq: 0, hash: lineHash(lines.at(-1)?.octets) };
    if (length >= FAR) throw new Error(`there is no record in its last ${FAR} octets`);
  }
}

const NONE = Buffer.alloc(0);

function linesIn(bytes: Buffer): Array<{ readonly octets: Buffer; readonly ended: boolean }> {
  const lines: Array<{ octets: Buffer; ended: boolean }> = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(LINE_FEED, at);
    lines.push({ octets: bytes.subarray(at, end === -1 ? bytes.length : end), ended: end !== -1 });
    at = end === -1 ? bytes.length : end + 1;
  }
  return lines;
}

/** Its number; 0 for none. No line with one is longer. */
function seqOf(octets: Buffer = NONE): number {
  return octets.length > LONGEST_LINE ? 0 : (placeOf(octets.toString('latin1'))?.seq ?? 0);
}

/** As if a line feed ended it: who writes next sees to that. */
function lineHash(octets: Buffer = NONE): string {
  return hashOf(Buffer.concat([octets, Buffer.from('\n')]));
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

/** Where a file ends; null for one that is gone by now, is empty, or may be somebody else's. The system's error. */
async function endOf(file: string): Promise<Head | null> {
  const handle = await open(file).catch((error: unknown) => {
    // Whoever took a file for missing that could not be opened just now would begin the chain anew.
    if (!['ENOENT', 'EACCES', 'EPERM'].includes(systemCode(error))) throw error;
    return null;
  });
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
