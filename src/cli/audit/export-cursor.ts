// How far an export has come: the newest line of the record and the newest act that a collector has taken, in a file that is
// replaced in one step after each batch. Whoever begins with it sends what follows; what was under way goes twice at most.
import { readFileSync } from 'node:fs';
import { writeOutputFile } from '../../authority/output-file.ts';
import { fileReason, systemCode } from '../../errors.ts';
import { type Head, START } from '../../observe/audit-chain.ts';
import { usage } from '../flags.ts';

export interface ExportCursor {
  readonly record: Head;
  readonly act: Head;
}

/** Of an export that has sent nothing yet. */
export const BEGINNING: ExportCursor = { record: START, act: START };

/** What `file` says; the beginning while there is none. CG_USAGE for anything else. */
export function readCursor(file: string): ExportCursor {
  try {
    const { record, act } = JSON.parse(readFileSync(file, 'utf8')) as Partial<Record<keyof ExportCursor, unknown>>;
    if (isHead(record) && isHead(act)) return { record, act };
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return BEGINNING;
    if (!(error instanceof SyntaxError))
      throw usage(`${file} cannot be read: ${fileReason(error)}`, 'name another --cursor');
  }
  throw usage(
    `${file} is not a cursor of an export`,
    'name another --cursor, or delete it: then everything is sent again',
  );
}

/** Durable when it resolves; 0600. Node's errors. */
export async function writeCursor(file: string, cursor: ExportCursor): Promise<void> {
  await writeOutputFile(file, Buffer.from(`${JSON.stringify(cursor)}\n`), { mode: 0o600, force: true });
}

function isHead(value: unknown): value is Head {
  if (typeof value !== 'object' || value === null) return false;
  const { seq, hash } = value as Partial<Record<keyof Head, unknown>>;
  return Number.isSafeInteger(seq) && Number(seq) >= 0 && typeof hash === 'string' && /^[0-9a-f]{64}$/.test(hash);
}
