// A report as aligned text: a block for each work, one for memory and start, one for each special work, then certgate's
// ratios in a line each, and the aims.

import { judge } from './aims.ts';
import type { Change } from './history.ts';
import type { Report, Row, SpecialResult, Table } from './report.ts';
import { OURS, ratiosOf, rowsOf } from './rows.ts';
import { ratioOf, type Spread, spreadOf } from './statistics.ts';
import { answers, framePayload, type Work, works } from './works.ts';

const NOTHING = '-';
/** The contestant whose ratios stand in each block; the ratio lines have them all. */
const YARDSTICK = 'nginx';

/** Rows as aligned columns: the first to the left, the others to the right. */
export function align(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const cell = (text: string, column: number): string =>
    column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  return rows.map((row) => `  ${row.map(cell).join('   ')}`.trimEnd()).join('\n');
}

/** Four digits at most, as many as count. */
const digits = (value: number): string =>
  value < 10 ? value.toFixed(2) : value < 1000 ? value.toFixed(1) : value.toFixed(0);
const range = (spread: Spread | null | undefined, write: (value: number) => string): string =>
  spread === null || spread === undefined ? NOTHING : [spread.min, spread.median, spread.max].map(write).join(' ');
const ratio = (value: number): string => value.toFixed(2);
const share = (value: number): string => `${(value * 100).toFixed(0)}%`;
const mebibytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(0);

/** Bytes that a contestant passes to the client per answer, without heads. */
function payloadBytes(work: Work): number {
  if (work.over === 'websocket') return framePayload.length;
  const lengths = work.requests.map((request) => answers.get(request.target)?.length ?? 0);
  return lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
}

function workBlock(work: Work, row: Row, table: Table): string {
  const per = work.over === 'websocket' ? 'frames/s' : 'requests/s';
  const cpu = work.over === 'websocket' ? 'CPU µs/frame' : 'CPU µs/request';
  const rows = [['contestant', cpu, 'p50 µs', 'p99 µs', per, 'MB/s', 'core', 'load', 'upstream', `× ${YARDSTICK}`]];
  const yardstick = row.figures.find((one) => one.contestant === YARDSTICK)?.values ?? [];
  for (const { contestant, values } of row.figures) {
    const rounds = table.measured.find((m) => m.work === work.name && m.contestant === contestant)?.rounds ?? [];
    const median = (pick: (round: (typeof rounds)[number]) => number): number =>
      spreadOf(rounds.map(pick))?.median ?? Number.NaN;
    const perSecond = median((r) => r.requestsPerSecond);
    rows.push([
      contestant,
      range(spreadOf(rounds.map((r) => r.cpuMicros)), digits),
      range(spreadOf(rounds.map((r) => r.p50Micros)), (value) => value.toFixed(0)),
      median((r) => r.p99Micros).toFixed(0),
      perSecond.toFixed(0),
      digits((perSecond * payloadBytes(work)) / 1e6),
      share(median((r) => r.contestantShare)),
      share(median((r) => r.loadShare)),
      share(median((r) => r.upstreamShare)),
      contestant === YARDSTICK ? NOTHING : range(ratioOf(values, yardstick), ratio),
    ]);
  }
  const logs = table.accessLog ? 'access logs on' : 'access logs off';
  return `${work.title}; ${logs}   (ratios: ${row.unit})\n${align(rows)}`;
}

function memoryBlock(table: Table): string {
  const rows = [['contestant', 'version', 'start ms', 'idle MB', 'most MB']];
  for (const one of table.contestants) {
    const under = table.measured
      .filter((m) => m.contestant === one.name)
      .flatMap((m) => m.rounds.map((round) => round.residentBytes));
    const most = under.length === 0 ? NOTHING : mebibytes(Math.max(...under));
    rows.push([one.name, one.version, one.startMs.toFixed(0), mebibytes(one.idleResidentBytes), most]);
  }
  return `memory (resident, all processes of the contestant) and start to first answer\n${align(rows)}`;
}

function specialBlock(special: SpecialResult): string {
  const heading = `${special.title}${special.notes.map((note) => `\n  ${note}`).join('')}`;
  if (special.skipped !== null) return `${heading}\n  skipped: ${special.skipped}`;
  const names = [...new Set(special.rows.flatMap((row) => row.figures.map((one) => one.contestant)))];
  const rows = [['contestant', ...special.rows.map((row) => `${row.name}, ${row.unit}`)]];
  for (const name of names) {
    const cells = special.rows.map((row) =>
      range(spreadOf(row.figures.find((one) => one.contestant === name)?.values ?? []), digits),
    );
    rows.push([name, ...cells]);
  }
  return `${heading}\n${align(rows)}`;
}

/** certgate's ratios in words, a line for each row: what a reader looks for first. */
function ratioLines(rows: readonly Row[]): string[] {
  return rows.flatMap((row) => {
    const parts = Object.entries(ratiosOf(row)).map(
      ([name, spread]) => `${ratio(spread.median)} × ${name} (${ratio(spread.min)}-${ratio(spread.max)})`,
    );
    return parts.length === 0 ? [] : [`ratio ${row.name}: ${OURS}'s ${row.unit} is ${parts.join(', ')}`];
  });
}

function aimBlock(rows: readonly Row[]): string {
  const lines = judge(rows).map((verdict) => [
    verdict.row,
    verdict.against === null ? (rows.find((row) => row.name === verdict.row)?.unit ?? '') : `× ${verdict.against}`,
    `${verdict.atLeast === true ? '≥' : '≤'} ${verdict.reach}`,
    digits(verdict.median),
    verdict.reached ? 'reached' : 'not reached',
  ]);
  if (lines.length === 0) return '';
  return `aims (medians)\n${align([['row', 'figure', 'aim', 'is', ''], ...lines])}`;
}

/** The comparison with the history: one line for each ratio. */
export function changeBlock(changes: readonly Change[]): string {
  if (changes.length === 0) return 'nothing of this run is in the history yet';
  const [first] = changes;
  const same = changes.every(({ since }) => since.date === first?.since.date);
  const heading = same ? `against ${first?.since.commit ?? 'no commit'}, ${first?.since.date}` : 'against the history';
  const lines = changes.map((one) => {
    const word = one.change === null ? 'no change (ranges overlap)' : `${(one.change * 100).toFixed(0)} %`;
    const signed = one.change !== null && one.change > 0 ? `+${word}` : word;
    return [one.row, one.what, range(one.before, digits), range(one.now, digits), signed];
  });
  return `${heading}\n${align([['row', 'figure', 'before', 'now', 'change'], ...lines])}`;
}

function headingOf(report: Report): string {
  const { options } = report;
  const pinned =
    options.cores.contestant === null
      ? 'not pinned (no taskset)'
      : `contestants on core ${options.cores.contestant}, load on ${options.cores.load}, upstream on ${options.cores.upstream}`;
  const lines = [
    `certgate bench, ${report.date}, commit ${report.commit ?? 'unknown'}, Node ${report.node}, ${report.cpuModel} × ${report.coreCount}`,
    `${options.rounds} rounds of ${options.seconds} s in turn, ${pinned}; certgate from ${options.form}/`,
    'triples: min median max of the rounds; core, load, upstream: share of a core used by contestant, load generator, upstream',
  ];
  if (options.profiled) lines.push('PROFILED: the Node contestants wrote CPU profiles, their figures are too high');
  return lines.join('\n');
}

function tableBlocks(table: Table): string[] {
  const rows = rowsOf({ tables: [table], specials: [] });
  const blocks = works
    .filter((work) => table.measured.some((one) => one.work === work.name))
    .flatMap((work, place) => {
      const row = rows[place];
      return row === undefined ? [] : [workBlock(work, row, table)];
    });
  return [...blocks, memoryBlock(table)];
}

/** The whole report as it goes to stdout. Triples are minimum, median, maximum over the rounds. */
export function tableOf(report: Report): string {
  const rows = rowsOf(report);
  const endings = [
    ...report.skipped.map((one) => `skipped ${one.name}: ${one.reason}`),
    ...report.excluded.map((one) => `EXCLUDED ${one.name}: ${one.reason}`),
    ...ratioLines(rows),
  ];
  const blocks = [
    headingOf(report),
    ...report.tables.flatMap(tableBlocks),
    ...report.specials.map(specialBlock),
    endings.join('\n'),
    aimBlock(rows),
  ];
  return `${blocks.filter((block) => block !== '').join('\n\n')}\n`;
}
