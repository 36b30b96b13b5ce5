// How a flag on an identity is shown, by `list`, `unlock` and `unflag`. Pure.
import { roughDuration } from '../config/duration.ts';
import type { FlagRecord } from '../store/flags.ts';

/** Two lines, the flag and what to do about it; not yet safe for a terminal. */
export function flagLines({ identity, reason, flaggedAt }: FlagRecord, now: number): readonly string[] {
  const ago = roughDuration(Math.max(0, now - flaggedAt));
  return [
    `${identity} was flagged ${ago} ago: ${reason}`,
    `  look at certgate audit --identity ${identity}; then certgate unflag ${identity}`,
  ];
}

/** As `--json` prints it, in RFC 3339; null for none. */
export function flagJson(flag: FlagRecord | null | undefined): object | null {
  if (flag === null || flag === undefined) return null;
  return { since: new Date(flag.flaggedAt).toISOString(), reason: flag.reason };
}
