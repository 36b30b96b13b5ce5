// What every part of the bench ends in: rows. A row is one figure (CPU per request of a work, memory when idle, …) of every
// contestant that has it, round by round. Ratios, aims, the history and its comparison know nothing else.

import type { Report, Row } from './report.ts';
import { ratioOf, type Spread, spreadOf } from './statistics.ts';
import { works } from './works.ts';

/** The contestant that the others are compared with. */
export const OURS = 'certgate';

const CPU_UNIT = { kept: 'CPU µs/request', new: 'CPU µs/handshake', websocket: 'CPU µs/frame' } as const;

/** All rows of a report, in the order of its tables and special works. */
export function rowsOf(report: Pick<Report, 'tables' | 'specials'>): Row[] {
  const rows = report.tables.flatMap((table) =>
    works.flatMap((work): Row[] => {
      const measured = table.measured.filter((one) => one.work === work.name);
      if (measured.length === 0) return [];
      return [
        {
          name: table.accessLog ? work.name : `${work.name}, logs off`,
          unit: work.figure === 'cpu' ? CPU_UNIT[work.over] : 'p50 µs',
          figures: measured.map(({ contestant, rounds }) => ({
            contestant,
            values: rounds.map((round) => (work.figure === 'cpu' ? round.cpuMicros : round.p50Micros)),
          })),
        },
      ];
    }),
  );
  return [...rows, ...report.specials.flatMap((special) => special.rows)];
}

/** A contestant's figure in a row; null where it has none. */
export function figureOf(row: Row, contestant: string): Spread | null {
  return spreadOf(row.figures.find((one) => one.contestant === contestant)?.values ?? []);
}

/** certgate's figure divided by each other contestant's, round by round. */
export function ratiosOf(row: Row): Record<string, Spread> {
  const ours = row.figures.find((one) => one.contestant === OURS)?.values ?? [];
  const ratios: Record<string, Spread> = {};
  for (const { contestant, values } of row.figures) {
    const ratio = contestant === OURS ? null : ratioOf(ours, values);
    if (ratio !== null) ratios[contestant] = ratio;
  }
  return ratios;
}
