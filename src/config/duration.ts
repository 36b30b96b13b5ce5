// Lengths of time as people write them: `24h`, `5m`, `30s`, `500ms`, `7d`, `1h30m`. A bare number is refused, because
// nobody can tell whether it means seconds or milliseconds. No leading sign, no fractions, no spaces; units from the
// longest to the shortest, each at most once. Pure: text in, milliseconds out.

const UNITS: ReadonlyArray<readonly [unit: string, milliseconds: number]> = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
];

const SHAPE = /^(?:(\d{1,6})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m(?!s))?(?:(\d{1,9})s)?(?:(\d{1,12})ms)?$/;

/** Milliseconds in `text`, or null when it is not a duration. `0s` is one; the empty text is not. */
export function parseDuration(text: string): number | null {
  const match = SHAPE.exec(text);
  if (match === null || text === '') return null;
  return UNITS.reduce((sum, [, milliseconds], i) => sum + Number(match[i + 1] ?? 0) * milliseconds, 0);
}

/** `milliseconds` (≥ 0) in its two largest units, rounded down, for people: `23h59m`, `6d4h`, `12s`, `40ms`. */
export function roughDuration(milliseconds: number): string {
  const whole = milliseconds < 1000 ? milliseconds : Math.floor(milliseconds / 1000) * 1000;
  return parts(whole).slice(0, 2).join('') || '0s';
}

function parts(milliseconds: number): string[] {
  let rest = Math.max(0, Math.floor(milliseconds));
  return UNITS.flatMap(([unit, size]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return count > 0 ? [`${count}${unit}`] : [];
  });
}
