// Waiting for a state that announces itself to nobody: asked again and again until it holds. The bound is there to end
// a test that can't succeed, never to decide one.

import { setTimeout as sleep } from 'node:timers/promises';
import { BOUND_MS } from './processes.ts';

/** A wait that lasts is asked about less often: each question costs who answers, a Prefect server most. */
const EVERY = { first: 50, later: 200, laterIs: 2_000 }; // ms

/** Asks `probe` until it answers something else than undefined; fails with the last error after `boundMs`. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined> | T | undefined,
  boundMs: number = BOUND_MS,
): Promise<T> {
  const began = Date.now();
  let last: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined) return value;
    } catch (error) {
      last = error;
    }
    const waited = Date.now() - began;
    if (waited > boundMs) throw new Error(`not within ${boundMs} ms: ${what}`, { cause: last });
    await sleep(waited < EVERY.laterIs ? EVERY.first : EVERY.later);
  }
}

/** `promise`, or a failure that names `what` after `boundMs`. */
export async function within<T>(what: string, promise: Promise<T>, boundMs: number = BOUND_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${boundMs} ms: ${what}`)), boundMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
