// Bytes that wait in one place until enough of them have come. What a peer sends in single octets costs as much as what it
// sends at once, in time and in memory: the place doubles, so that nothing is moved again and again, and no part is kept as
// an object of its own. What was read from it stays as it is: a byte that is there is never written over.

const NONE: Buffer = Buffer.alloc(0);
/** The smallest place that is made, bytes. */
const LEAST = 256;

export interface Gathered {
  readonly size: number;
  /** Adds `part`, which belongs to it from then on: bytes of a buffer that will be used again are copied first. */
  add(part: Buffer): void;
  /** All of it. */
  bytes(): Buffer;
  /** Lets go of the first `count` bytes. */
  drop(count: number): void;
}

/** In memory of its own: a small Buffer would lie in a place that others share, and keep all of it. */
export function ownCopy(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}

/** An empty one. */
export function gather(): Gathered {
  let place = NONE;
  let from = 0;
  let to = 0;
  return {
    get size() {
      return to - from;
    },
    add(part) {
      if (from === to) {
        [place, from, to] = [part, 0, part.length];
        return;
      }
      const size = to - from + part.length;
      if (to + part.length > place.length) {
        const larger = Buffer.allocUnsafeSlow(Math.max(LEAST, size * 2));
        place.copy(larger, 0, from, to);
        [place, from, to] = [larger, 0, to - from];
      }
      part.copy(place, to);
      to += part.length;
    },
    bytes: () => place.subarray(from, to),
    drop(count) {
      from += count;
      const size = to - from;
      // What is left must not keep much that is gone.
      if (size * 4 <= place.length)
        [place, from, to] = [size === 0 ? NONE : ownCopy(place.subarray(from, to)), 0, size];
    },
  };
}
