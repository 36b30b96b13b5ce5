// Reads the gate's record back, line by line and in the order written, for `certgate audit`. What is no record (torn by a
// crash, or changed by hand) is reported in its place and reading goes on. It holds one line at a time and no more than
// 256 KiB of it, and may read while the gate writes.

import { createReadStream } from 'node:fs';
import { CertgateError, reasonOf } from '../errors.ts';
import { asciiJson } from './ascii-json.ts';
import type { AuditRecord } from './audit-log.ts';

/** What to keep; a record must satisfy all that are given. */
export interface AuditFilter {
  readonly identity?: string;
  readonly decision?: 'permit' | 'refuse';
  readonly operation?: string;
  readonly method?: string;
  /** ms since the epoch, inclusive */
  readonly since?: number;
  /** ms since the epoch, exclusive */
  readonly until?: number;
}

/** `line` counts from 1. */
export type AuditItem =
  | { readonly ok: true; readonly line: number; readonly record: AuditRecord }
  /** A line that is no record. `text` is its start as a JSON string, ASCII only. */
  | { readonly ok: false; readonly line: number; readonly problem: string; readonly text: string };

const LONGEST_LINE = 256 * 1024;
const LINE_FEED = 0x0a;

/** The records that satisfy `filter`, and every line that is none. CG_AUDIT_UNREADABLE when the file can't be read. */
export async function* readAudit(path: string, filter: AuditFilter = {}): AsyncGenerator<AuditItem, void> {
  let number = 0;
  for await (const { text, ended } of linesOf(path)) {
    number++;
    if (text === '') continue;
    const record = ended && text !== null ? recordIn(text) : null;
    if (record !== null) {
      if (satisfies(record, filter)) yield { ok: true, line: number, record };
    } else {
      const problem = text === null ? 'is too long' : ended ? 'is not a record' : 'was never finished';
      yield { ok: false, line: number, problem, text: asciiJson((text ?? '').slice(0, 120)) };
    }
  }
}

interface Line {
  /** Null when it was longer than any record can be. */
  readonly text: string | null;
  readonly ended: boolean;
}

async function* linesOf(path: string): AsyncGenerator<Line, void> {
  let parts: Buffer[] = [];
  let length = 0;
  const line = (ended: boolean): Line => {
    const text = length > LONGEST_LINE ? null : Buffer.concat(parts).toString('utf8');
    parts = [];
    length = 0;
    return { text, ended };
  };
  const keep = (part: Buffer): void => {
    length += part.length;
    if (length <= LONGEST_LINE) parts.push(part);
    else parts = [];
  };
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      let start = 0;
      for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
        keep(chunk.subarray(start, end));
        yield line(true);
        start = end + 1;
      }
      keep(chunk.subarray(start));
    }
  } catch (error) {
    throw new CertgateError('CG_AUDIT_UNREADABLE', { path, reason: reasonOf(error) }, { cause: error });
  }
  if (length > 0) yield line(false);
}

type Kind = 'string' | 'number' | 'string?' | 'number?';

/** Fields that older records do not have. */
const LATER = ['role', 'rule'] as const;

const SHAPE: Readonly<Record<Exclude<keyof AuditRecord, 'decision' | 'role' | 'rule'>, Kind>> = {
  time: 'number',
  requestId: 'string',
  identity: 'string?',
  serial: 'string?',
  address: 'string',
  method: 'string',
  path: 'string',
  operation: 'string?',
  object: 'string?',
  code: 'string?',
  status: 'number?',
  reason: 'string?',
};

function recordIn(text: string): AuditRecord | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const fields = new Map<string, unknown>(Object.entries(value));
  const decision = fields.get('decision');
  if (decision !== 'permit' && decision !== 'refuse') return null;
  for (const [name, kind] of Object.entries(SHAPE)) {
    const field = fields.get(name);
    if (field === null ? !kind.endsWith('?') : typeof field !== kind.replace('?', '')) return null;
  }
  for (const name of LATER) {
    const field = fields.get(name) ?? null;
    if (field !== null && typeof field !== 'string') return null;
  }
  return value as AuditRecord;
}

function satisfies(record: AuditRecord, filter: AuditFilter): boolean {
  if (filter.since !== undefined && record.time < filter.since) return false;
  if (filter.until !== undefined && record.time >= filter.until) return false;
  for (const name of ['identity', 'decision', 'operation', 'method'] as const) {
    if (filter[name] !== undefined && filter[name] !== record[name]) return false;
  }
  return true;
}
