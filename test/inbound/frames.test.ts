// The frames of RFC 6455 §5.2 where the gate reads them: one reading of each, and what another reader could take otherwise is
// refused.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readFrame } from '../../src/inbound/frames.ts';

const MASK = Buffer.from([0xde, 0xad, 0xbe, 0xef]);
const MOST = 70_000;

/** A frame whose length takes `by` bytes beyond the first two: 0, 2 or 8. */
function frame(first: number, payload: Buffer, by: 0 | 2 | 8, mask: Buffer | null): Buffer {
  const masked = mask === null ? 0 : 0x80;
  const header = Buffer.alloc(2 + by);
  header[0] = first;
  header[1] = masked | (by === 0 ? payload.length : by === 2 ? 126 : 127);
  if (by === 2) header.writeUInt16BE(payload.length, 2);
  if (by === 8) header.writeBigUInt64BE(BigInt(payload.length), 2);
  const body = mask === null ? payload : payload.map((byte, i) => byte ^ (mask[i & 3] ?? 0));
  return Buffer.concat([header, ...(mask === null ? [] : [mask]), body]);
}

const least = (length: number): 0 | 2 | 8 => (length < 126 ? 0 : length < 65_536 ? 2 : 8);

describe('a frame', () => {
  it('is what was sent, of any length, masked or not, once all of it has come and not before', () => {
    const length = fc.oneof(fc.nat({ max: 130 }), fc.constantFrom(125, 126, 127, 65_535, 65_536, MOST));
    const property = fc.property(
      length,
      fc.constantFrom(0, 1, 2),
      fc.boolean(),
      fc.boolean(),
      fc.nat(),
      (size, opcode, fin, masked, cut) => {
        const payload = Buffer.from(Array.from({ length: size }, (_, i) => (i * 7) & 0xff));
        const bytes = frame((fin ? 0x80 : 0) | opcode, payload, least(size), masked ? MASK : null);
        const behind = Buffer.concat([bytes, Buffer.from('behind')]);
        expect(readFrame(behind, MOST, masked)).toEqual({ fin, opcode, payload, end: bytes.length });
        expect(readFrame(bytes.subarray(0, cut % bytes.length), MOST, masked)).toBeNull();
      },
    );
    fc.assert(property, { numRuns: 120 });
  });

  const hello = Buffer.from('hello');
  it.each<[string, Buffer, boolean]>([
    ['is not masked by a client', frame(0x81, hello, 0, null), true],
    ['is masked by a server', frame(0x81, hello, 0, MASK), false],
    ['writes 5 in two bytes more', frame(0x81, hello, 2, MASK), true],
    ['writes 5 in eight bytes more', frame(0x81, hello, 8, MASK), true],
    ['writes 125 in two bytes more', frame(0x81, Buffer.alloc(125), 2, MASK), true],
    ['writes 126 in eight bytes more', frame(0x81, Buffer.alloc(126), 8, MASK), true],
    ['writes 65,535 in eight bytes more', frame(0x81, Buffer.alloc(65_535), 8, MASK), true],
    ['is one byte longer than may be', frame(0x81, Buffer.alloc(MOST + 1), 8, MASK), true],
    ['is 2^63 bytes long', Buffer.from([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]), true],
    ['is 2^63-1 bytes long', Buffer.from([0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), true],
    ['is 2^32+5 bytes long', Buffer.from([0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 5]), true],
    ['is compressed (RSV1)', frame(0xc1, hello, 0, MASK), true],
    ['has RSV2', frame(0xa1, hello, 0, MASK), true],
    ['has RSV3', frame(0x91, hello, 0, MASK), true],
    ['is a ping with RSV1', frame(0xc9, hello, 0, MASK), true],
    ['is a ping of 126 bytes', frame(0x89, Buffer.alloc(126), 2, MASK), true],
    ['is a ping whose length is written long', frame(0x89, hello, 2, MASK), true],
    ['is a fragmented ping', frame(0x09, hello, 0, MASK), true],
    ['is a fragmented close', frame(0x08, hello, 0, MASK), true],
    ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15]
      .map((opcode) => [`has the reserved opcode ${opcode}`, frame(0x80 | opcode, hello, 0, MASK), true] as const)
      .map(([what, bytes, masked]): [string, Buffer, boolean] => [what, bytes, masked]),
  ])('is refused when it %s', (_what, bytes, masked) => {
    expect(readFrame(bytes, MOST, masked)).toBeTypeOf('string');
  });
});
