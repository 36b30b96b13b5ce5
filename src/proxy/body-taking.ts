// A request's body, gathered whole: for what is asked of the proxy itself and is small. What is announced is waited for, and
// not a byte more is taken. Pure but for the call at its end.

export interface BodyTaking {
  /** Takes what belongs to it from the beginning of `bytes`, and answers how many that were. */
  add(bytes: Buffer): number;
}

/** Gathers `length` bytes; `whole` is called once, by the `add` that makes it whole. */
export function takeBody(length: number, whole: (body: Buffer) => void): BodyTaking {
  const parts: Buffer[] = [];
  let missing = length;
  return {
    add(bytes) {
      // A copy: the next read overwrites what is here.
      const part = Buffer.from(bytes.subarray(0, missing));
      parts.push(part);
      missing -= part.length;
      if (missing === 0) whole(Buffer.concat(parts));
      return part.length;
    },
  };
}
