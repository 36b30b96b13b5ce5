import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Exposed, exposition, figuresOf } from '../../src/observe/exposition.ts';
import { countAnswer, DURATIONS, noAnswers } from '../../src/observe/metrics.ts';

const TOLD: Exposed = {
  answered: noAnswers(),
  version: '1.0.0',
  parts: { store: true, upstream: false },
  ends: { gate: 1_800_000_000_500 },
  figures: figuresOf(
    {
      open: ['doors_open', 'Doors open.'],
      front: ['knocks_total', 'Knocks.', { at: 'front' }],
      shut: ['doors_shut', 'Doors shut.'],
      back: ['knocks_total', '', { at: 'back' }],
    },
    { open: 2, front: 3, back: 4, shut: 5 },
  ),
  process: { cpu: 1.5, resident: 1024, started: 1_700_000_000_000 },
};

test('parts, ends and counts are told by their names; those of one name stand together, told apart by a label', () => {
  const lines = exposition(TOLD).split('\n');
  expect(lines).toContain('certgate_healthy{part="upstream"} 0');
  expect(lines).toContain('certgate_certificate_expiration_timestamp_seconds{certificate="gate"} 1800000000.5');
  expect(lines.filter((line) => /doors|knocks/.test(line))).toEqual([
    ...['# HELP certgate_doors_open Doors open.', '# TYPE certgate_doors_open gauge', 'certgate_doors_open 2'],
    ...['# HELP certgate_knocks_total Knocks.', '# TYPE certgate_knocks_total counter'],
    ...['certgate_knocks_total{at="front"} 3', 'certgate_knocks_total{at="back"} 4'],
    ...['# HELP certgate_doors_shut Doors shut.', '# TYPE certgate_doors_shut gauge', 'certgate_doors_shut 5'],
  ]);
});

test('a version with a quote in it breaks no line', () => {
  expect(exposition({ ...TOLD, version: 'a"b\\c' })).toContain('certgate_build_info{version="a\\"b\\\\c"} 1\n');
});

test('requests are counted in every bucket that they fit in, and WebSockets in none', () => {
  const times = fc.array(fc.double({ min: 0, max: 200_000, noNaN: true }), { maxLength: 50 });
  fc.assert(
    fc.property(times, (all) => {
      const answered = noAnswers();
      for (const ms of all) countAnswer(answered, 200, ms, false);
      countAnswer(answered, 101, 3_600_000, true);
      const text = exposition({ ...TOLD, answered });
      for (const end of DURATIONS) {
        const fit = all.filter((ms) => ms <= end).length;
        expect(text).toContain(`certgate_request_duration_seconds_bucket{le="${end / 1000}"} ${fit}\n`);
      }
      expect(text).toContain(`certgate_request_duration_seconds_count ${all.length}\n`);
      expect(text).toContain('certgate_responses_total{class="1xx"} 1\n');
    }),
  );
});

test.each([
  [0, 'none'],
  [101, '1xx'],
  [204, '2xx'],
  [503, '5xx'],
  [999, '5xx'],
])('an answer with %i is counted as %s', (status, of) => {
  const answered = noAnswers();
  countAnswer(answered, status, 1, false);
  expect(exposition({ ...TOLD, answered })).toContain(`certgate_responses_total{class="${of}"} 1\n`);
});
