import { expect, test } from 'vitest';
import { type Act, newest } from '../../src/cli/audit/acts.ts';
import type { AuditOutcome } from '../../src/observe/audit-log.ts';
import { auditRecord } from '../observe/records.ts';

const COUNT = 2000;

test('how acts went that a filter left out is not looked for in all that are shown', async () => {
  let looks = 0;
  const seen = (id: string): string => {
    looks++;
    return id;
  };
  async function* gate(): AsyncGenerator<Act | AuditOutcome> {
    for (let i = 0; i < COUNT; i++) {
      const act: Act = { source: 'gate', ...auditRecord() };
      Object.defineProperty(act, 'requestId', { enumerable: true, get: () => seen(`shown-${i}`) });
      yield act;
      yield { time: act.time, requestId: `left-out-${i}`, outcome: 201, ending: 'complete', ms: 1 };
    }
    const { time } = auditRecord();
    yield { time, requestId: `shown-${COUNT - 2}`, outcome: 202, ending: 'complete', ms: 1 };
  }
  async function* ca(): AsyncGenerator<Act> {}
  const { acts, dropped } = await newest(COUNT / 2, [gate(), ca()]);
  expect([acts.length, dropped]).toEqual([COUNT / 2, COUNT / 2]);
  expect(acts.at(-2)).toMatchObject({ outcome: 202 });
  expect(acts.at(-1)).not.toHaveProperty('outcome');
  expect(looks).toBeLessThan(10 * COUNT);
});
