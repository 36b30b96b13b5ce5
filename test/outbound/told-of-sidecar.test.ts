import { expect, test } from 'vitest';
import { exposition } from '../../src/observe/exposition.ts';
import { createSidecarState } from '../../src/outbound/sidecar-state.ts';
import { toldOfSidecar } from '../../src/outbound/told-of-sidecar.ts';
import { samplesOf } from '../observe/exposed.ts';

test('what is told of a sidecar keeps to its format, and has each of its counts', () => {
  const { counts } = createSidecarState();
  const { answers, durations, ...single } = counts;
  const numbered = Object.fromEntries(Object.keys(single).map((name, at) => [name, at + 100])) as typeof single;
  const told = toldOfSidecar({
    ...{ certificate: true, trust: false, gate: true, filesRefused: true },
    begins: 1_600_000_000_000,
    ends: { identity: 1_800_000_000_500, trust: 1_900_000_000_000 },
    open: { connections: 200, requestsOpen: 201, tunnels: 202 },
    state: { counts: { ...numbered, answers, durations }, gate: true, bundleConfirmed: 1_700_000_000_250 },
  });
  const process = { cpu: 1, resident: 2, started: 3 };
  const text = exposition({ ...told, version: '1.0.0', process });
  const samples = samplesOf(text);
  expect(text.match(/^certgate_healthy.*$/gm)).toEqual([
    'certgate_healthy{part="certificate"} 1',
    'certgate_healthy{part="trust"} 0',
    'certgate_healthy{part="gate"} 1',
  ]);
  const ends = 'certgate_certificate_expiration_timestamp_seconds';
  expect(samples.get(`${ends}{certificate="identity"}`)).toBe(1_800_000_000.5);
  expect(samples.get(`${ends}{certificate="trust"}`)).toBe(1_900_000_000);
  expect(samples.get('certgate_certificate_start_timestamp_seconds{certificate="identity"}')).toBe(1_600_000_000);
  expect(samples.get('certgate_trust_bundle_confirmed_timestamp_seconds')).toBe(1_700_000_000.25);
  expect(samples.get('certgate_identity_files_refused')).toBe(1);
  const { durationSum, ...others } = numbered;
  expect(samples.get('certgate_request_duration_seconds_sum')).toBe(durationSum / 1000);
  const values = new Set(samples.values());
  expect([...Object.values(others), 200, 201, 202].filter((value) => !values.has(value))).toEqual([]);
});
