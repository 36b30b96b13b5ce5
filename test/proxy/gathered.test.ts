// Bytes that wait: what has come is what is there, what was read stays as it was, and no octet is moved again and again.

import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { gather } from '../../src/proxy/gathered.ts';

afterEach(() => void vi.restoreAllMocks());

describe('what was gathered', () => {
  test('is what was added, less what was let go of, and what was read of it before is not written over', () => {
    const step = fc.oneof(
      fc.record({ add: fc.uint8Array({ maxLength: 600 }) }),
      fc.record({ drop: fc.nat({ max: 1_000 }) }),
    );
    const property = fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const gathered = gather();
      let model: Buffer = Buffer.alloc(0);
      const read: Array<readonly [Buffer, string]> = [];
      for (const one of steps) {
        if ('add' in one) {
          gathered.add(Buffer.from(one.add));
          model = Buffer.concat([model, one.add]);
        } else {
          const count = one.drop % (model.length + 1);
          gathered.drop(count);
          model = model.subarray(count);
        }
        expect(gathered.size).toBe(model.length);
        expect(gathered.bytes().equals(model)).toBe(true);
        read.push([gathered.bytes(), model.toString('latin1')]);
      }
      for (const [bytes, was] of read) expect(bytes.toString('latin1')).toBe(was);
    });
    fc.assert(property, { numRuns: 500 });
  });

  test('octet by octet is moved a few times and no more', () => {
    const copy = vi.spyOn(Buffer.prototype, 'copy');
    const gathered = gather();
    for (let i = 0; i < 20_000; i++) gathered.add(Buffer.from([i & 0xff]));
    const moved = copy.mock.results.reduce((sum, { value }) => sum + Number(value), 0);
    expect(gathered.size).toBe(20_000);
    expect(moved).toBeLessThan(4 * 20_000);
  });

  test('keeps no large place for the little that is left', () => {
    const gathered = gather();
    gathered.add(Buffer.alloc(100_000, 'x'));
    gathered.drop(99_990);
    expect(gathered.bytes().buffer.byteLength).toBeLessThan(1_000);
  });
});
