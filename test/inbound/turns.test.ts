// Turns: so many at a time, each who waits in his own, and none twice.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { takeTurns } from '../../src/inbound/turns.ts';

const settled = async (): Promise<void> => {
  await new Promise((resolve) => setImmediate(resolve));
};

test('of those who wait each has one after another, however much one of them has to do', async () => {
  const turns = takeTurns(2);
  const had: string[] = [];
  for (const who of ['a', 'a', 'a', 'a', 'a', 'b', 'c', 'b']) void turns.take(who).then(() => had.push(who));
  await settled();
  expect(had).toEqual(['a', 'a']);
  for (let n = 0; n < 6; n++) {
    turns.give();
    await settled();
  }
  expect(had.slice(2)).toEqual(['a', 'b', 'c', 'a', 'b', 'a']);
  turns.give();
  turns.give();
  void turns.take('d').then(() => had.push('d'));
  await settled();
  expect(had.at(-1)).toBe('d');
});

test('are never more than so many at a time, and all come', async () => {
  const step = fc.oneof(fc.constantFrom('a', 'b', 'c'), fc.constant(null));
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 40 }), async (most, steps) => {
      const turns = takeTurns(most);
      let asked = 0;
      let had = 0;
      let given = 0;
      for (const one of steps) {
        if (one !== null) {
          asked++;
          void turns.take(one).then(() => had++);
        } else if (given < had) {
          given++;
          turns.give();
        }
        await settled();
        expect(had).toBe(Math.min(asked, given + most));
      }
    }),
    { numRuns: 60 },
  );
});
