import { expect, test } from 'vitest';
import { addMetrics, createMetrics, onlyCounters } from '../../src/observe/metrics.ts';

test('metrics of several processes add up, number by number', () => {
  const [a, b] = [
    { ...createMetrics(), requests: 2, connections: 1 },
    { ...createMetrics(), requests: 3, connections: 4, cut: 1 },
  ];
  expect(addMetrics(a, b)).toEqual({ ...createMetrics(), requests: 5, connections: 5, cut: 1 });
  expect(addMetrics(a, null)).toEqual(a);
  expect([a.requests, b.requests]).toEqual([2, 3]);
});

test('counters outlive their process, gauges do not', () => {
  const metrics = { ...createMetrics(), requests: 2, connections: 1, requestsOpen: 1, tunnels: 1 };
  expect(onlyCounters(metrics)).toEqual({ ...createMetrics(), requests: 2 });
});
