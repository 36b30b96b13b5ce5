// The time by which files get old enough to be removed, where a clock that is suddenly wrong must not remove what it should
// not: what it goes ahead at once, in a running gate or since something was last written, counts only after a day in which it
// has stayed so. What passes meanwhile counts as ever. A machine that slept, or a gate that was down, removes a day later.

/** A step ahead that is taken at once, ms: clocks are set right, and a busy process looks late. */
const SUDDEN = 3_600_000;
/** How long a greater one has to hold, ms. */
const PATIENCE = 86_400_000;

export interface PatientClock {
  /** ms since the epoch */
  now(): number;
  /** How far it is behind the system's, ms; 0 when it goes by that. */
  behind(): number;
}

/** `last` is when something was last known to be written, ms since the epoch; `steady` counts what passes, ms. */
export function patientClock(
  last: number | null,
  wall: () => number = Date.now,
  steady: () => number = () => performance.now(),
): PatientClock {
  let base = { wall: last ?? wall(), steady: steady() };
  /** When it was first seen to be ahead, by `steady`. */
  let since: number | null = null;
  const now = (): number => {
    const [said, passed] = [wall(), steady()];
    const reckoned = base.wall + passed - base.steady;
    if (said > reckoned + SUDDEN) {
      since ??= passed;
      if (passed - since < PATIENCE) return reckoned;
    }
    since = null;
    base = { wall: said, steady: passed };
    return said;
  };
  return { now, behind: () => Math.max(0, Math.round(wall() - now())) };
}
