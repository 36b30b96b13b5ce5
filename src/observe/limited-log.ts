// Keeps a peer from flooding the log: each reason may be said a few times a second, the rest is counted and told in one
// line when the second is over. A reason is a code of certgate's own, never a peer's text; should there be too many of
// them, the rest share one.

import type { Log } from './log.ts';

export interface LimitedLog {
  /** Logs `message` with `fields`, unless `reason` has been said too often within this second. */
  say(
    level: 'error' | 'warn' | 'info',
    reason: string,
    fields: Readonly<Record<string, unknown>>,
    message: string,
  ): void;
  /** Tells what is still to be told of left-out lines, and stops. */
  close(): void;
}

interface Second {
  readonly start: number;
  readonly level: 'error' | 'warn' | 'info';
  said: number;
  leftOut: number;
}

const SECOND = 1000;
const REASONS = 256;

/** Limits what goes to `log` to `perSecond` lines (default 5) for each reason. */
export function limitLog(log: Log, options: { readonly perSecond?: number } = {}): LimitedLog {
  const perSecond = options.perSecond ?? 5;
  const seconds = new Map<string, Second>();
  let timer: NodeJS.Timeout | null = null;

  const finish = (reason: string, second: Second): void => {
    seconds.delete(reason);
    if (second.leftOut === 0) return;
    log[second.level]({ about: reason, leftOut: second.leftOut }, 'more lines like these were left out');
  };

  const sweep = (): void => {
    timer = null;
    const now = performance.now();
    for (const [reason, second] of seconds) {
      if (now - second.start >= SECOND) finish(reason, second);
    }
    if (seconds.size > 0) timer = setTimeout(sweep, SECOND).unref();
  };

  return {
    say(level, reason, fields, message) {
      const now = performance.now();
      const about = seconds.size < REASONS || seconds.has(reason) ? reason : 'other';
      let second = seconds.get(about);
      if (second !== undefined && now - second.start >= SECOND) {
        finish(about, second);
        second = undefined;
      }
      if (second === undefined) {
        second = { start: now, level, said: 0, leftOut: 0 };
        seconds.set(about, second);
        timer ??= setTimeout(sweep, SECOND).unref();
      }
      if (second.said < perSecond) {
        second.said++;
        log[level](fields, message);
      } else {
        second.leftOut++;
      }
    },
    close() {
      if (timer !== null) clearTimeout(timer);
      timer = null;
      for (const [reason, second] of seconds) finish(reason, second);
    },
  };
}
