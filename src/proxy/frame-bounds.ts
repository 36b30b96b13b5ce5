// Where the frames of a WebSocket end (RFC 6455 §5.2), without a look at what they say or whether they are good ones: who
// wants to put a frame of its own into a tunnel may do so between two of the others alone.

export interface FrameBounds {
  /** What has passed ends where a frame does. */
  readonly between: boolean;
  /** Bytes of the present frame that are still to come, as far as its head has told; 0 while it has not. */
  readonly left: number;
  /** Goes through `bytes`, the next that pass, to their end. */
  pass(bytes: Buffer): void;
  /** Goes to the end of the present frame, or of `bytes`; answers the index one past it. */
  finish(bytes: Buffer): number;
}

/** For one direction, from its first frame on. */
export function followFrames(): FrameBounds {
  let left = 0;
  /** Bytes of a frame's head: how many have come, how many it has without a mask and with, as far as they tell. */
  let seen = 0;
  let unmasked = 2;
  let whole = 2;
  let length = 0;
  const header = (byte: number): void => {
    seen++;
    if (seen === 2) {
      const short = byte & 0x7f;
      unmasked = short < 126 ? 2 : short === 126 ? 4 : 10;
      whole = unmasked + (byte >= 0x80 ? 4 : 0);
      length = short < 126 ? short : 0;
    } else if (seen > 2 && seen <= unmasked) length = length * 256 + byte;
    if (seen < whole) return;
    seen = 0;
    left = length;
  };
  const step = (bytes: Buffer, from: number): number => {
    if (left === 0) {
      header(bytes[from] ?? 0);
      return from + 1;
    }
    const taken = Math.min(left, bytes.length - from);
    left -= taken;
    return from + taken;
  };
  return {
    get between() {
      return left === 0 && seen === 0;
    },
    get left() {
      return left;
    },
    pass(bytes) {
      for (let at = 0; at < bytes.length; ) at = step(bytes, at);
    },
    finish(bytes) {
      let at = 0;
      while (at < bytes.length && (left > 0 || seen > 0)) at = step(bytes, at);
      return at;
    },
  };
}
