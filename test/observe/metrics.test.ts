import { expect, test } from 'vitest';
import { addMetrics, countAnswer, createMetrics, onlyCounters } from '../../src/observe/metrics.ts';

test('metrics of several processes add up, number by number', () => {
  const [a, b] = [
    { ...createMetrics(), requests: 2, connections: 1 },
    { ...createMetrics(), requests: 3, connections: 4, cut: 1 },
  ];
  countAnswer(a, 200, 7, false);
  countAnswer(b, 200, 8, false);
  const both = createMetrics();
  for (const ms of [7, 8]) countAnswer(both, 200, ms, false);
  expect(addMetrics(a, b)).toEqual({ ...both, requests: 5, connections: 5, cut: 1 });
  expect(addMetrics(a, null)).toEqual(a);
  expect([a.requests, b.requests, a.answers[2], b.answers[2]]).toEqual([2, 3, 1, 1]);
});

test('what is counted after a sum was made is not in it', () => {
  const metrics = createMetrics();
  const sum = addMetrics(metrics, null);
  metrics.requests++;
  countAnswer(metrics, 200, 7, false);
  expect(sum).toEqual(createMetrics());
});

test('counters outlive their process, gauges do not', () => {
  const metrics = { ...createMetrics(), requests: 2, connections: 1, requestsOpen: 1, tunnels: 1 };
  expect(onlyCounters(metrics)).toEqual({ ...createMetrics(), requests: 2 });
});
