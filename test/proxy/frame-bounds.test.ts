import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { followFrames } from '../../src/proxy/frame-bounds.ts';

/** A frame of RFC 6455 §5.2; `wide`: its length in more bytes than it needs, as nobody should write it and some do. */
function frame(length: number, masked: boolean, wide = 0): Buffer {
  const bytes = Math.max(wide, length < 126 ? 0 : length < 65_536 ? 2 : 8);
  const head = Buffer.alloc(2 + bytes);
  head[0] = 0x82;
  head[1] = (masked ? 0x80 : 0) | (bytes === 0 ? length : bytes === 2 ? 126 : 127);
  if (bytes === 2) head.writeUInt16BE(length, 2);
  if (bytes === 8) head.writeBigUInt64BE(BigInt(length), 2);
  // What is in it looks like the head of another frame.
  return Buffer.concat([head, Buffer.alloc((masked ? 4 : 0) + length, 0xff)]);
}

const LENGTHS = [0, 1, 2, 125, 126, 127, 128, 255, 256, 65_535, 65_536, 65_537, 70_000];

describe('the bounds of frames', () => {
  test.each(LENGTHS.flatMap((length) => [false, true].map((masked) => ({ length, masked }))))(
    'are where the frame of $length bytes ends, masked: $masked, and nowhere within',
    ({ length, masked }) => {
      for (const wide of length < 126 ? [0, 2, 8] : length < 65_536 ? [0, 8] : [0]) {
        const one = frame(length, masked, wide);
        const bounds = followFrames();
        expect(bounds.between).toBe(true);
        bounds.pass(one.subarray(0, 1));
        expect(bounds.between).toBe(false);
        bounds.pass(one.subarray(1, -1));
        expect(bounds.between).toBe(one.length === 1);
        bounds.pass(one.subarray(-1));
        expect([bounds.between, bounds.left]).toEqual([true, 0]);
        // The next begins anew.
        bounds.pass(frame(3, !masked).subarray(0, -1));
        expect(bounds.between).toBe(false);
      }
    },
  );

  test('tell how much of a frame is to come, once its head has', () => {
    const bounds = followFrames();
    const one = frame(300, true);
    bounds.pass(one.subarray(0, 7));
    expect(bounds.left).toBe(0);
    bounds.pass(one.subarray(7, 8));
    expect(bounds.left).toBe(300);
    bounds.pass(one.subarray(8, 108));
    expect(bounds.left).toBe(200);
  });

  test('are found in whatever pieces the bytes come, and the present frame is gone through to its end', () => {
    const frames = fc.array(fc.tuple(fc.constantFrom(0, 1, 5, 125, 126, 200), fc.boolean()), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(frames, fc.array(fc.nat(900), { maxLength: 8 }), (made, cuts) => {
        const all = made.map(([length, masked]) => frame(length, masked));
        const bytes = Buffer.concat(all);
        const ends = new Set(all.map((_, i) => Buffer.concat(all.slice(0, i + 1)).length));
        const at = [...new Set(cuts.filter((cut) => cut < bytes.length))].toSorted((a, b) => a - b);
        const bounds = followFrames();
        let from = 0;
        for (const to of [...at, bytes.length]) {
          bounds.pass(bytes.subarray(from, to));
          from = to;
          expect(bounds.between).toBe(to === 0 || ends.has(to));
          const other = followFrames();
          other.pass(bytes.subarray(0, to));
          const rest = bytes.subarray(to);
          const next = Math.min(...[...ends].filter((end) => end >= to));
          expect(other.finish(rest)).toBe(to === 0 || ends.has(to) ? 0 : next - to);
          expect(other.between).toBe(true);
          // Of what ends within the frame, all is gone through.
          const half = followFrames();
          half.pass(bytes.subarray(0, to));
          if (!half.between) expect(half.finish(rest.subarray(0, next - to - 1))).toBe(next - to - 1);
        }
      }),
      { numRuns: 60 },
    );
  });
});
