import { describe, expect, it } from 'vitest';
import { endWords, lockJson, reasonFlag, targetOf, whoWords } from '../../src/cli/lock-words.ts';
import { failureOf, HOUR, NOW } from '../store/fixture.ts';

describe('what is to be locked', () => {
  it('is an identity, a serial as people write it, or all', () => {
    expect(targetOf('lock', 'identity', 'worker/etl-1')).toEqual({ scope: 'identity', subject: 'worker/etl-1' });
    expect(targetOf('unlock', 'serial', '00:FF')).toEqual({ scope: 'serial', subject: 'ff' });
    expect(targetOf('lock', 'all', undefined)).toEqual({ scope: 'all', subject: '' });
  });

  it.each([
    ['worker/etl-1', undefined, '"worker/etl-1" is not one of', 'certgate lock identity worker/etl-1'],
    ['everyone', undefined, '"everyone" is not one of', 'for example certgate lock identity worker/etl-1'],
    ['ALL', undefined, '"ALL" is not one of', 'for example'],
    ['identity', undefined, 'which identity?', 'certgate list'],
    ['serial', undefined, 'which serial?', 'certgate list'],
    ['all', 'worker/etl-1', 'takes no name: "worker/etl-1"', 'certgate lock identity worker/etl-1'],
  ])('is not %s %s, and the remedy is told', async (what, name, message, hint) => {
    const error = await failureOf('CG_USAGE', () => targetOf('lock', what, name));
    expect(error.message).toContain(message);
    expect(error.hint).toContain(hint);
  });

  it('is no name that is none', async () => {
    await failureOf('CG_IDENTITY_NAME', () => targetOf('lock', 'identity', 'Worker/ETL-1'));
    await failureOf('CG_SERIAL', () => targetOf('lock', 'serial', 'xyz'));
  });
});

describe('why it is locked', () => {
  it('is a line of any script, without blanks around it', () => {
    expect(reasonFlag('  auffälliger Verkehr, 14:00 ')).toBe('auffälliger Verkehr, 14:00');
    expect(reasonFlag('x'.repeat(500))).toHaveLength(500);
  });

  it.each(['', '   ', 'two\nlines', 'a\u001b[31mred', 'x'.repeat(501)])('is not %j', async (text) => {
    await failureOf('CG_USAGE', () => reasonFlag(text));
  });

  it('must be said', async () => {
    const error = await failureOf('CG_USAGE', () => reasonFlag(undefined));
    expect([error.message, error.hint]).toEqual([
      'there is no --reason',
      "say why, for whoever reads the record: --reason 'odd traffic since 14:00'",
    ]);
  });
});

it('a lock is shown by whom it keeps out and when it ends', () => {
  expect(whoWords({ scope: 'identity', subject: 'worker/a' })).toBe('worker/a');
  expect(whoWords({ scope: 'serial', subject: 'ff' })).toBe('serial ff');
  expect(whoWords({ scope: 'all', subject: '' })).toBe('everyone');
  expect(endWords({ until: NOW + HOUR }, NOW)).toBe('until 2026-11-23T13:00:00.000Z, 1h from now');
  expect(endWords({ until: null }, NOW)).toBe('until it is unlocked');
  const lock = { scope: 'all', subject: '', reason: 'x', actor: 'test', lockedAt: NOW, until: NOW + HOUR } as const;
  expect(lockJson(lock)).toEqual({
    ...lock,
    lockedAt: '2026-11-23T12:00:00.000Z',
    until: '2026-11-23T13:00:00.000Z',
  });
});
