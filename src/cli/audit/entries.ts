// What is exported, from the lines of the record and from the acts of the CA.

import { itemOf } from '../../observe/audit-reader.ts';
import type { TailLine } from '../../observe/audit-tail.ts';
import type { ExportEntry } from '../../observe/export-entry.ts';
import type { StoredAuditEntry } from '../../store/audit-entry.ts';
import { printableJson } from '../escape.ts';

const FIELDS = [
  ...[
    'requestId',
    'identity',
    'serial',
    'address',
    'method',
    'path',
    'operation',
    'object',
    'decision',
    'code',
    'status',
  ],
  ...['reason', 'role', 'rule', 'outcome', 'ending', 'ms'],
] as const;

/** Null for a line that is no part of the chain: `certgate audit --verify` is who tells of it. */
export function entryOfLine(line: TailLine): ExportEntry | null {
  const item = line.seq === 0 ? null : itemOf(line);
  if (item === null || line.text === null) return null;
  const place = { seq: line.seq, prev: line.prev };
  if (item.kind === 'broken') {
    return { time: Date.now(), kind: 'decision', severity: 'error', fields: place, text: line.text };
  }
  if (item.kind === 'checkpoint') {
    const { time, record } = item.checkpoint;
    return { time, kind: 'checkpoint', severity: 'info', fields: { record: record.seq, ...place }, text: line.text };
  }
  if (item.kind === 'opening') {
    return { time: item.time, kind: 'opening', severity: 'info', fields: place, text: line.text };
  }
  if (item.kind === 'retirement') {
    const { time, from, to, rule } = item.retirement;
    return {
      time,
      kind: 'retirement',
      severity: 'notice',
      fields: { from, to: to.seq, rule, ...place },
      text: line.text,
    };
  }
  if (item.kind === 'outcome') {
    const severity = item.outcome.outcome >= 500 || item.outcome.outcome === 0 ? 'notice' : 'info';
    const { time } = item.outcome;
    return { time, kind: 'outcome', severity, fields: { ...known(item.outcome), ...place }, text: line.text };
  }
  const severity = item.record.decision === 'refuse' ? 'warning' : 'info';
  const { time } = item.record;
  return { time, kind: 'decision', severity, fields: { ...known(item.record), ...place }, text: line.text };
}

export function entryOfAct(entry: StoredAuditEntry): ExportEntry {
  const { id, time, actor, action, object } = entry;
  const fields = { act: id, actor, action, object };
  return { time, kind: 'act', severity: 'notice', fields, text: printableJson({ source: 'ca', ...entry }) };
}

function known(said: object): Record<string, string | number> {
  const values = new Map<string, unknown>(Object.entries(said));
  return Object.fromEntries(
    FIELDS.flatMap((name) => {
      const value = values.get(name);
      return typeof value === 'string' || typeof value === 'number' ? [[name, value]] : [];
    }),
  );
}
