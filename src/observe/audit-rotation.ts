// How the record goes on in another file: what the file that it leaves is called, when it leaves it, and the first line of
// the new one, which names the file before, so that who misses that knows what to look for. The chain itself goes through:
// that line names the hash of the last one of the file before, as every line does.

import { basename } from 'node:path';
import { asciiJson } from './ascii-json.ts';
import { placeOf } from './audit-chain.ts';
import { auditLines } from './audit-reader.ts';

/** When the record goes on in another file, and how long the files before it stay. Infinity is never, and for ever. */
export interface RotationRules {
  /** Octets. */
  readonly rotateSize: number;
  /** From a file's first line, ms. */
  readonly rotateEvery: number;
  /** From a file's last line, ms. */
  readonly keepFor: number;
  /** Files before the one that is written. */
  readonly keepFiles: number;
}

/** The number and what else the first line of the chain in a file says. */
export interface FirstLine {
  readonly seq: number;
  readonly prev: string;
  /** ms since the epoch; null when it says none. */
  readonly time: number | null;
}

const OWN_NAME = /-\d{8}T\d{6}Z-(\d{12,15})\.jsonl$/;
const TIME = /^\{"time":(\d{1,15})[,}]/;

/** What the record at `path` is called when it is left at `now` with the line number `seq`: names sort as they came. */
export function rotatedName(path: string, now: number, seq: number): string {
  const moment = new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  return `${path.replace(/\.jsonl$/, '')}-${moment}-${String(seq).padStart(12, '0')}.jsonl`;
}

/** The number of the last line of a file with such a name; null for another. */
export function rotatedSeq(file: string): number | null {
  const [, seq] = OWN_NAME.exec(basename(file)) ?? [];
  return seq === undefined ? null : Number(seq);
}

/** The line that begins the file after `file`. */
export function openingJson(time: number, file: string): string {
  return asciiJson({ time, continues: basename(file) });
}

/** The first line of the chain in a file; null for none. CG_AUDIT_UNREADABLE. */
export async function firstLine(file: string): Promise<FirstLine | null> {
  for await (const { text, ended } of auditLines(file)) {
    const place = text === null || !ended ? null : placeOf(text);
    if (place === null) continue;
    const [, time] = TIME.exec(text ?? '') ?? [];
    return { ...place, time: time === undefined ? null : Number(time) };
  }
  return null;
}
