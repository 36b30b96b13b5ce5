// What is known of a moment ago decides at once, and never otherwise than asking would.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openScopeLookups } from '../../src/inbound/scope-lookups.ts';
import type { Scope } from '../../src/policy/scope.ts';
import type { Need, ObjectType } from '../../src/policy/scope-refs.ts';

const id = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
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

describe('what Prefect is asked', () => {
  const TAG: Scope = { pools: null, tag: 'a', torn: false };
  const of = (n: number) => `GET /flow_runs/${id(n)}`;

  /** A Prefect that answers each question by its method and path; `null` is 404, an Error that it does not say. */
  function prefect(answers: Readonly<Record<string, unknown>>) {
    const asked: string[] = [];
    const bodies: unknown[] = [];
    let now = 0;
    const lookups = openScopeLookups(
      async ({ method, path, body }) => {
        asked.push(`${method} ${path}`);
        bodies.push(body);
        await Promise.resolve();
        const said = answers[`${method} ${path}`] ?? null;
        const answer: unknown = typeof said === 'function' ? (said as (body: unknown) => unknown)(body) : said;
        if (answer instanceof Error) throw answer;
        return answer;
      },
      () => now,
    );
    return { asked, bodies, lookups, wait: (ms: number) => (now += ms) };
  }

  test('is asked once for all who ask at a time, and no more once it is known', async () => {
    const { asked, lookups } = prefect({ [of(1)]: { work_pool_name: 'etl' } });
    const needs = [need('flow_run', 1)];
    expect(await Promise.all([1, 2, 3].map(async () => await lookups.outside(etl, needs)))).toEqual([null, null, null]);
    await lookups.outside(etl, needs);
    expect([asked, lookups.size]).toEqual([[of(1)], 1]);
  });

  test('is asked for each by himself: the question of another may have its turn much later', async () => {
    const asked: string[] = [];
    const lookups = openScopeLookups(
      async (_, whose = '') => {
        asked.push(whose);
        return await (whose === 'many' ? new Promise<never>(() => {}) : Promise.resolve({ work_pool_name: 'etl' }));
      },
      () => 0,
    );
    void lookups.outside(etl, [need('flow_run', 1)], 'many');
    expect(await lookups.outside(etl, [need('flow_run', 1)], 'one')).toBeNull();
    expect([asked, lookups.size]).toEqual([['many', 'one'], 1]);
    // What is known is known to all.
    expect(await lookups.outside(etl, [need('flow_run', 1)], 'other')).toBeNull();
    expect(asked).toHaveLength(2);
  });

  test('and what of it was written meanwhile is not kept: whoever asks after that asks anew', async () => {
    for (const written of [id(1), null]) {
      const { asked, lookups } = prefect({ [of(1)]: { work_pool_name: 'etl' } });
      const first = lookups.outside(etl, [need('flow_run', 1)]);
      lookups.forget(written);
      const second = lookups.outside(etl, [need('flow_run', 1)]);
      expect(await Promise.all([first, second])).toEqual([null, null]);
      expect(asked).toEqual([of(1), of(1)]);
      // The second question is of after the write.
      expect(lookups.inside(etl, [need('flow_run', 1)])).toBe(true);
      lookups.forget(null);
      const alone = lookups.outside(etl, [need('flow_run', 1)]);
      lookups.forget(written);
      expect([await alone, lookups.inside(etl, [need('flow_run', 1)])]).toEqual([null, false]);
    }
  });

  test('is forgotten of what is written by its id, or of all', async () => {
    const run = { work_pool_name: 'etl' };
    for (const [type, path] of [
      ['flow_run', '/flow_runs/'],
      ['deployment', '/deployments/'],
      ['work_queue', '/work_queues/'],
    ] as const) {
      const { lookups } = prefect({ [`GET ${path}${id(1)}`]: run, [`GET ${path}${id(2)}`]: run });
      const inside = () => [1, 2].map((n) => lookups.inside(etl, [need(type, n)]));
      await lookups.outside(etl, [need(type, 1), need(type, 2)]);
      expect(inside()).toEqual([true, true]);
      lookups.forget(id(1));
      expect(inside()).toEqual([false, true]);
      lookups.forget(null);
      expect([inside(), lookups.size]).toEqual([[false, false], 0]);
    }
  });

  test('by a name, which another may have by now, is asked each time', async () => {
    const name: Need = { ref: { type: 'deployment_name', id: 'f/d' }, absent: 'refuse' };
    const { asked, lookups } = prefect({ 'GET /deployments/name/f/d': { work_pool_name: 'etl' } });
    expect([await lookups.outside(etl, [name]), await lookups.outside(etl, [name])]).toEqual([null, null]);
    expect([asked.length, lookups.size, lookups.inside(etl, [name])]).toEqual([2, 0, false]);
    // Whatever the flow is called.
    const odd = prefect({ 'GET /deployments/name/of%20f/d': { work_pool_name: 'etl' } });
    expect(await odd.lookups.outside(etl, [{ ...name, ref: { ...name.ref, id: 'of f/d' } }])).toBeNull();
  });

  test('and has more tags than anybody gives a run is asked again each time, and not kept', async () => {
    const tags = Array.from({ length: 5_000 }, (_, n) => String(n));
    const { asked, lookups } = prefect({ [of(1)]: { work_pool_name: 'etl', tags }, [of(2)]: { tags: ['a'] } });
    for (const times of [1, 2]) {
      expect(await lookups.outside(etl, [need('flow_run', 1)])).toBeNull();
      expect([asked.length, lookups.size]).toEqual([times, 0]);
    }
    expect(await lookups.outside(TAG, [need('flow_run', 2)])).toBeNull();
    expect(lookups.size).toBe(1);
    // Nor what many runs are in the place of, and not a pool with a long name.
    const task: Need = { ref: { type: 'task_run', id: id(9) }, absent: Array(500).fill(need('flow_run', 1).ref) };
    expect(await lookups.outside(etl, [task])).toBeNull();
    const long = 'p'.repeat(5_000);
    const other = prefect({ [of(1)]: { work_pool_name: long, tags: [] } });
    expect(await other.lookups.outside({ ...etl, pools: [long] }, [need('flow_run', 1)])).toBeNull();
    expect([lookups.size, other.lookups.size]).toEqual([1, 0]);
  });

  test('of what is in the place of many that are not there is gone through once for all of them', async () => {
    const name = { type: 'deployment_name', id: 'f/d' } as const;
    const { asked, lookups } = prefect({ 'GET /deployments/name/f/d': { work_pool_name: 'etl' } });
    const absent = [name];
    const tasks = Array.from({ length: 100 }, (_, n): Need => ({ ref: { type: 'task_run', id: id(n) }, absent }));
    expect(await lookups.outside(etl, tasks)).toBeNull();
    expect(asked.filter((path) => path.includes('/name/'))).toHaveLength(1);
    // Of another list, and of another request, anew.
    expect(await lookups.outside(etl, [need('flow_run', 1), { ...need('task_run', 200), absent }])).toBeNull();
    expect(asked.filter((path) => path.includes('/name/'))).toHaveLength(2);
    const strange = prefect({ 'GET /deployments/name/f/d': { work_pool_name: 'ml' } });
    expect(await strange.lookups.outside(etl, tasks)).toEqual(tasks[0]);
  });

  test('and is not there is asked again each time', async () => {
    const { asked, lookups } = prefect({});
    for (const times of [1, 2]) {
      expect(await lookups.outside(etl, [need('flow_run', 1)])).toBeNull();
      expect([asked.length, lookups.size, lookups.inside(etl, [need('flow_run', 1)])]).toEqual([times, 0, false]);
    }
  });

  test('and is not there passes, is refused, or is what is to be in its place; only the last is kept', async () => {
    const { asked, lookups } = prefect({ [of(1)]: { work_pool_name: 'etl' }, [of(2)]: { work_pool_name: 'ml' } });
    const task = (absent: Need['absent']): Need => ({ ref: { type: 'task_run', id: id(9) }, absent });
    const runs = (...all: number[]) => all.map((n) => ({ type: 'flow_run', id: id(n) }) as const);
    const outside = async (absent: Need['absent']) => (await lookups.outside(etl, [task(absent)])) !== null;
    expect([await outside('pass'), await outside('refuse'), await outside([])]).toEqual([false, true, true]);
    expect([await outside(runs(2)), await outside(runs(1, 2)), await outside(runs(3))]).toEqual([true, true, true]);
    expect(lookups.inside(etl, [task('pass')])).toBe(false);
    expect(await outside(runs(1))).toBe(false);
    const before = asked.length;
    expect([await outside('refuse'), lookups.inside(etl, [task('refuse')])]).toEqual([false, true]);
    expect(asked).toHaveLength(before);
  });

  test('and does not answer, or not as it would, is a failure, and is asked again', async () => {
    for (const odd of [new Error("can't be read"), 'x', [null], 1]) {
      const answers: Record<string, unknown> = { [of(1)]: odd };
      const { asked, lookups } = prefect(answers);
      const needs = [need('flow_run', 1)];
      await expect(lookups.outside(etl, needs)).rejects.toThrow("can't be read");
      expect(lookups.inside(etl, needs)).toBe(false);
      answers[of(1)] = { work_pool_name: 'etl' };
      expect([await lookups.outside(etl, needs), asked.length]).toEqual([null, 2]);
    }
    const { lookups } = prefect({});
    await expect(lookups.outside(etl, [need('resource', 1)])).rejects.toThrow(TypeError);
  });

  test('of many things names the first that is not within', async () => {
    const { lookups } = prefect(
      Object.fromEntries(
        Array.from({ length: 40 }, (_, n) => [
          `GET /flow_runs/${n}`,
          { work_pool_name: [18, 20, 37].includes(n) ? 'ml' : 'etl' },
        ]),
      ),
    );
    const many = (from: number, to: number): Need[] =>
      Array.from({ length: to - from }, (_, n) => ({
        ref: { type: 'flow_run', id: String(from + n) },
        absent: 'pass',
      }));
    expect((await lookups.outside(etl, many(0, 40)))?.ref.id).toBe('18');
    expect((await lookups.outside(etl, many(21, 40)))?.ref.id).toBe('37');
    expect([await lookups.outside(etl, many(21, 37)), await lookups.outside(etl, [])]).toEqual([null, null]);
  });

  test('is at most sixteen things at a time for one request', async () => {
    let [now, most] = [0, 0];
    const lookups = openScopeLookups(
      async () => {
        most = Math.max(most, ++now);
        await new Promise((resolve) => setImmediate(resolve));
        now--;
        return { work_pool_name: 'etl' };
      },
      () => 0,
    );
    const ids = Array.from(
      { length: 40 },
      (_, n) => ({ ref: { type: 'flow_run', id: String(n) }, absent: 'pass' }) as const,
    );
    expect([await lookups.outside(etl, ids), most]).toEqual([null, 16]);
  });

  test('of subflows of subflows goes back through thirty-two things, and no more', async () => {
    // Each run has a parent in the task that stands for it in the run before; the first is in the pool.
    const things: Record<string, object> = {};
    for (let n = 0; n < 18; n++) {
      things[`GET /flow_runs/${id(n)}`] = n === 0 ? { work_pool_name: 'etl' } : { parent_task_run_id: id(n - 1) };
      things[`GET /task_runs/${id(n)}`] = { flow_run_id: id(n) };
    }
    const { lookups } = prefect(things);
    const within = async (n: number) => {
      const one = [{ ref: { type: 'flow_run', id: id(n) }, absent: 'refuse' }] as const;
      const said = (await lookups.outside(etl, one)) === null;
      expect(lookups.inside(etl, one)).toBe(said);
      return said;
    };
    expect([await within(16), await within(17)]).toEqual([true, false]);
  });

  test('of what it came from counts where a thing has no pool and no tag that decides', async () => {
    const { lookups } = prefect({
      [of(1)]: { work_pool_name: null, deployment_id: id(2), parent_task_run_id: id(3) },
      [`GET /deployments/${id(2)}`]: { work_pool_name: 'ml' },
      [`GET /task_runs/${id(3)}`]: { flow_run_id: id(4) },
      [of(4)]: { work_pool_name: 'etl', tags: ['a'] },
      // In another's pool it is that one's, whoever made it.
      [of(5)]: { work_pool_name: 'ml', parent_task_run_id: id(3) },
      // From itself it has nothing.
      [of(6)]: { parent_task_run_id: id(7) },
      [`GET /task_runs/${id(7)}`]: { flow_run_id: id(6) },
    });
    const within = async (scope: Scope, n: number) => (await lookups.outside(scope, [need('flow_run', n)])) === null;
    expect([await within(etl, 1), await within(etl, 5), await within(etl, 6)]).toEqual([true, false, false]);
    expect([await within(TAG, 1), await within(TAG, 5)]).toEqual([true, true]);
    expect([await within({ ...etl, torn: true }, 4), await within({ ...TAG, pools: ['ml'] }, 1)]).toEqual([
      false,
      false,
    ]);
    expect([lookups.inside(etl, [need('flow_run', 1)]), lookups.inside(etl, [need('flow_run', 6)])]).toEqual([
      true,
      false,
    ]);
  });

  test('of a run with a key is asked of the flow of the deployment that is to make it', async () => {
    const key: Need = { ref: { type: 'run_of', id: `of ${id(1)}/k/1` }, absent: 'pass' };
    const runs = (...pools: string[]) => ({
      [`GET /deployments/${id(1)}`]: { work_pool_name: 'etl', flow_id: id(2) },
      'POST /flow_runs/filter': pools.map((pool) => ({ work_pool_name: pool })),
    });
    const own = prefect(runs('etl'));
    expect(await own.lookups.outside(etl, [key])).toBeNull();
    expect(own.bodies.at(-1)).toEqual({
      flows: { id: { any_: [id(2)] } },
      flow_runs: { idempotency_key: { any_: ['k/1'] } },
    });
    expect(await prefect(runs('etl', 'ml')).lookups.outside(etl, [key])).toBe(key);
    expect(await prefect(runs()).lookups.outside(etl, [key])).toBeNull();
    // Of a deployment that is not there: of no flow.
    const none = prefect({ 'POST /flow_runs/filter': [] });
    expect(await none.lookups.outside(etl, [key])).toBeNull();
    expect(none.bodies.at(-1)).toMatchObject({ flows: { id: { any_: ['00000000-0000-0000-0000-000000000000'] } } });
  });

  test('of a flow is whether any deployment or run of it is within; one that has none is anybody’s', async () => {
    interface Asked {
      readonly flow_runs?: object;
      readonly sort?: string;
      readonly work_pools?: object;
      readonly deployments?: object;
    }
    const flow = [{ ref: { type: 'flow', id: id(1) }, absent: 'refuse' }] as const;
    /** What it has: deployments and runs that are within, its newest runs, and any deployment at all. */
    const has = (deployments: number, runs: number, newest: readonly object[], any: number) => {
      const made = (n: number) => Array.from({ length: n }, () => ({}));
      return prefect({
        'POST /deployments/filter': ({ deployments: own }: Asked) => made(own === undefined ? any : deployments),
        'POST /flow_runs/filter': ({ sort }: Asked) => (sort === undefined ? made(runs) : newest),
        [of(2)]: { work_pool_name: 'etl' },
        [`GET /task_runs/${id(3)}`]: { flow_run_id: id(2) },
      });
    };
    const both: Scope = { pools: ['etl'], tag: 'a', torn: false };
    const said = async ({ lookups }: ReturnType<typeof has>, scope = etl) =>
      (await lookups.outside(scope, flow)) === null;
    expect([await said(has(1, 0, [], 1)), await said(has(0, 1, [{}], 0)), await said(has(0, 0, [], 0))]).toEqual([
      true,
      true,
      true,
    ]);
    // Others' alone.
    expect([await said(has(0, 0, [], 1)), await said(has(0, 0, [{ work_pool_name: 'ml' }], 1))]).toEqual([
      false,
      false,
    ]);
    // Runs of subflows have what they came from.
    expect(await said(has(0, 0, [{ work_pool_name: 'ml' }, { parent_task_run_id: id(3) }], 0))).toBe(true);
    expect(await said(has(0, 0, [{ parent_task_run_id: id(4) }], 0))).toBe(false);
    const asked = has(0, 0, [{ work_pool_name: 'ml' }], 0);
    await said(asked, both);
    const flows = { id: { any_: [id(1)] } };
    const [pools, tags] = [{ work_pools: { name: { any_: ['etl'] } } }, { tags: { all_: ['a'] } }];
    expect(asked.bodies).toEqual([
      { flows, deployments: tags, ...pools, limit: 1 },
      { flows, flow_runs: tags, ...pools, limit: 1 },
      { flows, sort: 'START_TIME_DESC', limit: 20 },
    ]);
    for (const scope of [etl, TAG]) {
      const one = has(1, 0, [], 1);
      await said(one, scope);
      const body =
        scope === TAG ? { flows, deployments: tags, limit: 1 } : { flows, deployments: {}, ...pools, limit: 1 };
      expect(one.bodies).toEqual([body]);
    }
    // That it is within holds for some seconds and for that scope alone, that it is not for no moment.
    const nobodys = has(0, 0, [], 0);
    expect([await said(nobodys), nobodys.lookups.inside(etl, flow)]).toEqual([true, true]);
    const others = has(0, 0, [], 1);
    expect([await said(others), others.lookups.size]).toEqual([false, 0]);
    expect([nobodys.lookups.inside(both, flow), nobodys.lookups.inside({ ...etl, torn: true }, flow)]).toEqual([
      false,
      false,
    ]);
  });

  test('is kept of 10,000 things, those that were asked for last', async () => {
    const made = (n: number): Need => ({
      ref: { type: 'task_run', id: String(n) },
      absent: [{ type: 'flow_run', id: id(1) }],
    });
    const known = prefect({ [of(1)]: { work_pool_name: 'etl' } }).lookups;
    for (let n = 0; n < 9_999; n++) await known.outside(etl, [made(n)]);
    await known.outside(etl, [made(0)]);
    await known.outside(etl, [need('flow_run', 1), made(9_999)]);
    expect([known.size, known.inside(etl, [made(0)]), known.inside(etl, [made(1)])]).toEqual([10_000, true, false]);
  });
});
