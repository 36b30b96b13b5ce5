import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { countIdentities, MOST_HELD, requestSlot, Tallies, type Tally } from '../../src/inbound/identity-counts.ts';

const isTally = (one: unknown): one is Tally => typeof one === 'object' && one !== null && 'requests' in one;
const tallyOf = (one: unknown): Tally => {
  if (!isTally(one)) throw new Error('refused');
  return one;
};

describe('an identity', () => {
  test('has as many connections as it may, and one more for each that ends; others are not concerned', () => {
    const counts = countIdentities(2);
    const [first] = [tallyOf(counts.enter('worker/a')), tallyOf(counts.enter('worker/a'))];
    expect(counts.enter('worker/a')).toBeNull();
    expect(isTally(counts.enter('worker/b'))).toBe(true);
    counts.leave(first);
    expect(isTally(counts.enter('worker/a'))).toBe(true);
  });

  test('is forgotten with its last connection', () => {
    const tallies = new Tallies();
    const [one, two] = [tallies.enter('worker/a'), tallies.enter('worker/a')];
    expect(one).toBe(two);
    tallies.leave(one);
    expect(tallies.size).toBe(1);
    tallies.leave(two);
    expect([tallies.size, tallies.get('worker/a')]).toEqual([0, undefined]);
  });

  test('has as many requests in flight as it may, those in other processes included', () => {
    const tally = new Tallies().enter('worker/a');
    const [one, two] = [requestSlot(tally, 2), requestSlot(tally, 2)];
    expect([one.take(0), two.take(0)]).toEqual([true, true]);
    expect(requestSlot(tally, 2).take(0)).toBe(false);
    one.free();
    tally.elsewhere = 1;
    expect(one.take(0)).toBe(false);
    tally.elsewhere = 0;
    expect(one.take(0)).toBe(true);
  });

  test('has as many bytes held of bodies and messages as it may, all of its connections together; one alone always goes on', () => {
    const tally = new Tallies().enter('worker/a');
    const [one, two, three] = [requestSlot(tally, 9), requestSlot(tally, 9), requestSlot(tally, 9)];
    expect(one.take(MOST_HELD + 1)).toBe(true);
    expect([two.take(1), two.take(0)]).toEqual([false, true]);
    one.free();
    two.free();
    const holds = one.holder();
    expect([holds(MOST_HELD - 10), two.take(11), two.take(10), holds(MOST_HELD - 9)]).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect([holds(0), three.take(MOST_HELD - 10), tally.held]).toEqual([true, true, MOST_HELD]);
    one.free();
    // What was still being decided when the WebSocket ended counts no more.
    expect(holds(5)).toBe(false);
    two.free();
    three.free();
    expect([tally.held, tally.requests]).toEqual([0, 0]);
  });

  test('never has a negative count, nor one over its limit, and none when all has ended, whatever comes and goes', () => {
    const step = fc.record({ slot: fc.nat(9), what: fc.constantFrom('take', 'free', 'free twice', 'gone') });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 5 }), (steps, most) => {
        const tally: Tally = { identity: 'worker/a', connections: 10, requests: 0, elsewhere: 0, held: 0 };
        const slots = Array.from({ length: 10 }, () => requestSlot(tally, most));
        const taken = new Set<number>();
        for (const { slot: i, what } of steps) {
          const slot = slots[i];
          if (slot === undefined) throw new Error('unreachable');
          if (what === 'take' && !taken.has(i)) {
            expect(slot.take(0)).toBe(taken.size < most);
            if (taken.size < most) taken.add(i);
          } else if (what !== 'take') {
            slot.free();
            if (what === 'free twice') slot.free();
            taken.delete(i);
          }
          expect(tally.requests).toBe(taken.size);
        }
        for (const slot of slots) slot.free();
        expect(tally.requests).toBe(0);
      }),
    );
  });
});
