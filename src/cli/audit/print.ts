// Acts for people: a table, or comma-separated values for a spreadsheet (RFC 4180).

import { isMoment } from '../../observe/audit-checkpoint.ts';
import type { AuditOutcome } from '../../observe/audit-log.ts';
import type { StoredAuditEntry } from '../../store/audit-entry.ts';
import { printable } from '../escape.ts';
import type { CommandIo } from '../io.ts';
import { table } from '../table.ts';
import type { Act } from './acts.ts';

export function printActs(acts: readonly Act[], io: CommandIo): void {
  if (acts.length === 0) io.say('nothing on record matches');
  else for (const line of table(['time', 'who', 'decision', 'what', 'detail'], acts.map(row))) io.out(line);
}

function row(act: Act): string[] {
  const time = momentWords(act.time);
  if (act.source === 'ca') return [time, act.actor, '', `${act.action} ${act.object}`, detailWords(act.detail)];
  const what = `${act.method} ${act.path}${act.operation === null ? '' : ` (${act.operation})`}`;
  const said = [
    act.role === null || act.role === undefined ? '' : `as ${act.role}`,
    act.status === null ? '' : `${act.status}`,
    act.outcome === undefined ? '' : `→ ${act.outcome}${act.ending === 'complete' ? '' : ` ${act.ending}`}`,
    act.reason ?? '',
    act.code === null ? '' : `[${act.code}]`,
  ];
  return [time, act.identity ?? act.address, act.decision, what, said.filter((word) => word !== '').join(' ')];
}

/** A store that somebody has changed can have any number for a time: what else it says is shown all the same. */
export function momentWords(ms: number): string {
  return isMoment(ms) ? new Date(ms).toISOString() : '-';
}

/** What cannot be made into text is JSON. */
function plainWords(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'undefined');
}

/** What a person wants of an act; the rest is in the JSON. */
const DETAILS = [
  ...['serial', 'token', 'iss', 'sub', 'problem', 'address', 'reason'],
  ...['out', 'backup', 'revoked', 'unknown'],
] as const;

function detailWords(detail: StoredAuditEntry['detail']): string {
  const words = DETAILS.flatMap((key) =>
    detail[key] === undefined || detail[key] === null ? [] : [`${key} ${plainWords(detail[key])}`],
  );
  const { until } = detail;
  return [...words, ...(typeof until === 'number' ? [`until ${momentWords(until)}`] : [])].join(', ');
}

const COLUMNS = [
  ...[
    'time',
    'source',
    'who',
    'serial',
    'address',
    'decision',
    'operation',
    'method',
    'path',
    'object',
    'code',
    'status',
  ],
  ...['reason', 'role', 'rule', 'outcome', 'ending', 'ms', 'requestId', 'detail'],
] as const;

/** A header line, then a line an act. */
export function printCsv(acts: readonly Act[], io: CommandIo): void {
  io.out(`${COLUMNS.join(',')}\r`);
  for (const act of acts) io.out(csvLine(csvValues(act)));
}

function csvLine(values: readonly CsvValue[]): string {
  return `${values.map(csvField).join(',')}\r`;
}

/** An act that came after the others, or, with `ended`, how it went. */
export function printLater(act: Act, ended: AuditOutcome | null, form: 'table' | 'csv', io: CommandIo): void {
  const later = ended === null || act.source === 'ca' ? act : { ...act, ...ended, ...NOT_AGAIN };
  if (form === 'csv') {
    const values = csvValues(later);
    // The decision has its own line already.
    if (ended !== null) values[COLUMNS.indexOf('decision')] = '';
    io.out(csvLine(values));
    return;
  }
  const [time = '', who = '', decision = '', what = '', detail = ''] = row(later);
  const cells = [time, who, ended === null ? decision : '', what, detail].map((cell) => printable(cell) || '-');
  io.out(cells.map((cell, i) => cell.padEnd(LATER_WIDTHS[i] ?? 0)).join('  '));
}

/** Nobody knows how wide the next one will be. */
const LATER_WIDTHS = [24, 20, 8] as const;

/** What stands with the decision and need not be said with how it went. */
const NOT_AGAIN = { status: null, reason: null, code: null, role: null, rule: null } as const;

type CsvValue = string | number | boolean | null | undefined;

function csvValues(act: Act): CsvValue[] {
  const time = momentWords(act.time);
  if (act.source === 'ca') {
    const { actor, action, object, detail } = act;
    const values = [time, 'ca', actor, detail['serial'], '', '', action, '', '', object, '', '', detail['reason']];
    return [...values, '', '', '', '', '', '', JSON.stringify(detail)];
  }
  const { identity, serial, address, decision, operation, method, path, object, code, status, reason } = act;
  const { role, rule, outcome, ending, ms, requestId } = act;
  const values = [time, 'gate', identity, serial, address, decision, operation, method, path, object, code, status];
  return [...values, reason, role, rule, outcome, ending, ms, requestId, ''];
}

/**
 * A spreadsheet takes text that begins so for a formula, in full width too; an apostrophe before it makes it text again (OWASP,
 * CSV injection). Where the spreadsheet's language separates by a semicolon, text begins after each of those.
 */
const FORMULA = /(^|[;|\t])(?=[=+\-@\uff1d\uff0b\uff0d\uff20\t\r])/g;

function csvField(value: CsvValue): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'object') return csvField(JSON.stringify(value));
  if (typeof value !== 'string') return String(value);
  const text = printable(value);
  const safe = text.replaceAll(FORMULA, "$1'");
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
