import { describe, expect, test } from 'vitest';
import { CertgateError } from '../../../src/errors.ts';
import type { AuditAnswer } from '../../../src/inbound/workers/messages.ts';
import { commitRelayed, relayAudit } from '../../../src/inbound/workers/relayed-audit.ts';
import type { AuditLog, AuditRecord } from '../../../src/observe/audit-log.ts';

const record = (requestId: string): AuditRecord => ({
  time: 0,
  requestId,
  identity: 'worker/a',
  serial: 'aa',
  address: '192.0.2.1',
  method: 'POST',
  path: '/',
  operation: null,
  object: null,
  decision: 'permit',
  code: null,
  status: null,
  reason: null,
});

describe('a record of a worker', () => {
  test('travels with all others of its turn, and resolves when the primary says that it is durable', async () => {
    const sent: string[][] = [];
    const answers: Array<(answer: AuditAnswer) => void> = [];
    const audit = relayAudit(
      '/record',
      (records) => {
        sent.push(records.map(({ requestId }) => requestId));
        return new Promise((resolve) => answers.push(resolve));
      },
      () => {},
    );
    const done: string[] = [];
    const all = ['a', 'b'].map(async (id) => {
      await audit.append(record(id));
      done.push(id);
    });
    await new Promise(setImmediate);
    expect([sent, done]).toEqual([[['a', 'b']], []]);
    answers[0]?.({ failed: [] });
    await Promise.all(all);
    expect(done).toEqual(['a', 'b']);
  });

  test('is refused when the primary says why, and the others of its turn are not', async () => {
    const audit = relayAudit(
      '/record',
      async () => ({ failed: [[1, 'no space']] }),
      () => {},
    );
    const [one, two] = [audit.append(record('a')), audit.append(record('b'))];
    await one;
    await expect(two).rejects.toMatchObject({ code: 'CG_AUDIT_UNWRITABLE' });
  });

  test('is refused when the primary is gone', async () => {
    const audit = relayAudit(
      '/record',
      () => Promise.reject(new Error('gone')),
      () => {},
    );
    await expect(audit.append(record('a'))).rejects.toMatchObject({ code: 'CG_AUDIT_UNWRITABLE' });
  });

  test('is waited for by the end of the log, after which none is taken', async () => {
    let give: (answer: AuditAnswer) => void = () => {};
    const audit = relayAudit(
      '/record',
      () => new Promise((resolve) => (give = resolve)),
      () => {},
    );
    const one = audit.append(record('a'));
    let isClosed = false;
    const closed = audit.close().then(() => {
      isClosed = true;
    });
    await new Promise(setImmediate);
    expect(isClosed).toBe(false);
    give({ failed: [] });
    await Promise.all([one, closed]);
    await expect(audit.append(record('b'))).rejects.toMatchObject({ code: 'CG_AUDIT_UNWRITABLE' });
  });

  test('is refused where too many wait, and taken again once they have gone', async () => {
    const answers: Array<(answer: AuditAnswer) => void> = [];
    const audit = relayAudit(
      '/record',
      () => new Promise((resolve) => answers.push(resolve)),
      () => {},
    );
    const waiting = Array.from({ length: 20_000 }, () => audit.append(record('a')));
    await expect(audit.append(record('b'))).rejects.toMatchObject({ code: 'CG_AUDIT_UNWRITABLE' });
    await new Promise(setImmediate);
    for (const answer of answers) answer({ failed: [] });
    await Promise.all(waiting);
    const after = audit.append(record('c'));
    await new Promise(setImmediate);
    answers.at(-1)?.({ failed: [] });
    await after;
  });

  test('has how it went told after it, those of one turn together, and by the end of the log at the latest', async () => {
    const told: string[][] = [];
    const audit = relayAudit(
      '/record',
      async () => ({ failed: [] }),
      (outcomes) => told.push(outcomes.map(({ requestId }) => requestId)),
    );
    const outcome = (requestId: string) => ({ time: 1, requestId, outcome: 201, ending: 'complete', ms: 3 });
    audit.outcome(outcome('a'));
    audit.outcome(outcome('b'));
    await new Promise(setImmediate);
    audit.outcome(outcome('c'));
    await audit.close();
    expect(told).toEqual([['a', 'b'], ['c']]);
  });

  test('is as healthy as the primary says', () => {
    const audit = relayAudit(
      '/record',
      async () => ({ failed: [] }),
      () => {},
    );
    expect(audit.healthy()).toBe(true);
    audit.setHealthy(false);
    expect(audit.healthy()).toBe(false);
  });
});

test('the primary says which of a worker’s records are not durable, and why, and lets none of them wait', async () => {
  const [appended, hurried] = [new Set<unknown>(), new Set<unknown>()];
  const audit: AuditLog = {
    append({ requestId }) {
      const one = requestId === 'b' ? Promise.reject(new Error('full')) : Promise.resolve();
      appended.add(one);
      return one;
    },
    outcome: () => {},
    hurry: (one) => hurried.add(one),
    checkpoint: async () => {},
    healthy: () => true,
    close: async () => {},
  };
  expect(await commitRelayed(audit, [record('a'), record('b'), record('c')])).toEqual({ failed: [[1, 'full']] });
  expect(hurried).toEqual(appended);
});

test('the primary says of a record that could not be written why, and does not name it: the worker does', async () => {
  const reason = 'too many open files';
  const full: Pick<AuditLog, 'append' | 'hurry'> = {
    append: () => Promise.reject(new CertgateError('CG_AUDIT_UNWRITABLE', { path: '/record', reason })),
    hurry: () => {},
  };
  expect(await commitRelayed(full as AuditLog, [record('a')])).toEqual({ failed: [[0, reason]] });
});
