// Rows for people: aligned columns without lines, the way `ls -l` and `kubectl get` do it. Every cell is made safe for
// the terminal here, because cells come from certificates and from the record of what peers sent. Pure.
import { printable } from './escape.ts';

/** Lines of an aligned table; the last column is not padded. An empty cell shows as `-`. */
export function table(head: readonly string[], rows: ReadonlyArray<readonly string[]>): string[] {
  const safe = [
    head.map((title) => title.toUpperCase()),
    ...rows.map((row) => row.map((cell) => printable(cell) || '-')),
  ];
  // Not by Math.max of all: a call takes some 100,000 arguments, and a listing may have more lines.
  const widths = head.map((_, column) => safe.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), 0));
  return safe.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

/** `label  value` lines, labels aligned; the caller has made the values safe. */
export function facts(rows: ReadonlyArray<readonly [label: string, value: string]>): string[] {
  const width = Math.max(0, ...rows.map(([label]) => label.length));
  return rows.map(([label, value]) => `${label.padEnd(width)}  ${value}`.trimEnd());
}
