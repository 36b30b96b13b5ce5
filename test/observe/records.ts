import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Head } from '../../src/observe/audit-chain.ts';
import type { AuditRecord } from '../../src/observe/audit-log.ts';
import { type AuditFilter, type AuditItem, auditLines, itemOf, satisfies } from '../../src/observe/audit-reader.ts';

/** A record of a permitted write, with what a test wants otherwise. */
export function auditRecord(changes: Partial<AuditRecord> = {}): AuditRecord {
  return {
    time: 1_790_000_000_000,
    requestId: 'r-1',
    identity: 'worker/etl-1',
    serial: '4f00aa',
    address: '192.0.2.7',
    method: 'POST',
    path: '/api/flow_runs/',
    operation: 'create_flow_run',
    object: null,
    decision: 'permit',
    code: null,
    status: null,
    reason: null,
    ...changes,
  };
}

/** The line of `body` after `head` as docs/audit.md has it, by no code of the log's; and the head that it makes. */
export function link(body: string, head: Head): { readonly line: string; readonly head: Head } {
  const seq = head.seq + 1;
  const line = `${body.slice(0, -1)},"seq":${seq},"prev":"${head.hash}"}\n`;
  return { line, head: { seq, hash: createHash('sha256').update(line).digest('hex') } };
}

/** A new folder for one test. */
export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'certgate-observe-'));
}

/** The file's lines as JSON values; throws when one is none. */
export function jsonLines(path: string): unknown[] {
  const text = readFileSync(path, 'latin1');
  return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as unknown]));
}

/** What its lines say; of records, those that satisfy `filter`. */
export async function readAll(path: string, filter: AuditFilter = {}): Promise<AuditItem[]> {
  const items: AuditItem[] = [];
  for await (const line of auditLines(path)) {
    const item = itemOf(line);
    if (item !== null && (item.kind !== 'record' || satisfies(item.record, filter))) items.push(item);
  }
  return items;
}

/** The request ids of the records in the file, in order. */
export async function idsIn(path: string): Promise<string[]> {
  return (await readAll(path)).flatMap((item) => (item.kind === 'record' ? [item.record.requestId] : []));
}
