// Several rounds of one figure, told as minimum, median and maximum; and the ratio of two contestants, taken round by
// round, so that a slow moment of the machine weighs on both.

export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** @returns null for no values */
export function spreadOf(values: readonly number[]): Spread | null {
  const sorted = values.toSorted((a, b) => a - b);
  const [min] = sorted;
  const max = sorted.at(-1);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  if (min === undefined || max === undefined || upper === undefined || lower === undefined) return null;
  return { min, median: (lower + upper) / 2, max };
}

/** `ours` divided by `theirs`, round by round; null when there is no round of both. */
export function ratioOf(ours: readonly number[], theirs: readonly number[]): Spread | null {
  return spreadOf(ours.slice(0, theirs.length).map((value, round) => value / (theirs[round] ?? Number.NaN)));
}

/** The value that `part` (0-1) of the values do not exceed; NaN for none. */
export function quantileOf(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
}
