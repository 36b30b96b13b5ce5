// Reads the gate's record back, line by line and in the order written, for `certgate audit`. What is no record (torn by a
// crash, or changed by hand) is reported in its place and reading goes on. It holds one line at a time and no more than
// 256 KiB of it, and may read while the gate writes.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { CertgateError, fileReason } from '../errors.ts';
import { asciiJson } from './ascii-json.ts';
import { type Checkpoint, checkpointIn, isMoment } from './audit-checkpoint.ts';
import type { AuditOutcome, AuditRecord } from './audit-lines.ts';
import { type Retirement, retirementIn } from './audit-retirement.ts';

/** What to keep; a record must satisfy all that are given. */
export interface AuditFilter {
  readonly identity?: string;
  /** Of the certificate, hex. */
  readonly serial?: string;
  readonly decision?: 'permit' | 'refuse';
  readonly operation?: string;
  readonly method?: string;
  readonly requestId?: string;
  /** ms since the epoch, inclusive */
  readonly since?: number;
  /** ms since the epoch, exclusive */
  readonly until?: number;
}

/** `line` counts from 1. */
export type AuditItem =
  | { readonly kind: 'record'; readonly line: number; readonly record: AuditRecord }
  | { readonly kind: 'outcome'; readonly line: number; readonly outcome: AuditOutcome }
  | { readonly kind: 'checkpoint'; readonly line: number; readonly checkpoint: Checkpoint }
  | { readonly kind: 'retirement'; readonly line: number; readonly retirement: Retirement }
  /** The first line of a file: the name of the one before. */
  | { readonly kind: 'opening'; readonly line: number; readonly time: number; readonly continues: string }
  /** A line that is none of these. `text` is its start as a JSON string, ASCII only. */
  | { readonly kind: 'broken'; readonly line: number; readonly problem: string; readonly text: string };

/** No line of a record is longer, octets. */
export const LONGEST_LINE = 256 * 1024;
const CHUNK = 64 * 1024;
const LINE_FEED = 0x0a;

/** What a line says; null for an empty one. */
export function itemOf({ number, text, ended }: AuditLine): AuditItem | null {
  if (text === '') return null;
  const value = ended && text !== null ? objectIn(text) : null;
  if (value !== null) {
    if (isRecord(value)) return { kind: 'record', line: number, record: only(RECORD_FIELDS, value) };
    if (isOutcome(value)) return { kind: 'outcome', line: number, outcome: only(OUTCOME_FIELDS, value) };
    const checkpoint = checkpointIn(value);
    if (checkpoint !== null) return { kind: 'checkpoint', line: number, checkpoint };
    const retirement = retirementIn(value);
    if (retirement !== null) return { kind: 'retirement', line: number, retirement };
    const { time, continues } = value;
    if (isMoment(time) && typeof continues === 'string') return { kind: 'opening', line: number, time, continues };
  }
  const problem = text === null ? 'is too long' : ended ? 'is not a record' : 'was never finished';
  return { kind: 'broken', line: number, problem, text: asciiJson((text ?? '').slice(0, 120)) };
}

/** One line of the file. */
export interface AuditLine {
  /** From 1. */
  readonly number: number;
  /** Null when it was longer than any record can be. */
  readonly text: string | null;
  /** Whether a line feed ends it. */
  readonly ended: boolean;
  /** Where in the file it ends, octets. */
  readonly end: number;
  /** SHA-256 of its octets and a line feed, hex; where it was asked for. */
  readonly hash: string;
}

export interface LinesAsked {
  /** The octet to begin at, which begins a line. */
  readonly start?: number;
  readonly hashed?: boolean;
  /** The file, open already, whatever `path` names by now; it stays open. */
  readonly handle?: FileHandle;
}

/** The lines of a file. CG_AUDIT_UNREADABLE. */
export async function* auditLines(path: string, asked: LinesAsked = {}): AsyncGenerator<AuditLine, void> {
  const { start = 0, hashed = false, handle } = asked;
  let parts: Buffer[] = [];
  let [length, number, at] = [0, 0, start];
  let digest = hashed ? createHash('sha256') : null;
  const line = (ended: boolean): AuditLine => {
    const text = length > LONGEST_LINE ? null : Buffer.concat(parts).toString('utf8');
    at += length + (ended ? 1 : 0);
    const hash = digest?.update('\n').digest('hex') ?? '';
    parts = [];
    length = 0;
    digest = hashed ? createHash('sha256') : null;
    return { number: ++number, text, ended, end: at, hash };
  };
  const keep = (part: Buffer): void => {
    length += part.length;
    digest?.update(part);
    if (length <= LONGEST_LINE) parts.push(part);
    else parts = [];
  };
  try {
    // A pipe has no place to begin at.
    const chunks =
      handle === undefined ? createReadStream(path, start === 0 ? {} : { start }) : chunksOf(handle, start);
    for await (const chunk of chunks as AsyncIterable<Buffer>) {
      let from = 0;
      for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, from)) {
        keep(chunk.subarray(from, end));
        yield line(true);
        from = end + 1;
      }
      keep(chunk.subarray(from));
    }
  } catch (error) {
    throw new CertgateError('CG_AUDIT_UNREADABLE', { path, reason: fileReason(error) }, { cause: error });
  }
  if (length > 0) yield line(false);
}

/** As a stream of it would, which would close it. */
async function* chunksOf(handle: FileHandle, start: number): AsyncGenerator<Buffer> {
  for (let at = start; ; ) {
    const { bytesRead, buffer } = await handle.read({ buffer: Buffer.allocUnsafe(CHUNK), position: at });
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
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

const PLACE_FIELDS = ['seq', 'prev'] as const;
const RECORD_FIELDS = [...Object.keys(SHAPE), 'decision', ...LATER, ...PLACE_FIELDS];
const OUTCOME_FIELDS = ['time', 'requestId', 'outcome', 'ending', 'ms', ...PLACE_FIELDS];

/** What else a line has, somebody else has put there: it could be shown as what it is not, or be too deep to be shown at all. */
function only<T extends object>(names: readonly string[], value: T): T {
  return Object.fromEntries(
    Object.entries(value).filter(([name, field]) => names.includes(name) && isPlain(field)),
  ) as T;
}

function isPlain(field: unknown): boolean {
  return typeof field !== 'object' || field === null;
}

/** What a line says, whatever that is; null when it is no JSON object. */
export function objectIn(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

function isRecord(value: object): value is AuditRecord {
  const fields = new Map<string, unknown>(Object.entries(value));
  const decision = fields.get('decision');
  if ((decision !== 'permit' && decision !== 'refuse') || !isMoment(fields.get('time'))) return false;
  for (const [name, kind] of Object.entries(SHAPE)) {
    const field = fields.get(name);
    if (field === null ? !kind.endsWith('?') : typeof field !== kind.replace('?', '')) return false;
  }
  for (const name of LATER) {
    const field = fields.get(name) ?? null;
    if (field !== null && typeof field !== 'string') return false;
  }
  return true;
}

function isOutcome(value: object): value is AuditOutcome {
  const { time, requestId, outcome, ending, ms } = value as Partial<Record<keyof AuditOutcome, unknown>>;
  return (
    typeof requestId === 'string' &&
    typeof ending === 'string' &&
    isMoment(time) &&
    [outcome, ms].every((field) => typeof field === 'number')
  );
}

/** Whether `filter` keeps it. */
export function satisfies(record: AuditRecord, filter: AuditFilter): boolean {
  if (filter.since !== undefined && record.time < filter.since) return false;
  if (filter.until !== undefined && record.time >= filter.until) return false;
  for (const name of ['identity', 'serial', 'decision', 'operation', 'method', 'requestId'] as const) {
    if (filter[name] !== undefined && filter[name] !== record[name]) return false;
  }
  return true;
}
