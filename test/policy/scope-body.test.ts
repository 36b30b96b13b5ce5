// The bodies of operations within a scope: what is added, what must be looked up, what is refused.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findOperation, type Operation } from '../../src/policy/operation.ts';
import type { Scope } from '../../src/policy/scope.ts';
import { examineText } from '../../src/policy/scope-request.ts';
import { parseStrictJson } from '../../src/policy/strict-json.ts';

const A = '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
const B = '1f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
const POOLS: Scope = { pools: ['etl'], tag: null, torn: false };
const TAG: Scope = { pools: null, tag: 'team-a', torn: false };
const BOTH: Scope = { pools: ['etl'], tag: 'team-a', torn: false };

function operation(method: string, path: string): Operation {
  const found = findOperation(method, `/api${path}`);
  if (found === null) throw new Error(path);
  return found;
}

function examine(path: string, body: unknown, scope: Scope, method = 'POST') {
  return examineText(operation(method, path), typeof body === 'string' ? body : JSON.stringify(body), scope);
}

/** `type id` of what must be within; why it is refused. */
function needs(path: string, body: unknown, scope: Scope, method = 'POST'): readonly string[] | string {
  const said = examine(path, body, scope, method);
  if (said.kind === 'pass') return said.needs.map(({ ref }) => `${ref.type} ${ref.id}`);
  return said.kind === 'bad' ? said.problem : said.why;
}

describe('a filter', () => {
  test.each([
    [POOLS, {}, { work_pools: { name: { any_: ['etl'] } } }],
    [POOLS, { work_pools: null, limit: 5 }, { work_pools: { name: { any_: ['etl'] } }, limit: 5 }],
    [POOLS, { work_pools: { name: { any_: ['ml'] } } }, { work_pools: { name: { any_: [] } } }],
    [POOLS, { work_pools: { name: { any_: ['ml', 'etl'] } } }, { work_pools: { name: { any_: ['etl'] } } }],
    [
      POOLS,
      { work_pools: { operator: 'and_', id: { any_: [A] } } },
      { work_pools: { operator: 'and_', id: { any_: [A] }, name: { any_: ['etl'] } } },
    ],
    [TAG, {}, { flow_runs: { tags: { all_: ['team-a'] } } }],
    [
      TAG,
      { flow_runs: { tags: { all_: ['x'], any_: ['y'] } } },
      { flow_runs: { tags: { all_: ['x', 'team-a'], any_: ['y'] } } },
    ],
    [BOTH, {}, { work_pools: { name: { any_: ['etl'] } }, flow_runs: { tags: { all_: ['team-a'] } } }],
  ])('is narrowed by %j: %j becomes %j', (scope, body, narrowed) => {
    expect(examine('/flow_runs/filter', body, scope)).toEqual({ kind: 'pass', needs: [], body: narrowed });
  });

  test.each([
    [POOLS, { work_pools: { operator: 'or_', id: { any_: [A] } } }],
    [POOLS, { work_pools: { operator: null } }],
    [POOLS, { work_pools: { operator: 'OR_' } }],
    [POOLS, { work_pools: [] }],
    [POOLS, { work_pools: { name: 'etl' } }],
    [POOLS, { work_pools: { name: { any_: [1] } } }],
    [POOLS, { work_pools: { name: { any_: ['etl', 1] } } }],
    [POOLS, { work_pools: { name: { any_: 'etl' } } }],
    [TAG, { flow_runs: { operator: 'or_', name: { like_: '' } } }],
    [TAG, { flow_runs: { tags: { operator: 'or_', is_null_: true } } }],
    [TAG, { flow_runs: { tags: ['x'] } }],
    [POOLS, []],
    [POOLS, '"x"'],
  ])('that can’t be narrowed by %j is refused: %j', (scope, body) => {
    expect(examine('/flow_runs/filter', body, scope).kind).toBe('refuse');
  });

  test('is narrowed whatever else it says, or refused', () => {
    const leaf = fc.oneof(
      fc.constant(null),
      fc.constantFrom('and_', 'or_'),
      fc.array(fc.constantFrom('etl', 'ml', 'x')),
    );
    const part = fc.oneof(leaf, fc.dictionary(fc.constantFrom('any_', 'all_', 'operator', 'is_null_'), leaf));
    const filter = fc.oneof(leaf, fc.dictionary(fc.constantFrom('name', 'tags', 'id', 'operator'), part));
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('flow_runs', 'work_pools', 'flows'), filter), (body) => {
        const said = examine('/flow_runs/filter', body, BOTH);
        if (said.kind !== 'pass') return;
        const { work_pools: pools, flow_runs: runs } = said.body as Record<
          string,
          Record<string, Record<string, string[]>>
        >;
        expect(pools?.['operator'] ?? 'and_').toBe('and_');
        expect((pools?.['name']?.['any_'] ?? ['?']).filter((one) => one !== 'etl')).toEqual([]);
        expect([runs?.['operator'] ?? 'and_', runs?.['tags']?.['operator'] ?? 'and_']).toEqual(['and_', 'and_']);
        expect(runs?.['tags']?.['all_']).toContain('team-a');
      }),
    );
  });

  test('without pools must name whose it wants', () => {
    expect(needs('/task_runs/filter', { flow_runs: { id: { any_: [A.toUpperCase(), B] } } }, POOLS)).toEqual([
      `flow_run ${A}`,
      `flow_run ${B}`,
    ]);
    expect(needs('/logs/filter', { logs: { flow_run_id: { any_: [A] } } }, TAG)).toEqual([`flow_run ${A}`]);
    for (const body of [
      {},
      { logs: { flow_run_id: { any_: [] } } },
      { logs: { flow_run_id: { any_: [A, 'x'] } } },
      { logs: { flow_run_id: { any_: [`{${A}}`] } } },
      { logs: { operator: 'or_', flow_run_id: { any_: [A] } } },
      { flow_runs: { id: { any_: [A] } } },
      { logs: { task_run_id: { any_: [A], is_null_: true } } },
      { logs: { flow_run_id: { any_: [A], like_: '' } } },
      { logs: { flow_run_id: { any_: [A], operator: 'or_' } } },
      { logs: { flow_run_id: { any_: A } } },
      [],
    ]) {
      expect(examine('/logs/filter', body, TAG).kind, JSON.stringify(body)).toBe('refuse');
    }
    expect(examine('/task_runs/filter', {}, POOLS).kind).toBe('refuse');
    expect(examine('/task_runs/filter', {}, TAG)).toMatchObject({
      body: { flow_runs: { tags: { all_: ['team-a'] } } },
    });
    expect(examine('/flow_runs/bulk_delete', { flow_runs: { name: { like_: '' } } }, POOLS).kind).toBe('refuse');
  });

  test('of task runs by a flow run that says "of none" too, which Prefect takes in its place, is refused', () => {
    const by = (more: object) =>
      needs('/task_runs/filter', { task_runs: { flow_run_id: { any_: [A], ...more } } }, POOLS);
    for (const none of [true, 'true', 1, 'yes'])
      expect(by({ is_null_: none }), String(none)).toContain('does not name');
    // As Prefect's own client writes it.
    expect(by({ is_null_: false, operator: 'and_' })).toEqual([`flow_run ${A}`]);
    expect(by({ is_null_: null })).toEqual([`flow_run ${A}`]);
  });

  test.each(['/flows/filter', '/flows/count', '/flows/paginate'])(
    'of flows, which are shared, asks nothing of runs: %s',
    (path) => {
      for (const filter of ['flow_runs', 'task_runs']) {
        const said = examine(path, { [filter]: { name: { like_: 'secret' } } }, BOTH);
        expect(said).toMatchObject({ kind: 'refuse', why: `asks by ${filter} for what others may have` });
        expect(examine(path, { [filter]: { operator: 'or_', name: { like_: 'secret' } } }, BOTH).kind).toBe('refuse');
        expect(examine(path, { [filter]: [] }, BOTH).kind).toBe('refuse');
        expect(examine(path, { [filter]: { operator: 'or_' } }, BOTH).kind).toBe('pass');
        expect(examine(path, { [filter]: null }, BOTH).kind).toBe('pass');
      }
    },
  );

  test('of pools, which carry no tags, is narrowed by the pools alone', () => {
    const narrowed = { work_pools: { name: { any_: ['etl'] } } };
    expect(examine('/work_pools/filter', {}, TAG)).toEqual({ kind: 'pass', needs: [], body: null });
    expect(examine('/work_pools/filter', {}, BOTH)).toEqual({ kind: 'pass', needs: [], body: narrowed });
  });

  test.each([
    ['/ui/flow_runs/count-task-runs', 'flow_run_ids', 'flow_run'],
    ['/deployments/get_scheduled_flow_runs', 'deployment_ids', 'deployment'],
  ])('that is a list of ids names each, and nothing else: %s', (path, at, type) => {
    expect(examine(path, { [at]: [A, B, A] }, BOTH)).toMatchObject({
      needs: [
        { ref: { type, id: A }, absent: 'pass' },
        { ref: { type, id: B }, absent: 'pass' },
      ],
      body: null,
    });
    for (const body of [{}, { [at]: [] }, { [at]: A }, { [at]: [A, 'x'] }, { [at]: null }, [A], 'null'])
      expect(needs(path, body, BOTH), JSON.stringify(body)).toBe(`does not list ${at}`);
  });

  test('of nothing is one of everything', () => {
    expect(examine('/task_runs/filter', 'null', TAG)).toMatchObject({
      body: { flow_runs: { tags: { all_: ['team-a'] } } },
    });
    expect(examine('/flow_runs/filter', 'null', POOLS)).toMatchObject({
      body: { work_pools: { name: { any_: ['etl'] } } },
    });
  });
});

describe('what is made', () => {
  test('is in the pool, of a deployment or a parent that is within, and carries the tag', () => {
    const run = (body: object, scope: Scope) => needs('/flow_runs/', { flow_id: A, ...body }, scope);
    expect(run({ work_pool_name: 'etl' }, POOLS)).toEqual([]);
    expect(run({ work_pool_name: 'ml' }, POOLS)).toBe('is for another pool');
    expect(run({}, POOLS)).toBe('is for no pool');
    expect(run({ parent_task_run_id: B }, POOLS)).toEqual([`task_run ${B}`]);
    expect(run({ parent_task_run_id: B, work_pool_name: 'ml' }, POOLS)).toBe('is for another pool');
    expect(run({ parent_task_run_id: `urn:uuid:${B}` }, POOLS)).toBe('has a parent_task_run_id that is no UUID');
    expect(run({}, TAG)).toBe('does not carry the tag team-a');
    expect(run({ tags: ['team-a'], deployment_id: B, idempotency_key: 'k/1' }, TAG)).toEqual([
      `deployment ${B}`,
      `run_of ${A}/k/1`,
    ]);
    expect(needs(`/deployments/${B}/create_flow_run`, { idempotency_key: 'k' }, TAG)).toEqual([`run_of of ${B}/k`]);
    expect(needs(`/deployments/${B}/create_flow_run/bulk`, [{}, { parent_task_run_id: A }], TAG)).toEqual([
      `task_run ${A}`,
    ]);
    expect(needs(`/deployments/${B}/create_flow_run/bulk`, {}, TAG)).toBe('sends no list of runs');
    expect(needs(`/deployments/${B}/create_flow_run`, { parent_task_run_id: 'x' }, TAG)).toContain('no UUID');
    expect(needs(`/deployments/${B}/create_flow_run/bulk`, [{}, { parent_task_run_id: 'x' }], TAG)).toContain(
      'no UUID',
    );
  });

  test('does not take another’s deployment of the same name', () => {
    const deployment = { name: 'd', flow_id: A, work_pool_name: 'etl', tags: ['team-a'] };
    expect(needs('/deployments/', deployment, BOTH)).toEqual([`deployment_of ${A}/d`]);
    expect(needs('/deployments/', { ...deployment, work_pool_name: null }, POOLS)).toBe('is for no pool');
    expect(needs('/deployments/', { ...deployment, tags: undefined }, TAG)).toBe('does not carry the tag team-a');
    expect(needs(`/deployments/${A}`, { tags: [] }, TAG, 'PATCH')).toBe('does not carry the tag team-a');
    expect(needs(`/deployments/${A}`, { work_pool_name: null }, POOLS, 'PATCH')).toBe('is for no pool');
    expect(needs(`/deployments/${A}`, { paused: true }, BOTH, 'PATCH')).toEqual([]);
  });

  test('stays in its pool: a queue alone is one of another', () => {
    const patch = (body: object, scope: Scope) => needs(`/deployments/${A}`, body, scope, 'PATCH');
    expect(patch({ work_queue_name: 'q' }, POOLS)).toBe('names a queue without its pool');
    expect(patch({ work_queue_name: 'q', work_pool_name: 'etl' }, POOLS)).toEqual([]);
    expect(patch({ work_queue_name: 'q', work_pool_name: 'ml' }, POOLS)).toBe('is for another pool');
    expect(patch({ work_queue_name: null, paused: true }, POOLS)).toEqual([]);
    expect(patch({ work_queue_name: 'q' }, TAG)).toEqual([]);
  });

  test('takes no limit that others share, which Prefect would change and delete with it', () => {
    const why = 'takes a concurrency limit, which belongs to nobody';
    const deployment = { name: 'd', flow_id: A, work_pool_name: 'etl', tags: ['team-a'] };
    expect(needs('/deployments/', { ...deployment, global_concurrency_limit_id: B }, BOTH)).toBe(why);
    expect(needs(`/deployments/${A}`, { global_concurrency_limit_id: B }, TAG, 'PATCH')).toBe(why);
    expect(needs(`/deployments/${A}`, { global_concurrency_limit_id: null }, TAG, 'PATCH')).toEqual([]);
    expect(needs(`/deployments/${A}`, { concurrency_limit: 3 }, TAG, 'PATCH')).toEqual([]);
  });

  test('is no queue that finds runs by tags and deployments of all pools', () => {
    const why = 'gives a queue a filter, which finds runs of all pools';
    for (const filter of [{}, { tags: ['team-b'] }, { deployment_ids: [B] }, 'x']) {
      expect(needs('/work_pools/etl/queues', { name: 'q', filter }, POOLS)).toBe(why);
      expect(needs('/work_pools/etl/queues/q', { filter }, POOLS, 'PATCH')).toBe(why);
      expect(needs(`/work_queues/${A}`, { filter }, POOLS, 'PATCH')).toBe(why);
    }
    expect(needs('/work_pools/etl/queues', { name: 'q', filter: null, priority: 1 }, POOLS)).toEqual([]);
  });

  test('names no cache key, by which a task run gets the state of another', () => {
    const keyed = (key: unknown) => ({ state: { type: 'RUNNING', state_details: { cache_key: key, deferred: true } } });
    for (const scope of [POOLS, TAG]) {
      for (const path of [`/task_runs/${A}/set_state`, '/task_runs/']) {
        const body = { flow_run_id: A, ...keyed('k') };
        expect(needs(path, body, scope)).toBe('names a cache key, which all task runs share');
        expect(examine(path, { flow_run_id: A, ...keyed(null) }, scope).kind).toBe('pass');
      }
    }
  });

  test('is a background task run of a key that no other has: Prefect answers with that', () => {
    const made = (key: string) => needs('/task_runs/', { task_key: 't', dynamic_key: key, tags: ['team-a'] }, TAG);
    expect(made('0')).toBe('has a dynamic_key that another may have');
    // As Prefect's client makes them.
    expect(made(`t-${A.replaceAll('-', '')}`)).toEqual([]);
    expect(made(A)).toEqual([]);
  });

  test('takes and frees slots of shared limits, and of a deployment’s own where that is within', () => {
    for (const path of ['increment', 'increment-with-lease', 'decrement']) {
      const by = (names: unknown) => needs(`/v2/concurrency_limits/${path}`, { names, slots: 1 }, TAG);
      expect(by(['db', 'tag:x'])).toEqual([]);
      expect(by(['db', `deployment:${A}`, `deployment:${A}`])).toEqual([`deployment ${A}`]);
      expect(by(['deployment:x'])).toBe('names the limit of no deployment');
      expect(by(['my deployment:x'])).toEqual([]);
      expect(by('db')).toBe('names no limits');
      const held = (holder: unknown) =>
        needs(`/v2/concurrency_limits/${path}`, { names: ['db'], slots: 1, holder }, TAG);
      expect(held(null)).toEqual([]);
      for (const type of ['flow_run', 'task_run', 'deployment'])
        expect(held({ type, id: A.toUpperCase() })).toEqual([`${type} ${A}`]);
      for (const odd of ['x', [], { type: 'user', id: A }, { type: 'task_run', id: `{${A}}` }, { type: 'task_run' }])
        expect(held(odd)).toBe('takes slots for what is no run or deployment');
    }
  });

  test('belongs to a run: task runs, logs, artifacts', () => {
    expect(needs('/task_runs/', { flow_run_id: A }, POOLS)).toEqual([`flow_run ${A}`]);
    expect(needs('/task_runs/', {}, POOLS)).toBe('makes a task run of no flow run, which is in no pool');
    expect(needs('/logs/', [{ flow_run_id: A }, { flow_run_id: A }, {}], POOLS)).toEqual([`flow_run ${A}`]);
    expect(needs('/logs/', [{ flow_run_id: A, task_run_id: B }], POOLS)).toEqual([`flow_run ${A}`, `task_run ${B}`]);
    expect(needs('/logs/', { flow_run_id: A }, POOLS)).toBe('sends no list of logs');
    expect(needs('/artifacts/', { key: 'k' }, POOLS)).toBe('makes an artifact of no run');
    expect(needs('/artifacts/', { task_run_id: 'x' }, POOLS)).toBe('has a task_run_id that is no UUID');
    expect(needs('/task_runs/', { tags: [] }, TAG)).toBe('does not carry the tag team-a');
    expect(needs('/task_runs/', { tags: ['team-a'], dynamic_key: A }, TAG)).toEqual([]);
  });

  test('is a pool of the scope’s own; a pool carries no tag', () => {
    const pool = (name: unknown, scope: Scope) => needs('/work_pools/', { name }, scope);
    expect(pool('etl', POOLS)).toEqual([]);
    for (const other of ['ml', 'etl2', ['etl'], 1]) expect(pool(other, POOLS)).toBe('is for another pool');
    for (const tagged of [TAG, BOTH]) expect(pool('etl', tagged)).toBe('makes a pool, which carries no tag');
  });

  test('keeps the tag when it is changed', () => {
    const run = (body: object) => needs(`/flow_runs/${A}`, body, TAG, 'PATCH');
    expect(run({ name: 'x' })).toEqual([]);
    expect(run({ tags: ['team-a', 'x'] })).toEqual([]);
    for (const tags of [[], ['x'], null, 'team-a', [['team-a']]])
      expect(run({ tags }), JSON.stringify(tags)).toBe('does not carry the tag team-a');
  });

  test('answers no run of another’s: an idempotency key is looked up, or refused', () => {
    const why = 'has an idempotency key that cannot be looked up';
    const run = { flow_id: A, work_pool_name: 'etl', idempotency_key: 'k' };
    expect(needs('/flow_runs/', run, POOLS)).toEqual([`run_of ${A}/k`]);
    for (const odd of [{ flow_id: 'x' }, { flow_id: null }, { idempotency_key: 1 }, { idempotency_key: ['k'] }])
      expect(needs('/flow_runs/', { ...run, ...odd }, POOLS), JSON.stringify(odd)).toBe(why);
    expect(needs(`/deployments/${B}/create_flow_run`, { idempotency_key: 1 }, POOLS)).toBe(why);
  });

  test('is a deployment with a name, of a flow that is named', () => {
    const deployment = { name: 'd', flow_id: A, work_pool_name: 'etl' };
    for (const odd of [{ flow_id: null }, { flow_id: 'x' }, { name: null }, { name: 1 }])
      expect(needs('/deployments/', { ...deployment, ...odd }, POOLS), JSON.stringify(odd)).toBe(
        'names no flow and deployment',
      );
  });

  test.each([
    ['POST', '/flow_runs/'],
    ['PATCH', `/flow_runs/${A}`],
    ['POST', '/task_runs/'],
    ['POST', '/deployments/'],
    ['PATCH', `/deployments/${A}`],
    ['POST', `/deployments/${A}/create_flow_run`],
    ['POST', '/work_pools/'],
    ['POST', '/artifacts/'],
    ['POST', '/events/filter'],
  ])('is said in an object: %s %s', (method, path) => {
    for (const body of ['[]', '"x"', '1', 'null']) expect(examine(path, body, BOTH, method).kind, body).toBe('refuse');
  });

  test('is said in a list of objects where Prefect takes a list', () => {
    for (const path of ['/logs/', '/events', `/deployments/${A}/create_flow_run/bulk`]) {
      for (const body of ['{}', '"x"', 'null', '[1]', '[null]', '[[]]', '["x"]'])
        expect(examine(path, body, BOTH).kind, `${path} ${body}`).toBe('refuse');
    }
  });
});

describe('what is not there', () => {
  /** `type id`, and what if that is not there. */
  const absent = (path: string, body: unknown) => {
    const said = examine(path, body, TAG);
    return said.kind === 'pass' ? said.needs.map((one) => [`${one.ref.type} ${one.ref.id}`, one.absent]) : said.kind;
  };

  test('is refused where whose it is can’t be known', () => {
    const run = { flow_id: A, tags: ['team-a'], parent_task_run_id: A, deployment_id: B };
    expect(absent('/flow_runs/', run)).toEqual([
      [`task_run ${A}`, 'refuse'],
      [`deployment ${B}`, 'refuse'],
    ]);
    expect(absent(`/deployments/${B}/create_flow_run`, { parent_task_run_id: A })).toEqual([
      [`task_run ${A}`, 'refuse'],
    ]);
    expect(absent('/task_runs/', { flow_run_id: A })).toEqual([[`flow_run ${A}`, 'refuse']]);
    expect(absent('/logs/filter', { logs: { flow_run_id: { any_: [A] } } })).toEqual([[`flow_run ${A}`, 'refuse']]);
    expect(absent('/v2/concurrency_limits/increment', { names: [`deployment:${A}`] })).toEqual([
      [`deployment ${A}`, 'refuse'],
    ]);
  });

  test('is Prefect’s to say where it would only be made, or found missing', () => {
    expect(absent('/concurrency_limits/increment', { names: ['x'], task_run_id: A })).toEqual([
      [`task_run ${A}`, 'pass'],
    ]);
    expect(absent('/deployments/', { name: 'd', flow_id: A, tags: ['team-a'] })).toEqual([
      [`deployment_of ${A}/d`, 'pass'],
    ]);
    expect(absent('/flow_runs/', { flow_id: A, tags: ['team-a'], idempotency_key: 'k' })).toEqual([
      [`run_of ${A}/k`, 'pass'],
    ]);
  });

  test('is for a task run what its flow run is, where that is named beside it', () => {
    for (const path of ['/artifacts/', '/logs/']) {
      const both = { flow_run_id: A, task_run_id: B };
      expect(absent(path, path === '/logs/' ? [both] : both)).toEqual([
        [`flow_run ${A}`, 'refuse'],
        [`task_run ${B}`, [{ type: 'flow_run', id: A }]],
      ]);
      const one = { task_run_id: B };
      expect(absent(path, path === '/logs/' ? [one] : one)).toEqual([[`task_run ${B}`, 'refuse']]);
    }
  });
});

describe('a body', () => {
  test.each([
    ['{"a":1,"a":2}', 'has a name twice'],
    ['{"flow_runs":{"id":{"any_":["x"],"any_":[]}}}', 'has a name twice'],
    ['{"a":1,"\\u0061":2}', 'has a name twice'],
    ['[{"a":[{"b":1,"b":1}]}]', 'has a name twice'],
    ['{"a":1,"b":2,"a":3}', 'has a name twice'],
    ['{"a":1,"b":2,"c":3,"b":4}', 'has a name twice'],
    ['{"a":{"x":1,"y":[{}]},"b":{},"a":2}', 'has a name twice'],
    ['{"":1,"":2}', 'has a name twice'],
    ['{"__proto__":1,"b":{},"__proto__":2}', 'has a name twice'],
    ['{"limit": NaN}', 'is not JSON'],
    ['', 'is not JSON'],
    ['\ufeff{}', 'is not JSON'],
    ['['.repeat(300) + ']'.repeat(300), 'is nested too deep'],
    // JSON.parse would take its time for a longer one.
    ['['.repeat(300), 'is nested too deep'],
    ['"', 'is not JSON'],
    ['{"a\\": 1}', 'is not JSON'],
  ])('with two readings is refused: %j', (text, problem) => {
    expect(needs('/flow_runs/filter', text, POOLS)).toBe(problem);
  });

  test('that JSON.stringify made of anything has one reading', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (text) => {
        const read = parseStrictJson(text);
        // Names that stand twice fast-check does not make.
        expect(read).toEqual({ ok: true, value: JSON.parse(text) as unknown });
      }),
    );
  });

  test('with a name twice is refused wherever that is and however it is written', () => {
    const escaped = (name: string) => {
      const units = Array.from({ length: name.length }, (_, i) => name.charCodeAt(i).toString(16).padStart(4, '0'));
      return `"${units.map((unit) => `\\u${unit}`).join('')}"`;
    };
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.json(), fc.json(), (name, before, value) => {
        const twice = `{${JSON.stringify(name)}:${value},${escaped(name)}:1}`;
        for (const text of [twice, `[${before},${twice}]`, `{"":${before},"a":[${twice}]}`]) {
          expect(parseStrictJson(text), text).toEqual({ ok: false, problem: 'has a name twice' });
        }
        const once = `{${JSON.stringify(name)}:{${escaped(name)}:${value}}}`;
        expect(parseStrictJson(once).ok, once).toBe(true);
      }),
    );
  });

  test('that names more than is looked up is refused', () => {
    const ids = Array.from({ length: 1_001 }, (_, i) => `0f3c1f1e-7a54-4c9b-9a3f-${String(i).padStart(12, '0')}`);
    expect(needs('/flow_runs/bulk_delete', { flow_runs: { id: { any_: ids } } }, POOLS)).toContain('more than 1000');
    expect(needs('/flow_runs/bulk_delete', { flow_runs: { id: { any_: ids.slice(1) } } }, POOLS)).toHaveLength(1000);
  });
});
