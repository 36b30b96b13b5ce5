// What Prefect is asked about a thing, and what its answer says of whose that is.

import { describe, expect, test } from 'vitest';
import { membersOf } from '../../src/policy/json-members.ts';
import {
  FACTS,
  type Facts,
  factsOf,
  type ObjectType,
  questionOf,
  resourceRef,
  uuidOf,
} from '../../src/policy/scope-refs.ts';

const A = '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
const B = '1f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
const C = '2f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';

const flows = { id: { any_: [A] } };

test.each<[ObjectType, string, string, object | null]>([
  ['flow_run', A, `GET /flow_runs/${A}`, null],
  ['task_run', A, `GET /task_runs/${A}`, null],
  ['deployment', A, `GET /deployments/${A}`, null],
  ['work_queue', A, `GET /work_queues/${A}`, null],
  ['work_pool', A, 'POST /work_pools/filter', { work_pools: { id: { any_: [A] } } }],
  ['artifact', A, `GET /artifacts/${A}`, null],
  ['artifact_key', 'a/b c', 'GET /artifacts/a/b%20c/latest', null],
  ['flow_run_state', A, `GET /flow_run_states/${A}`, null],
  ['task_run_state', A, `GET /task_run_states/${A}`, null],
  ['concurrency_limit', 'deployment:a b', 'GET /v2/concurrency_limits/deployment%3Aa%20b', null],
  ['flow_name', 'a?b/ä#', 'GET /flows/name/a%3Fb/%C3%A4%23', null],
  ['deployment_name', 'f/d?x=1', 'GET /deployments/name/f/d%3Fx%3D1', null],
  ['deployment_of', `${A}/a/b`, 'POST /deployments/filter', { flows, deployments: { name: { any_: ['a/b'] } } }],
  ['run_of', `${A}/k/1`, 'POST /flow_runs/filter', { flows, flow_runs: { idempotency_key: { any_: ['k/1'] } } }],
])('about a %s %j Prefect is asked by %s', (type, id, asked, body) => {
  const question = questionOf({ type, id });
  expect([`${question?.method} ${question?.path}`, question?.body]).toEqual([asked, body]);
  // A run's parameters may be large.
  expect([question?.wants?.has('tags'), question?.wants?.has('parameters')]).toEqual([true, false]);
});

test('about a flow and a resource there is no one question', () => {
  for (const type of ['flow', 'resource'] as const) expect(questionOf({ type, id: A })).toBeNull();
});

describe('an answer', () => {
  const run = { work_pool_name: 'etl', tags: ['t', 1, null, 'u'], flow_id: A };
  const none = { pool: null, tags: [], via: [], flow: null };

  test.each<[ObjectType, object, Partial<Facts>]>([
    ['flow_run', run, { pool: 'etl', tags: ['t', 'u'], flow: A }],
    ['run_of', run, { pool: 'etl', tags: ['t', 'u'], flow: A }],
    [
      'flow_run',
      { deployment_id: B, parent_task_run_id: C.toUpperCase(), work_pool_name: 1, tags: 't', flow_id: 'x' },
      {
        via: [
          { type: 'deployment', id: B },
          { type: 'task_run', id: C },
        ],
      },
    ],
    ['flow_run', { deployment_id: null, parent_task_run_id: `{${C}}` }, {}],
    ['deployment', run, { pool: 'etl', tags: ['t', 'u'], flow: A }],
    ['deployment_name', run, { pool: 'etl', tags: ['t', 'u'], flow: A }],
    ['deployment_of', run, { pool: 'etl', tags: ['t', 'u'], flow: A }],
    // A task run is its flow run's, whatever tags it carries itself.
    ['task_run', { flow_run_id: B, tags: ['t'] }, { via: [{ type: 'flow_run', id: B }] }],
    ['task_run', { flow_run_id: null, tags: ['t'] }, { tags: ['t'] }],
    ['concurrency_limit', { name: 'db' }, { shared: true }],
    ['concurrency_limit', { name: `deployment:${A}` }, { via: [{ type: 'deployment', id: A }] }],
    ['concurrency_limit', { name: 'deployment:x' }, {}],
    ['concurrency_limit', {}, {}],
    ['work_queue', { work_pool_name: 'etl', name: 'q', tags: ['t'] }, { pool: 'etl' }],
    ['work_pool', { name: 'etl', work_pool_name: 'ml' }, { pool: 'etl' }],
    ...(['artifact', 'artifact_key'] as const).map((type): [ObjectType, object, Partial<Facts>] => [
      type,
      { flow_run_id: B, task_run_id: C, tags: ['t'] },
      {
        via: [
          { type: 'flow_run', id: B },
          { type: 'task_run', id: C },
        ],
      },
    ]),
    ['flow_run_state', { state_details: { flow_run_id: B, task_run_id: C } }, { via: [{ type: 'flow_run', id: B }] }],
    ['task_run_state', { state_details: { flow_run_id: B, task_run_id: C } }, { via: [{ type: 'task_run', id: C }] }],
    ['flow_run_state', { flow_run_id: B, state_details: null }, {}],
    ['flow_name', { id: A }, { via: [{ type: 'flow', id: A }] }],
    ['flow', { id: A, tags: ['t'], work_pool_name: 'etl' }, {}],
  ])('about a %s that is %j says whose it is', (type, answer, facts) => {
    expect(factsOf({ type, id: A }, answer)).toEqual([{ ...none, ...facts }]);
  });

  test('that lists several says so of each, an empty list that there is none, and anything else nothing', () => {
    const ref = { type: 'deployment_of', id: `${A}/d` } as const;
    expect(factsOf(ref, [{ work_pool_name: 'a' }, { work_pool_name: 'b' }])?.map(({ pool }) => pool)).toEqual([
      'a',
      'b',
    ]);
    expect(factsOf(ref, [])).toEqual([]);
    for (const odd of [null, 'x', 1, [null], [{}, 'x'], [[]]])
      expect(factsOf(ref, odd), JSON.stringify(odd)).toBeNull();
  });
});

describe('a UUID', () => {
  test('is one however it is written, but not as only Python reads it', () => {
    for (const spelling of [A, A.toUpperCase(), A.replaceAll('-', ''), `${A.slice(0, 8)}${A.slice(9)}`])
      expect(uuidOf(spelling)).toBe(A);
    for (const odd of [`{${A}}`, `urn:uuid:${A}`, `${A}0`, `0${A}`, ` ${A}`, `${A}\n`, A.slice(1), '', null, 1, [A]])
      expect(uuidOf(odd), JSON.stringify(odd)).toBeNull();
  });

  test.each([
    [`prefect.flow-run.${A}`, { type: 'flow_run', id: A }],
    [`prefect.task-run.${A.toUpperCase()}`, { type: 'task_run', id: A }],
    [`prefect.deployment.${A}`, { type: 'deployment', id: A }],
    [`prefect.flow.${A}`, { type: 'flow', id: A }],
    [`prefect.work-pool.${A}`, { type: 'work_pool', id: A }],
    [`prefect.work-queue.${A}`, { type: 'work_queue', id: A }],
    ['prefect.flow-run.x', 'wrong'],
    [`prefect.flow-run.${A}\n`, 'wrong'],
    [`prefect.flow-run.${A}.x`, 'wrong'],
    ['prefect.flow-run.', 'wrong'],
    [`my.prefect.flow-run.${A}`, null],
    [`prefect.tag.${A}`, null],
    [`prefect.constructor.${A}`, null],
    ['prefect.flow-run', null],
    ['', null],
  ])('in the id of a resource names a thing of Prefect, one of nobody, or what is wrong: %j', (id, ref) => {
    expect(resourceRef(id)).toEqual(ref);
  });
});

test('of an answer no more matters than is wanted of it', () => {
  const types: readonly ObjectType[] = [
    ...([
      'flow_run',
      'task_run',
      'deployment',
      'work_queue',
      'work_pool',
      'flow',
      'flow_name',
      'deployment_name',
    ] as const),
    ...(['artifact', 'artifact_key', 'flow_run_state', 'task_run_state', 'concurrency_limit', 'resource'] as const),
    ...(['deployment_of', 'run_of'] as const),
  ];
  const ids = { flow_id: A, flow_run_id: B, task_run_id: C, deployment_id: A, parent_task_run_id: B };
  const item = {
    id: A,
    name: `deployment:${B}`,
    tags: ['t'],
    work_pool_name: 'etl',
    ...ids,
    state_details: { ...ids },
  };
  for (const more of [{}, { filter: { tags: [] } }, { flow_run_id: null }]) {
    const text = JSON.stringify([{ parameters: { tags: ['x'] }, ...item, ...more }]);
    for (const type of types) {
      const whole = factsOf({ type, id: A }, JSON.parse(text));
      expect(factsOf({ type, id: A }, membersOf(text, FACTS)), type).toEqual(whole);
    }
  }
});
