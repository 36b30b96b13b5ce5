import { expect, test } from 'vitest';
import { toldOfGate } from '../../../src/inbound/status/told-of-gate.ts';
import { exposition } from '../../../src/observe/exposition.ts';
import { createMetrics } from '../../../src/observe/metrics.ts';
import { samplesOf } from '../../observe/exposed.ts';

test('what is told of a gate keeps to its format, and has each of its counts', () => {
  const { answers, durations, ...counts } = createMetrics();
  const numbered = Object.fromEntries(Object.keys(counts).map((name, at) => [name, at + 100])) as typeof counts;
  const told = toldOfGate({
    ...{ status: 'degraded', store: true, audit: false, upstream: true, workers: true, connections: 100 },
    locks: { standing: 2, everyone: false },
    metrics: { ...numbered, answers, durations },
    ends: { gate: 1_800_000_000_000 },
  });
  const process = { cpu: 1, resident: 2, started: 3 };
  const samples = samplesOf(exposition({ ...told, version: '1.0.0', process }));
  expect(samples.get('certgate_healthy{part="record"}')).toBe(0);
  expect(samples.get('certgate_locks')).toBe(2);
  expect(samples.get('certgate_certificate_expiration_timestamp_seconds{certificate="gate"}')).toBe(1_800_000_000);
  const values = new Set(samples.values());
  const { durationSum, ...single } = numbered;
  expect(Object.entries(single).filter(([, value]) => !values.has(value))).toEqual([]);
  expect(samples.get('certgate_request_duration_seconds_sum')).toBe(durationSum / 1000);
});
