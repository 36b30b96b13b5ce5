// A report as aligned text: one block for each work, then memory and start, then the ratios in one line each.

import { type Comparison, compare, type Report, YARDSTICKS } from './report.ts';
import { type Spread, spreadOf } from './statistics.ts';
import type { Work } from './works.ts';

const NOTHING = '-';

/** Rows as aligned columns: the first to the left, the others to the right. */
export function align(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const cell = (text: string, column: number): string =>
    column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  return rows.map((row) => `  ${row.map(cell).join('   ')}`.trimEnd()).join('\n');
}

const micros = (value: number): string => (value < 1000 ? value.toFixed(1) : value.toFixed(0));
const range = (spread: Spread | null | undefined, write: (value: number) => string): string =>
  spread === null || spread === undefined ? NOTHING : [spread.min, spread.median, spread.max].map(write).join(' ');
const ratio = (value: number): string => value.toFixed(2);
const share = (value: number): string => `${(value * 100).toFixed(0)}%`;
const mebibytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(0);

function workBlock(work: Work, report: Report): string {
  const rows = [
    [
      'contestant',
      'CPU µs/request',
      'p50 µs',
      'p99 µs',
      'requests/s',
      'core',
      'load',
      'upstream',
      ...YARDSTICKS.map((yardstick) => `× ${yardstick}`),
    ],
  ];
  for (const one of compare(work, report.measured)) {
    const rounds = report.measured.find((m) => m.work === work.name && m.contestant === one.contestant)?.rounds ?? [];
    const median = (pick: (round: (typeof rounds)[number]) => number): number =>
      spreadOf(rounds.map(pick))?.median ?? Number.NaN;
    rows.push([
      one.contestant,
      range(spreadOf(rounds.map((r) => r.cpuMicros)), micros),
      range(spreadOf(rounds.map((r) => r.p50Micros)), (value) => value.toFixed(0)),
      median((r) => r.p99Micros).toFixed(0),
      median((r) => r.requestsPerSecond).toFixed(0),
      share(median((r) => r.contestantShare)),
      share(median((r) => r.loadShare)),
      share(median((r) => r.upstreamShare)),
      ...YARDSTICKS.map((yardstick) => range(one.against[yardstick], ratio)),
    ]);
  }
  const compared = work.figure === 'cpu' ? 'CPU per request' : 'p50';
  return `${work.title}   (ratios: ${compared})\n${align(rows)}`;
}

function memoryBlock(report: Report): string {
  const rows = [['contestant', 'version', 'start ms', 'idle MB', 'most MB']];
  for (const one of report.contestants) {
    const under = report.measured
      .filter((m) => m.contestant === one.name)
      .flatMap((m) => m.rounds.map((round) => round.residentBytes));
    const most = under.length === 0 ? NOTHING : mebibytes(Math.max(...under));
    rows.push([one.name, one.version, one.startMs.toFixed(0), mebibytes(one.idleResidentBytes), most]);
  }
  return `memory (resident, all processes of the contestant) and start to first answer\n${align(rows)}`;
}

/** certgate's ratios in words, a line for each work: what a reader looks for first. */
function ratioLines(comparisons: readonly Comparison[]): string[] {
  const gate = comparisons.filter((one) => one.contestant === 'certgate');
  return gate.flatMap((one) => {
    const parts = YARDSTICKS.flatMap((yardstick) => {
      const spread = one.against[yardstick];
      return spread === undefined
        ? []
        : [`${ratio(spread.median)} × ${yardstick} (${ratio(spread.min)}-${ratio(spread.max)})`];
    });
    const unit = one.figure === 'cpu' ? 'CPU' : 'p50';
    return parts.length === 0 ? [] : [`ratio ${one.work}: certgate's ${unit} is ${parts.join(', ')}`];
  });
}

/** The whole report as it goes to stdout. Triples are minimum, median, maximum over the rounds. */
export function tableOf(report: Report, works: readonly Work[]): string {
  const { options } = report;
  const pinned =
    options.cores.contestant === null
      ? 'not pinned (no taskset)'
      : `contestants on core ${options.cores.contestant}, load on ${options.cores.load}, upstream on ${options.cores.upstream}`;
  const heading = [
    `certgate bench, ${report.date}, Node ${report.node}, ${report.cpuModel} × ${report.coreCount}`,
    `${options.rounds} rounds of ${options.seconds} s in turn, access logs ${options.accessLog ? 'on' : 'off'}, ${pinned}`,
    'triples: min median max of the rounds; core, load, upstream: share of a core used by contestant, load generator, upstream',
  ];
  if (options.profiled) heading.push('PROFILED: the Node contestants wrote CPU profiles, their figures are too high');
  const comparisons = works.flatMap((work) => compare(work, report.measured));
  const endings = [
    ...report.skipped.map((one) => `skipped ${one.name}: ${one.reason}`),
    ...report.excluded.map((one) => `EXCLUDED ${one.name}: ${one.reason}`),
    ...ratioLines(comparisons),
  ];
  const blocks = [
    heading.join('\n'),
    ...works.map((work) => workBlock(work, report)),
    memoryBlock(report),
    endings.join('\n'),
  ];
  return `${blocks.join('\n\n')}\n`;
}
