import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GateCounts } from '../../../src/inbound/workers/gate-counts.ts';

describe('connections of an identity over all workers', () => {
  test('are as many as it may have, wherever they are', () => {
    const counts = new GateCounts(2);
    expect([counts.enter(1, 'a'), counts.enter(2, 'a'), counts.enter(3, 'a'), counts.enter(3, 'b')]).toEqual([
      true,
      true,
      false,
      true,
    ]);
    counts.leave(1, 'a');
    expect(counts.enter(3, 'a')).toBe(true);
  });

  test('are free again when their worker ends, and only those', () => {
    const counts = new GateCounts(3);
    for (const worker of [1, 1, 2]) counts.enter(worker, 'a');
    counts.forget(1);
    expect(counts.of('a')).toBe(1);
    // What a dead worker has sent before may come after.
    counts.leave(1, 'a');
    expect(counts.of('a')).toBe(1);
  });

  test('agree with a plain list, are never negative and never too many, whatever comes, goes and dies', () => {
    const step = fc.record({
      what: fc.constantFrom('enter', 'enter', 'leave', 'forget'),
      worker: fc.integer({ min: 1, max: 3 }),
      identity: fc.constantFrom('a', 'b'),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: 'max' }), fc.integer({ min: 1, max: 6 }), (steps, most) => {
        const counts = new GateCounts(most);
        let held: Array<readonly [number, string]> = [];
        for (const { what, worker, identity } of steps) {
          if (what === 'enter') {
            const room = held.filter(([, one]) => one === identity).length < most;
            expect(counts.enter(worker, identity)).toBe(room);
            if (room) held.push([worker, identity]);
          } else if (what === 'leave') {
            counts.leave(worker, identity);
            const at = held.findIndex(([w, i]) => w === worker && i === identity);
            if (at >= 0) held.splice(at, 1);
          } else {
            counts.forget(worker);
            held = held.filter(([w]) => w !== worker);
          }
          for (const one of ['a', 'b']) expect(counts.of(one)).toBe(held.filter(([, i]) => i === one).length);
        }
      }),
    );
  });
});

describe('requests in flight', () => {
  test('are told to each worker as what the others have, and what is no longer told is none', () => {
    const counts = new GateCounts(10);
    expect([...counts.report(1, [['a', 3]])]).toEqual(['a']);
    counts.report(2, [
      ['a', 4],
      ['b', 1],
    ]);
    expect(counts.elsewhere(1, ['a', 'b'])).toEqual([
      ['a', 4],
      ['b', 1],
    ]);
    expect(counts.elsewhere(3, ['a'])).toEqual([['a', 7]]);
    expect([...counts.report(2, [])]).toEqual(['a', 'b']);
    expect(counts.elsewhere(1, ['a', 'b'])).toEqual([
      ['a', 0],
      ['b', 0],
    ]);
  });

  test('of a worker that ends are none', () => {
    const counts = new GateCounts(10);
    counts.report(1, [['a', 3]]);
    expect([...counts.reported(1)]).toEqual(['a']);
    counts.forget(1);
    expect(counts.elsewhere(2, ['a'])).toEqual([['a', 0]]);
  });
});
