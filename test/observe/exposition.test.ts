import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Exposed, exposition } from '../../src/observe/exposition.ts';
import { countAnswer, createMetrics, DURATIONS } from '../../src/observe/metrics.ts';

const GATE: Exposed = {
  metrics: createMetrics(),
  version: '1.0.0',
  parts: { store: true, upstream: false },
  locks: 2,
  ends: { gate: 1_800_000_000_500 },
  process: { cpu: 1.5, resident: 1024, started: 1_700_000_000_000 },
};

test('every figure has a help and a type once, before its samples, and no sample stands twice', () => {
  const lines = exposition(GATE).split('\n');
  expect(lines.pop()).toBe('');
  const typed = lines.filter((line) => line.startsWith('# TYPE ')).map((line) => line.split(' ')[2] ?? '');
  expect(new Set(typed).size).toBe(typed.length);
  let family = '';
  const samples = new Set<string>();
  for (const line of lines) {
    if (line.startsWith('#')) {
      family = line.split(' ')[2] ?? '';
      expect(line).toMatch(/^# (HELP|TYPE) [a-z_]+ \S/);
      continue;
    }
    const [, name = '', labels = ''] = /^([a-z_]+)(\{[a-z_]+="[^"]*"\})? [0-9.]+$/.exec(line) ?? [];
    expect(name.replace(/_(bucket|sum|count)$/, '')).toBe(family.replace(/_(bucket|sum|count)$/, ''));
    expect(samples).not.toContain(name + labels);
    samples.add(name + labels);
  }
  expect(lines).toContain('certgate_healthy{part="upstream"} 0');
  expect(lines).toContain('certgate_certificate_expiration_timestamp_seconds{certificate="gate"} 1800000000.5');
  expect(lines).toContain('certgate_locks 2');
});

test('a version with a quote in it breaks no line', () => {
  expect(exposition({ ...GATE, version: 'a"b\\c' })).toContain('certgate_build_info{version="a\\"b\\\\c"} 1\n');
});

test('requests are counted in every bucket that they fit in, and WebSockets in none', () => {
  const times = fc.array(fc.double({ min: 0, max: 200_000, noNaN: true }), { maxLength: 50 });
  fc.assert(
    fc.property(times, (all) => {
      const metrics = createMetrics();
      for (const ms of all) countAnswer(metrics, 200, ms, false);
      countAnswer(metrics, 101, 3_600_000, true);
      const text = exposition({ ...GATE, metrics });
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
  const metrics = createMetrics();
  countAnswer(metrics, status, 1, false);
  expect(exposition({ ...GATE, metrics })).toContain(`certgate_responses_total{class="${of}"} 1\n`);
});
