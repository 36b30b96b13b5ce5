import { describe, expect, test } from 'vitest';
import { choiceFlag, countFlag, durationFlag, momentFlag } from '../../src/cli/flags.ts';

const now = Date.parse('2026-10-31T12:00:00Z');

describe('--since', () => {
  test('takes a duration before now, or a date, with or without time and zone', () => {
    expect(momentFlag('--since', '2h', now)).toBe(now - 7_200_000);
    expect(momentFlag('--since', '2026-10-31', now)).toBe(Date.parse('2026-10-31T00:00:00Z'));
    expect(momentFlag('--since', '2026-10-31T08:00', now)).toBe(Date.parse('2026-10-31T08:00:00Z'));
    expect(momentFlag('--since', '2026-10-31 08:00:01.5z', now)).toBe(Date.parse('2026-10-31T08:00:01.500Z'));
    expect(momentFlag('--since', '2026-10-31T08:00+02:00', now)).toBe(Date.parse('2026-10-31T06:00:00Z'));
  });

  test.each(['', 'yesterday', '2026', '31.10.2026', '2026-13-01', '2026-02-30', '2026-10-31T25:00', '1793448000000'])(
    'refuses what is neither: %j',
    (text) => expect(() => momentFlag('--since', text, now)).toThrow('not a time'),
  );
});

test('a count is decimal digits within its bounds', () => {
  expect(countFlag('--limit', '100', { min: 1, max: 1000 })).toBe(100);
  for (const text of ['', '0', '1001', '-1', '1.5', '1e2', '0x10', ' 1', '9999999999999']) {
    expect(() => countFlag('--limit', text, { min: 1, max: 1000 }), text).toThrow('not a whole number from 1 to 1000');
  }
});

test('a choice is one of the words, as they are', () => {
  expect(choiceFlag('--state', 'valid', ['valid', 'expired'])).toBe('valid');
  expect(() => choiceFlag('--state', 'Valid', ['valid', 'expired'])).toThrow(
    expect.objectContaining({ hint: 'it is one of valid, expired' }),
  );
});

test('a duration that is none is shown escaped', () => {
  expect(() => durationFlag('--expiring-within', 'so\u001bon')).toThrow(
    '--expiring-within is "so\\u{1b}on", not a duration',
  );
});

test('a duration with bounds is within them', () => {
  const bounds = { min: '1s', max: '24h' };
  expect(durationFlag('--exec-timeout', '24h', bounds)).toBe(86_400_000);
  for (const text of ['0s', '999ms', '30d', '24h1ms']) {
    expect(() => durationFlag('--exec-timeout', text, bounds), text).toThrow('it is 1s to 24h');
  }
});
