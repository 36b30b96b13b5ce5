// How often something may be tried: a token bucket for each key, the clock given. Pure and bounded: a key that is not
// remembered has a full bucket, so whoever can come under more keys than are remembered gains one burst each and no more.

const MOST_REMEMBERED = 16_384;

export interface AttemptLimit {
  /** Whether `key` may try at `now` (ms, never falling). */
  may(key: string, now: number): boolean;
  /** Counts one try of `key`. */
  count(key: string, now: number): void;
  /** From now on `other` has the bucket of `key`: what either tries counts for both. */
  share(key: string, other: string): void;
}

interface Bucket {
  left: number;
  at: number;
}

/** `burst` tries at once, and one more every `everyMs`. */
export function limitAttempts({ burst, everyMs }: { readonly burst: number; readonly everyMs: number }): AttemptLimit {
  const buckets = new Map<string, Bucket>();
  const leftOf = (key: string, now: number): number => {
    const bucket = buckets.get(key);
    return bucket === undefined ? burst : Math.min(burst, bucket.left + (now - bucket.at) / everyMs);
  };
  const remember = (key: string, bucket: Bucket): void => {
    buckets.delete(key);
    buckets.set(key, bucket);
    if (buckets.size <= MOST_REMEMBERED) return;
    for (const oldest of buckets.keys()) {
      buckets.delete(oldest);
      break;
    }
  };
  return {
    may: (key, now) => leftOf(key, now) >= 1,
    count(key, now) {
      const left = Math.max(0, leftOf(key, now) - 1);
      remember(key, Object.assign(buckets.get(key) ?? {}, { left, at: now }));
    },
    share(key, other) {
      const bucket = buckets.get(key);
      if (bucket !== undefined) remember(other, bucket);
    },
  };
}
