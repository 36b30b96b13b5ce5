// The frames that the bench's two ends exchange.

import { describe, expect, it } from 'vitest';
import { acceptOf, frameOf, readFrame } from '../../scripts/bench/frames.ts';

describe('the WebSocket frames of the bench', () => {
  it('answers the key of RFC 6455 §1.3 as it says', () => {
    expect(acceptOf('dGhlIHNhbXBsZSBub25jZQ==')).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
  });

  it('writes the masked and the plain "Hello" of RFC 6455 §5.7', () => {
    const mask = Buffer.from('37fa213d', 'hex');
    expect(frameOf(Buffer.from('Hello'), mask).toString('hex')).toBe('818537fa213d7f9f4d5158');
    expect(frameOf(Buffer.from('Hello')).toString('hex')).toBe('810548656c6c6f');
  });

  it.each([0, 1, 125, 126, 1024, 65_535])(
    'reads back a payload of %i bytes, and nothing while a byte is missing',
    (length) => {
      const payload = Buffer.alloc(length, 'ab');
      for (const mask of [null, Buffer.from([1, 2, 3, 4])]) {
        const bytes = frameOf(payload, mask);
        const frame = readFrame(Buffer.concat([Buffer.from('xx'), bytes, Buffer.from('yy')]), 2);
        expect(frame).toMatchObject({ length: bytes.length, masked: mask !== null });
        expect(frame?.payload().equals(payload)).toBe(true);
        expect(readFrame(bytes.subarray(0, -1))).toBeNull();
      }
    },
  );
});
