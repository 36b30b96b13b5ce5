// When to renew, and when to try again: at two thirds of the lifetime less up to a twentieth. What fails is tried again at a
// random moment (full jitter) of a window that is as long as the certificate lets it be, so that ten thousand sidecars
// behind a gate that comes back do not come in the same second, however short it was away. Pure; the chance is given.

const FIRST_RETRY = 1_000;
const LONGEST_RETRY = 60_000;
/** Of what has life left, ms. */
const LONGEST_WINDOW = 900_000;

/** When to renew what lives from `notBefore` to `notAfter`: at 2/3 less up to 1/20 of the lifetime. ms since the epoch. */
export function renewalTime(notBefore: number, notAfter: number, random: number = Math.random()): number {
  const lifetime = notAfter - notBefore;
  return notBefore + (lifetime * 2) / 3 - (lifetime / 20) * random;
}

/** How long to wait after the `failures`-th failure in a row, from 1 on, ms: a part of 1 s, 2 s, 4 s … 60 s. */
export function retryDelay(failures: number, random: number = Math.random()): number {
  return random * Math.min(LONGEST_RETRY, FIRST_RETRY * 2 ** Math.min(failures - 1, 16));
}

/**
 * The same for the renewal of what has `left` ms to live: a part of a quarter of that, of a half, then of three quarters, and
 * at most of 15 min, so that a quarter of it is always kept for further tries. What has ended has no time to lose: as retryDelay.
 */
export function renewalRetryDelay(failures: number, left: number, random: number = Math.random()): number {
  if (left <= 0) return retryDelay(failures, random);
  return random * Math.max(FIRST_RETRY, Math.min(LONGEST_WINDOW, (left * Math.min(failures, 3)) / 4));
}
