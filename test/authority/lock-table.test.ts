import { describe, expect, it } from 'vitest';
import { lockOn, lockOnIssue, lockSummary, lockTable, untilWords } from '../../src/authority/lock-table.ts';
import type { LockRecord } from '../../src/store/store.ts';
import { HOUR, NOW } from '../store/fixture.ts';

const lock = (scope: LockRecord['scope'], subject: string, until: number | null = null): LockRecord => ({
  ...{ scope, subject, until },
  ...{ reason: 'odd traffic', actor: 'test', lockedAt: NOW - HOUR },
});
const etl = { identity: 'worker/etl-1', recorded: 'worker/etl-1', serial: '4f' };

describe('a client is kept out', () => {
  it.each([
    ['its identity by the rules of the gate', lock('identity', 'service/etl')],
    ['the identity that its certificate was issued to', lock('identity', 'worker/etl-1')],
    ['its serial', lock('serial', '4f')],
    ['all', lock('all', '')],
  ])('by a lock on %s', (_what, one) => {
    expect(lockOn(lockTable([one]), { ...etl, identity: 'service/etl' }, NOW)).toBe(one);
  });

  it('by no lock on anything else', () => {
    const table = lockTable([
      lock('identity', 'worker/etl-10'),
      lock('identity', '4f'),
      lock('serial', 'worker/etl-1'),
    ]);
    expect(lockOn(table, etl, NOW)).toBeNull();
    expect(lockOn(table, { ...etl, recorded: null }, NOW)).toBeNull();
  });

  it('until the lock ends, and not at its end', () => {
    const table = lockTable([lock('all', '', NOW)]);
    expect(lockOn(table, etl, NOW - 1)).not.toBeNull();
    expect(lockOn(table, etl, NOW)).toBeNull();
  });

  it('until all of its locks have ended, and is told the last end', () => {
    const [short, long, open] = [lock('serial', '4f', NOW), lock('identity', 'worker/etl-1', NOW + 1), lock('all', '')];
    expect(lockOn(lockTable([short, long]), etl, NOW - 1)).toBe(long);
    expect(lockOn(lockTable([short, long]), etl, NOW)).toBe(long);
    expect(lockOn(lockTable([short, open, long]), etl, NOW - 1)).toBe(open);
  });
});

describe('no certificate is issued', () => {
  it('to an identity that is locked, nor to anyone while all are', () => {
    for (const one of [lock('identity', 'worker/etl-1'), lock('all', '')]) {
      expect(lockOnIssue([one], 'worker/etl-1', NOW)).toBe(one);
    }
    expect(lockOnIssue([lock('identity', 'worker/etl-2'), lock('serial', '4f')], 'worker/etl-1', NOW)).toBeNull();
    expect(lockOnIssue([lock('all', '', NOW)], 'worker/etl-1', NOW)).toBeNull();
  });

  it('but to the gate itself, which could serve nobody after the lock without one', () => {
    expect(lockOnIssue([lock('all', ''), lock('identity', 'gate/inbound')], 'gate/inbound', NOW)).toBeNull();
  });
});

it('what a gate says of its locks leaves out those that have ended', () => {
  const locks = [lock('identity', 'worker/a'), lock('serial', '4f', NOW), lock('all', '', NOW + 1)];
  expect(lockSummary(lockTable(locks), NOW)).toEqual({ standing: 2, everyone: true });
  expect(lockSummary(lockTable(locks), NOW + 1)).toEqual({ standing: 1, everyone: false });
});

it('an end is told in UTC, and a lock without one says so', () => {
  expect(untilWords({ until: NOW })).toBe('until 2026-11-23T12:00:00.000Z');
  expect(untilWords({ until: null })).toBe('until it is unlocked');
});
