// Which files a record is in: the one that is written, and those that it was in before, whoever named them. A gate may go on
// in another file, and remove the oldest, between any two looks at them: a list is of one moment, and who reads by it finds
// out whether it still holds.

import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CertgateError } from '../errors.ts';
import { firstLine } from './audit-rotation.ts';

/** A file of the record, by what it is rather than what it is called by now. */
export interface RecordFile {
  readonly file: string;
  readonly device: bigint;
  readonly inode: bigint;
  readonly modified: number;
  /** Octets, at that moment. */
  readonly size: number;
  /** The number that it begins with; 0 for none. */
  readonly seq: number;
  /** The time that its first line of the chain says, ms since the epoch; null for none. */
  readonly begun: number | null;
}

/** How often a list is begun anew because the files changed under it. */
const ATTEMPTS = 20;

/** Files beside the record that bear its name and something more (`audit.jsonl.1`, `audit-20261125.jsonl`), oldest first. */
export async function filesBefore(path: string): Promise<string[]> {
  const folder = dirname(path);
  const name = basename(path);
  const stem = name.replace(/\.jsonl$/, '');
  const named = (await namesIn(folder)).filter(
    (one) =>
      one !== name &&
      (one.startsWith(`${name}.`) || (one.startsWith(`${stem}-`) && one.endsWith('.jsonl'))) &&
      !/\.(lock|gz|xz|zst|bz2|tmp)$/.test(one),
  );
  const files = await Promise.all(named.map((one) => fileAt(join(folder, one))));
  return files
    .flatMap((one) => (one === null ? [] : [one]))
    .toSorted((a, b) => a.modified - b.modified || (a.file < b.file ? -1 : 1))
    .map(({ file }) => file);
}

/**
 * All files of the record at `path` that are here, in the order in which they were written: by the number they begin with.
 * CG_AUDIT_UNREADABLE.
 */
export async function listRecord(path: string): Promise<RecordFile[]> {
  for (let attempt = 1; ; attempt++) {
    const own = await fileAt(path);
    const before = await filesBefore(path);
    const files = (await Promise.all([...before, path].map(placed))).flatMap((one) => (one === null ? [] : [one]));
    const same = await fileAt(path);
    // Else one of them was renamed meanwhile: it may stand here under no name, or under two.
    if (own?.inode === same?.inode || attempt === ATTEMPTS) {
      // Those of before the chain come first; what was never written to, last.
      return files.toSorted((a, b) => a.seq - b.seq);
    }
  }
}

/** Their paths. CG_AUDIT_UNREADABLE. */
export async function filesOf(path: string): Promise<string[]> {
  return (await listRecord(path)).map(({ file }) => file);
}

/**
 * Does `deed` over the files that are here, and again when they were renamed or removed meanwhile. Throws what it throws,
 * CG_AUDIT_UNREADABLE.
 */
export async function overFiles<T>(path: string, deed: (files: readonly string[]) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const list = await listRecord(path);
    try {
      const result = await deed(list.map(({ file }) => file));
      if (attempt === ATTEMPTS || namesOf(await listRecord(path)) === namesOf(list)) return result;
    } catch (error) {
      if (attempt === ATTEMPTS || namesOf(await listRecord(path)) === namesOf(list)) throw error;
    }
  }
}

function namesOf(list: readonly RecordFile[]): string {
  return list.map(({ file, inode }) => `${file} ${inode}`).join('\n');
}

/** None where there is no such folder: nothing has been recorded yet. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Null when it is gone, or no file. */
async function fileAt(file: string) {
  const facts = await stat(file, { bigint: true }).catch(() => null);
  if (facts?.isFile() !== true) return null;
  return { file, device: facts.dev, inode: facts.ino, modified: Number(facts.mtimeMs), size: Number(facts.size) };
}

async function placed(file: string): Promise<RecordFile | null> {
  try {
    const facts = await fileAt(file);
    const first = facts === null ? null : await firstLine(file);
    return facts === null ? null : { ...facts, seq: first?.seq ?? 0, begun: first?.time ?? null };
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return error instanceof CertgateError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
}
