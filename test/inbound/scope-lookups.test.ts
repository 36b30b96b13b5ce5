// What is known of a moment ago decides at once, and never otherwise than asking would.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openScopeLookups } from '../../src/inbound/scope-lookups.ts';
import type { Scope } from '../../src/policy/scope.ts';
import type { Need, ObjectType } from '../../src/policy/scope-refs.ts';

const id = (n: number): string => `00000000-0000-4000-8000-00000000000${n}`;
const need = (type: ObjectType, n: number): Need => ({ ref: { type, id: id(n) }, absent: 'pass' });
const etl: Scope = { pools: ['etl'], tag: null, torn: false };

/** A Prefect of runs, each with a pool, or within what it came from; and how often it was asked. */
function world(runs: Readonly<Record<string, object>>) {
  const asked: string[] = [];
  let now = 0;
  const lookups = openScopeLookups(
    async ({ path }) => {
      asked.push(path);
      return runs[path.slice(-36)] ?? null;
    },
    () => now,
  );
  return { asked, lookups, wait: (ms: number) => (now += ms) };
}

describe('what is kept', () => {
  test('is within at once for five seconds, until it is written, and not before it was asked', async () => {
    const { asked, lookups, wait } = world({ [id(1)]: { work_pool_name: 'etl', tags: [] } });
    const needs = [need('flow_run', 1)];
    expect(lookups.inside(etl, needs)).toBe(false);
    expect(await lookups.outside(etl, needs)).toBeNull();
    expect([lookups.inside(etl, needs), lookups.inside({ ...etl, pools: ['ml'] }, needs)]).toEqual([true, false]);
    expect(lookups.inside({ ...etl, torn: true }, needs)).toBe(false);
    wait(5_000);
    expect(lookups.inside(etl, needs)).toBe(false);
    expect(await lookups.outside(etl, needs)).toBeNull();
    lookups.forget(id(1));
    expect(lookups.inside(etl, needs)).toBe(false);
    expect(asked).toHaveLength(2);
  });

  test('a queue that finds runs by a filter is in no pool', async () => {
    const queue = { work_pool_name: 'etl', filter: null };
    const { lookups } = world({ [id(1)]: queue, [id(2)]: { ...queue, filter: { tags: [], deployment_ids: null } } });
    expect(await lookups.outside(etl, [need('work_queue', 1)])).toBeNull();
    expect(await lookups.outside(etl, [need('work_queue', 2)])).toEqual(need('work_queue', 2));
  });

  test('an id that says it was made a moment ago is nobody’s yet, where whoever names it makes it', async () => {
    const at = (ms: number) =>
      ms
        .toString(16)
        .padStart(12, '0')
        .replace(/^(.{8})/, '$1-');
    const idOf = (ms: number, version = 7) => `${at(ms)}-${version}000-8000-000000000000`;
    const known = { [id(1)]: { work_pool_name: 'ml' } };
    const { asked, lookups } = world({ ...known, [idOf(9)]: { state_details: { task_run_id: id(1) } } });
    const made = (state: string): Need => ({ ref: { type: 'task_run_state', id: state }, absent: 'pass', made: true });
    expect(await lookups.outside(etl, [made(idOf(Date.now()))])).toBeNull();
    expect(asked).toEqual([]);
    expect(await lookups.outside(etl, [made(idOf(9))])).toEqual(made(idOf(9)));
    for (const other of [idOf(Date.now(), 4), idOf(Date.now() - 120_000), idOf(Date.now() + 120_000)]) {
      const before = asked.length;
      expect(await lookups.outside(etl, [made(other)])).toBeNull();
      expect(asked).toHaveLength(before + 1);
    }
    // Who only names it may read it no sooner.
    const read: Need = { ref: { type: 'task_run_state', id: idOf(Date.now()) }, absent: 'pass' };
    const before = asked.length;
    await lookups.outside(etl, [read]);
    expect(asked).toHaveLength(before + 1);
  });

  test('never lets anything through that asking would not', async () => {
    const run = fc.record({
      work_pool_name: fc.constantFrom(null, 'etl', 'ml'),
      tags: fc.constantFrom([], ['a']),
      deployment_id: fc.constantFrom(null, id(0), id(1), id(2)),
      parent_task_run_id: fc.constantFrom(null, id(3), id(4)),
      flow_run_id: fc.constantFrom(null, id(0), id(1), id(5)),
    });
    const scope = fc.constantFrom<Scope>(etl, { pools: null, tag: 'a', torn: false }, { ...etl, tag: 'a' });
    const needs = fc.array(
      fc
        .tuple(fc.constantFrom<ObjectType>('flow_run', 'task_run', 'deployment'), fc.nat(5))
        .map(([type, n]) => need(type, n)),
      { minLength: 1, maxLength: 3 },
    );
    let through = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(run, { minLength: 6, maxLength: 6 }), scope, needs, needs, async (runs, of, a, b) => {
        const { lookups } = world(Object.fromEntries(runs.map((one, n) => [id(n), one])));
        await lookups.outside(of, a);
        await lookups.outside(etl, b);
        for (const some of [a, b, [...a, ...b]]) {
          if (!lookups.inside(of, some)) continue;
          through++;
          expect(await lookups.outside(of, some)).toBeNull();
        }
      }),
    );
    expect(through).toBeGreaterThan(0);
  });
});
