// What a soak's figures mean, as pure functions: is memory flat, have all descriptors come back, was every answer right.

import { spreadOf } from '../bench/statistics.ts';

/** One look at a process. */
export interface Sample {
  /** Since the load began. */
  readonly seconds: number;
  readonly rssBytes: number;
  readonly descriptors: number;
  /** After a full garbage collection; null where it was not asked for. */
  readonly heapBytes: number | null;
  /** Event loop delay since the last look, ms; null as above. */
  readonly loopP99: number | null;
  readonly loopMax: number | null;
}

/** What may be added between the second quarter and the last before memory is called growing. */
const ALLOWED_BYTES = { rss: 10 * 1024 * 1024, heap: 2 * 1024 * 1024 };
const ALLOWED_SHARE = 0.1;
/** Fewer samples in a quarter say nothing. */
const FEWEST = 3;

export interface Trend {
  /** Medians of the four quarters; null where there is too little to say. */
  readonly quarters: readonly [number, number, number, number] | null;
  /** Least squares over the second half, bytes an hour. */
  readonly slope: number;
  readonly flat: boolean;
}

const median = (values: readonly number[]): number => spreadOf(values)?.median ?? Number.NaN;

/** How `what` went over the whole run: the last quarter against the second, since the first is warming up. */
export function trendOf(samples: readonly Sample[], what: 'rss' | 'heap'): Trend {
  const points = samples.flatMap(({ seconds, rssBytes, heapBytes }) => {
    const value = what === 'rss' ? rssBytes : heapBytes;
    return value === null ? [] : [{ seconds, value }];
  });
  const quarter = (n: number): readonly number[] =>
    points.slice(Math.floor((points.length * n) / 4), Math.floor((points.length * (n + 1)) / 4)).map((p) => p.value);
  const all = [quarter(0), quarter(1), quarter(2), quarter(3)] as const;
  const slope = slopeOf(points.slice(points.length >> 1));
  if (all.some((values) => values.length < FEWEST)) return { quarters: null, slope, flat: true };
  const quarters = [median(all[0]), median(all[1]), median(all[2]), median(all[3])] as const;
  const grown = quarters[3] - quarters[1];
  return { quarters, slope, flat: grown <= Math.max(ALLOWED_BYTES[what], quarters[1] * ALLOWED_SHARE) };
}

function slopeOf(points: readonly { readonly seconds: number; readonly value: number }[]): number {
  const n = points.length;
  if (n < 2) return 0;
  const meanX = points.reduce((sum, p) => sum + p.seconds, 0) / n;
  const meanY = points.reduce((sum, p) => sum + p.value, 0) / n;
  const over = points.reduce((sum, p) => sum + (p.seconds - meanX) * (p.value - meanY), 0);
  const under = points.reduce((sum, p) => sum + (p.seconds - meanX) ** 2, 0);
  return under === 0 ? 0 : (over / under) * 3600;
}

/** Bytes as `12.3 MiB`. */
export function mib(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(1)} MiB`;
}

/** A trend in words, e.g. `61.0, 66.2, 66.4, 66.3 MiB a quarter, +0.2 MiB an hour: flat`. */
export function trendWords(trend: Trend): string {
  if (trend.quarters === null) return 'too short a run to say anything of memory';
  const quarters = trend.quarters.map((value) => (value / 1_048_576).toFixed(1)).join(', ');
  const slope = `${trend.slope < 0 ? '-' : '+'}${mib(Math.abs(trend.slope))}`;
  return `${quarters} MiB a quarter, ${slope} an hour in the second half: ${trend.flat ? 'flat' : 'GROWING'}`;
}
