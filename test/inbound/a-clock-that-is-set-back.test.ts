// A gate whose clock was ahead, as a machine's may be before it has asked anybody what time it is: once the clock is set back, what
// is done by it goes on, and nothing waits until the wrong time has come.

import { expect, onTestFinished, test, vi } from 'vitest';
import { watchCa } from '../../src/inbound/ca-watch.ts';
import { keepRenewed, type ServerCredentials } from '../../src/inbound/server-certificate.ts';
import type { Store } from '../../src/store/store.ts';
import { openCa, TRUST_DOMAIN } from '../authority/fixture.ts';
import { quietLog } from '../observe/quiet-log.ts';
import { HOUR } from '../store/fixture.ts';

const YEAR = 365 * 24 * HOUR;

/** The timers and the clocks are the test's from here on. */
function ownTime(): void {
  vi.useFakeTimers({ toFake: ['Date', 'performance', 'setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
}

test('it gets another certificate, for nobody believes the one that it has', async () => {
  ownTime();
  const issued: ServerCredentials[] = [];
  const issue = (): ServerCredentials => {
    const now = Date.now();
    return { chainPem: '', keyPem: '', serial: 'aa', notBefore: now - 60_000, notAfter: now + 24 * HOUR };
  };
  const renewal = keepRenewed(
    issue(),
    async () => issue(),
    (one) => void issued.push(one),
    quietLog,
  );
  onTestFinished(() => renewal.stop());
  await vi.advanceTimersByTimeAsync(60_000);
  vi.setSystemTime(Date.now() - 50_000);
  await vi.advanceTimersByTimeAsync(6_000);
  expect(issued).toEqual([]);
  vi.setSystemTime(Date.now() - YEAR);
  await vi.advanceTimersByTimeAsync(6_000);
  expect(issued).toHaveLength(1);
  expect(issued[0]?.notBefore).toBeLessThan(Date.now());
  await vi.advanceTimersByTimeAsync(HOUR);
  expect(issued).toHaveLength(1);
});

test('it goes on looking after its CA once a minute', async () => {
  const { certsDir, store, authority } = await openCa();
  let looks = 0;
  const counting: Store = {
    ...store,
    listCa: () => {
      looks++;
      return store.listCa();
    },
  };
  ownTime();
  const place = { certsDir, store: counting, trustDomain: TRUST_DOMAIN, actor: 'gate' };
  const watch = watchCa({ authority, place, log: quietLog, changed: async () => {} });
  onTestFinished(() => watch.stop());
  // What it does in between is the disk's, which has a time of its own.
  const seconds = async (most: number, looked: number): Promise<number> => {
    for (let passed = 0; passed < most && looks < looked; passed += 0.25) {
      await vi.advanceTimersByTimeAsync(250);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return looks;
  };
  expect(await seconds(30, 1)).toBe(1);
  vi.setSystemTime(Date.now() - YEAR);
  expect(await seconds(90, 2)).toBe(2);
});
