// Acts for people: a table, or comma-separated values for a spreadsheet (RFC 4180).
import type { StoredAuditEntry } from '../../store/store.ts';
import { printable } from '../escape.ts';
import type { CommandIo } from '../io.ts';
import { table } from '../table.ts';
import type { Act } from './acts.ts';

export function printActs(acts: readonly Act[], io: CommandIo): void {
  if (acts.length === 0) io.say('nothing on record matches');
  else for (const line of table(['time', 'who', 'decision', 'what', 'detail'], acts.map(row))) io.out(line);
}

function row(act: Act): string[] {
  const time = new Date(act.time).toISOString();
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

function detailWords(detail: StoredAuditEntry['detail']): string {
  const words = ['serial', 'reason', 'out', 'backup', 'revoked', 'unknown'].flatMap((key) =>
    detail[key] === undefined || detail[key] === null ? [] : [`${key} ${String(detail[key])}`],
  );
  const { until } = detail;
  return [...words, ...(typeof until === 'number' ? [`until ${new Date(until).toISOString()}`] : [])].join(', ');
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
  for (const act of acts) io.out(`${csvValues(act).map(csvField).join(',')}\r`);
}

type CsvValue = string | number | boolean | null | undefined;

function csvValues(act: Act): CsvValue[] {
  const time = new Date(act.time).toISOString();
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

/** A spreadsheet takes text that begins so for a formula; an apostrophe before it makes it text again (OWASP, CSV injection). */
const FORMULA = /^[=+\-@\t\r]/;

export function csvField(value: CsvValue): string {
  if (value === null || value === undefined) return '';
  if (typeof value !== 'string') return String(value);
  const text = printable(value);
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
