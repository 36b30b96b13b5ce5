import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { giveBackOnceIdle } from '../../src/cli/give-back.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }));
afterEach(() => void vi.useRealTimers());

/** Something that nobody holds any more. */
async function waste(): Promise<WeakRef<object>> {
  const ref = new WeakRef({ some: 'thing' });
  // A reference is good until the end of the turn that made it.
  await new Promise((resolve) => setImmediate(resolve));
  return ref;
}

test('what the start has left is collected when nobody is connected, once', async () => {
  const open = vi.fn<() => number>(() => 2);
  giveBackOnceIdle(open);
  const first = await waste();
  vi.advanceTimersByTime(5_000);
  expect(open).toHaveBeenCalledTimes(10);

  open.mockReturnValue(0);
  vi.advanceTimersByTime(500);
  expect(first.deref()).toBeUndefined();

  vi.advanceTimersByTime(60_000);
  expect(open).toHaveBeenCalledTimes(11);
  expect('gc' in globalThis).toBe(false);
});
