// Concurrency limits as they are answered within a scope: shared ones, and no ids of whose slots are held.

import { expect, test } from 'vitest';
import { answersLimits, maskLimits } from '../../src/policy/limit-masks.ts';

const A = '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
const NOBODY = '00000000-0000-0000-0000-000000000000';
const masked = (answer: unknown): unknown => JSON.parse(maskLimits(JSON.stringify(answer)) ?? 'null');

test('a list has no limits of deployments, and the others as they are', () => {
  const shared = [
    { name: 'db', limit: 3, active_slots: 2 },
    { name: 'my deployment:x', active_slots: 0 },
  ];
  expect(masked([...shared, { name: `deployment:${A}`, active_slots: 1 }, { name: 7 }, { name: null }])).toEqual(
    shared,
  );
  expect(masked([])).toEqual([]);
});

test('how many slots of a tag are held is answered, and not by whom', () => {
  const limit = { id: A, tag: 't', concurrency_limit: 3, active_slots: [A, A] };
  const hidden = { ...limit, active_slots: [NOBODY, NOBODY] };
  expect(masked([limit])).toEqual([hidden]);
  expect(masked(limit)).toEqual(hidden);
});

test('what is no such answer is none', () => {
  for (const text of ['', '{', '"a"', '1', 'null', '[1]', '[[]]']) expect(maskLimits(text)).toBeNull();
});

test('the four reads of limits answer them', () => {
  for (const name of [
    'read_all_concurrency_limits_v2',
    'read_concurrency_limits',
    'read_concurrency_limit',
    'read_concurrency_limit_by_tag',
  ])
    expect(answersLimits({ name })).toBe(true);
  for (const one of [null, { name: 'read_flow' }, { name: 'read_concurrency_limit_v2' }])
    expect(answersLimits(one)).toBe(false);
});
