import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type AuditLock, openAuditLock } from '../../src/observe/audit-lock.ts';
import { newFolder } from './records.ts';

let folder: string;
let one: AuditLock;
let other: AuditLock;

beforeEach(() => {
  folder = newFolder();
  // Its own time is the test's; between two attempts it sleeps in the world's.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  one = openAuditLock(join(folder, 'audit.jsonl'));
  other = openAuditLock(join(folder, 'audit.jsonl'));
});

afterEach(() => {
  one.close();
  other.close();
  vi.useRealTimers();
  rmSync(folder, { recursive: true, force: true });
});

test('the lock is kept from one deed to the next, until it is the turn of others', async () => {
  const order: string[] = [];
  await one.holding(async () => order.push('one'));
  const waiting = other.holding(async () => order.push('other'));
  vi.advanceTimersByTime(49);
  await one.holding(async () => order.push('one again'));
  vi.advanceTimersByTime(1);
  await waiting;
  expect(order).toEqual(['one', 'one again', 'other']);
});

test('a deed that takes longer than it is kept is not disturbed, and gives it back at its end', async () => {
  const deed = Promise.withResolvers<void>();
  const order: string[] = [];
  const long = one.holding(() => deed.promise.then(() => order.push('one')));
  const waiting = other.holding(async () => order.push('other'));
  vi.advanceTimersByTime(1000);
  deed.resolve();
  await Promise.all([long, waiting]);
  expect(order).toEqual(['one', 'other']);
});

test('a deed that fails leaves it as one that does not', async () => {
  await expect(one.holding(() => Promise.reject(new Error('full')))).rejects.toThrow('full');
  vi.advanceTimersByTime(50);
  expect(await other.holding(async () => 'other')).toBe('other');
});

test('where others add to the record it is given back after each deed, for a second', async () => {
  const nothing = async (): Promise<void> => {};
  await one.holding(async () => one.share());
  await other.holding(async () => other.share());
  await one.holding(nothing);
  await other.holding(nothing);
  vi.advanceTimersByTime(1000);
  const order: string[] = [];
  await one.holding(async () => order.push('one'));
  const waiting = other.holding(async () => order.push('other'));
  await one.holding(async () => order.push('one again'));
  vi.advanceTimersByTime(50);
  await waiting;
  expect(order).toEqual(['one', 'one again', 'other']);
});

test('whoever has one deed after another leaves others their turn', async () => {
  vi.useRealTimers();
  let had = false;
  const waiting = other.holding(async () => {
    had = true;
  });
  while (!had) await one.holding(() => new Promise(setImmediate));
  await waiting;
});
