// When to renew, and when to try again: by the wall clock, at two thirds of the lifetime less up to a twentieth; what fails
// is tried again after a random part of 1 s, 2 s, 4 s … 60 s, for ever, so that ten thousand sidecars behind a gate that
// comes back do not come in the same second (full jitter). Pure; the chance is given.

const FIRST_RETRY = 1_000;
const LONGEST_RETRY = 60_000;

/** When to renew what lives from `notBefore` to `notAfter`: at 2/3 less up to 1/20 of the lifetime. ms since the epoch. */
export function renewalTime(notBefore: number, notAfter: number, random: number = Math.random()): number {
  const lifetime = notAfter - notBefore;
  return notBefore + (lifetime * 2) / 3 - (lifetime / 20) * random;
}

/** How long to wait after the `failures`-th failure in a row, from 1 on, ms. */
export function retryDelay(failures: number, random: number = Math.random()): number {
  return random * Math.min(LONGEST_RETRY, FIRST_RETRY * 2 ** Math.min(failures - 1, 16));
}
