// What is looked for in the messages of a WebSocket, and what becomes of each: of what a client sends, and of what it is sent.

import { describe, expect, test, vi } from 'vitest';
import type { MessageVerdict } from '../../src/inbound/messages.ts';
import { judgeHeard, judgeMessages, listens, messagesMatter } from '../../src/inbound/scoped-messages.ts';
import { findOperation, type Operation, WEBSOCKET } from '../../src/policy/operation.ts';
import type { Permission } from '../../src/policy/permissions.ts';
import { compilePolicy } from '../../src/policy/policy.ts';
import type { Scope } from '../../src/policy/scope.ts';

const A = '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
const ETL: Scope = { pools: ['etl'], tag: null, torn: false };

function operationAt(path: string): Operation {
  const found = findOperation(WEBSOCKET, `/api${path}`);
  if (found === null) throw new Error(path);
  return found;
}
const EVENTS_IN = operationAt('/events/in');
const CHANNEL = operationAt('/work_pools/etl/workers/connect');

const placed = <T extends string>(text: T) => ({ text, place: '' });
function bound(name: string, scope: Scope | null) {
  return { place: '', roles: [placed(name)], identities: ['worker/a'], matches: null, scope };
}

/** Of who may make pools as far as `pools` says; undefined for not at all. */
function grantsOf(pools?: Scope | null) {
  const role = (name: string, ...permissions: readonly Permission[]) => {
    return { name: placed(name), extends: [], permissions: permissions.map(placed), deny: [] };
  };
  return compilePolicy({
    ...{
      mode: 'enforce',
      secrets: 'refuse',
      roles: [role('works', 'write_workers'), role('makes', 'write_work_pools')],
    },
    bindings: [bound('works', ETL), ...(pools === undefined ? [] : [bound('makes', pools)])],
  }).grants('worker/a');
}

describe('messages are read', () => {
  test('of events and logs only within a scope', () => {
    for (const path of ['/events/in', '/events/out', '/logs/out']) {
      expect(messagesMatter(operationAt(path), grantsOf(), ETL), path).toBe(true);
    }
    for (const path of ['/events/in', '/logs/out'])
      expect(messagesMatter(operationAt(path), grantsOf(), null), path).toBe(false);
    expect(['/events/in', '/events/out', '/logs/out'].map((path) => listens(operationAt(path)))).toEqual([
      false,
      true,
      true,
    ]);
  });

  test('of events that one who may not see everything listens to', () => {
    const everything = compilePolicy({
      ...{ mode: 'enforce', secrets: 'refuse', roles: [] },
      bindings: [bound('Developer', null)],
    }).grants('worker/a');
    expect(messagesMatter(operationAt('/events/out'), everything, null)).toBe(false);
    expect(messagesMatter(operationAt('/events/out'), grantsOf(), null)).toBe(true);
  });

  test('of the worker channel unless its holder may make pools as far as it may work', () => {
    const reads = (pools?: Scope | null) => messagesMatter(CHANNEL, grantsOf(pools), ETL);
    expect([reads(), reads({ ...ETL, pools: ['ml'] }), reads(ETL), reads(null)]).toEqual([true, true, false, false]);
    expect(messagesMatter(CHANNEL, grantsOf(ETL), null)).toBe(true);
  });

  test('of nothing else', () => {
    const tasks = operationAt('/task_runs/subscriptions/scheduled');
    for (const operation of [null, tasks, findOperation('POST', '/api/events'), findOperation('GET', '/api/health')])
      expect(messagesMatter(operation, grantsOf(), ETL)).toBe(false);
  });
});

/** What is done with each of `texts`, in turn: `pass`, or what was asked for. */
async function sent(operation: Operation, texts: readonly unknown[], observed = false): Promise<string[]> {
  const said: string[] = [];
  const close = (why: string): Promise<MessageVerdict> => Promise.resolve({ kind: 'close', reason: why });
  const judge = judgeMessages(operation, {
    within: (needs) => close(`within ${needs.map(({ ref }) => `${ref.type} ${ref.id}`).join()}`),
    scope: () => ETL,
    beyond: close,
    observed: () => observed,
  });
  for (const text of texts) {
    const { verdict, done = false } = judge(typeof text === 'string' ? text : JSON.stringify(text));
    const found = await verdict;
    const what = found.kind === 'close' ? found.reason : found.kind === 'replace' ? found.text : found.kind;
    said.push(done ? `${what}, done` : what);
  }
  return said;
}

describe('what a client sends', () => {
  const AUTH = { type: 'auth', token: null };
  const event = { event: 'e', resource: { 'prefect.resource.id': `prefect.flow-run.${A}` } };

  test('of events must each be within; the first may be its password, and nothing else beside', async () => {
    const within = `within flow_run ${A}`;
    expect(await sent(EVENTS_IN, [AUTH, event, event])).toEqual(['pass', within, within]);
    expect(await sent(EVENTS_IN, [event, AUTH])).toEqual([within, 'sends an event without a resource']);
    expect(await sent(EVENTS_IN, [{ type: 'auth' }, AUTH])).toEqual(['pass', 'sends an event without a resource']);
    expect(
      await sent(EVENTS_IN, [
        { ...AUTH, ...event },
        { ...AUTH, x: 1 },
      ]),
    ).toEqual([within, 'sends an event without a resource']);
    expect(await sent(EVENTS_IN, [{ type: 'Auth' }])).toEqual(['sends an event without a resource']);
  });

  test.each([
    ['', 'sends a message that is not JSON'],
    ['{"type":"auth","type":"auth"}', 'sends a message that has a name twice'],
    [`{"event":"e","resource":{},"resource":{}}`, 'sends a message that has a name twice'],
    ['['.repeat(300), 'sends a message that is nested too deep'],
    ['null', 'sends what is no event'],
    ['[]', 'sends what is no event'],
  ])('and can be read in two ways, or in none, goes beyond: %s', async (text, why) => {
    expect(await sent(EVENTS_IN, [text])).toEqual([why]);
    expect(await sent(EVENTS_IN, [AUTH, text])).toEqual(['pass', why]);
  });

  const hello = (payload: unknown) => ({ type: 'worker.hello.v1', id: A, payload });
  const asks = (more: object) => hello({ worker_name: 'w', ...more });

  test.each([
    {},
    { create_pool_if_not_found: false },
    { create_pool_if_not_found: null, default_base_job_template: null },
    { default_base_job_template: {} },
  ])('as the hello of a worker that makes no pool passes as it is: %j', async (more) => {
    expect(await sent(CHANNEL, [AUTH, asks(more)])).toEqual(['pass', 'pass, done']);
    expect(await sent(CHANNEL, [asks(more)])).toEqual(['pass, done']);
  });

  test.each([
    { create_pool_if_not_found: true },
    { create_pool_if_not_found: 1 },
    { create_pool_if_not_found: 'false' },
    { default_base_job_template: { a: 1 } },
    { default_base_job_template: [] },
    { default_base_job_template: 'x' },
    { create_pool_if_not_found: true, default_base_job_template: null },
  ])(
    'as the hello of a worker that could make one, or fill its template, is made to ask for none: %j',
    async (more) => {
      const none = asks({ ...more, create_pool_if_not_found: false, default_base_job_template: {} });
      const [first, said = ''] = await sent(CHANNEL, [AUTH, asks(more)]);
      expect([first, said.endsWith(', done')]).toEqual(['pass', true]);
      expect(JSON.parse(said.slice(0, -', done'.length))).toEqual(none);
      expect(await sent(CHANNEL, [asks(more)], true)).toEqual(['pass, done']);
    },
  );

  test.each(['null', '[]', '{}', '{"payload":null}', '{"payload":[]}', '{"type":"auth","token":null,"x":1}'])(
    'on a worker’s channel as no hello goes beyond: %s',
    async (text) => {
      expect(await sent(CHANNEL, [text])).toEqual(['sends no hello, done']);
    },
  );
});

describe('what who listens is sent', () => {
  const heard = async (text: unknown, scoped = true, untold: readonly string[] = []): Promise<string> => {
    const judge = judgeHeard({
      scoped: () => scoped,
      untold: () => untold,
      some: (refs) =>
        Promise.resolve({ kind: 'close', reason: `of ${refs.map(({ type, id }) => `${type} ${id}`).join()}` }),
    });
    const found = await judge(typeof text === 'string' ? text : JSON.stringify(text)).verdict;
    return found.kind === 'close' ? found.reason : found.kind;
  };
  const event = { event: 'e', resource: { 'prefect.resource.id': `prefect.flow-run.${A}` } };

  test('is of what an event or a log is about', async () => {
    expect(await heard({ type: 'event', event })).toBe(`of flow_run ${A}`);
    expect(await heard({ type: 'log', log: { flow_run_id: A } })).toBe(`of flow_run ${A}`);
    expect([await heard({ type: 'event' }), await heard({ type: 'log', log: null, event })]).toEqual(['of ', 'of ']);
  });

  test('is of that whatever else is in it, which is not read: its sender chose it, and all who listen hear of it', async () => {
    // Python sends as much.
    for (const payload of ['NaN', `${'['.repeat(210)}${']'.repeat(210)}`, JSON.stringify({ event: { resource: 1 } })]) {
      const told = `{"payload":${payload},${JSON.stringify(event).slice(1)}`;
      expect(await heard(`{"event":${told},"type":"event"}`), payload).toBe(`of flow_run ${A}`);
      const log = `{"message":${payload},"flow_run_id":"${A}"}`;
      expect(await heard(`{"type":"log","log":${log}}`), payload).toBe(`of flow_run ${A}`);
    }
    const large = Array.from({ length: 3_000 }, (_, n) => ({ [`k${n}`]: 'prefect.variable.' }));
    const text = JSON.stringify({
      type: 'event',
      event: { ...event, payload: { large, names: ['prefect.variable.x'] } },
    });
    const parse = vi.spyOn(JSON, 'parse');
    const said = await heard(text, true, ['prefect.variable.']);
    const count = parse.mock.calls.reduce((sum, [one]) => sum + one.length, 0);
    parse.mockRestore();
    expect(said).toBe(`of flow_run ${A}`);
    expect(count).toBeLessThan(500);
  });

  test('is no event that holds what it may not see, whatever the scope', async () => {
    const variable = { event: 'prefect.variable.created', resource: event.resource, payload: { value: 1 } };
    for (const scoped of [true, false]) {
      const among = [scoped, ['prefect.artifact.', 'prefect.variable.']] as const;
      expect(await heard({ type: 'event', event: variable }, ...among)).toBe('drop');
      expect(await heard({ type: 'event', event }, ...among)).toBe(scoped ? `of flow_run ${A}` : 'pass');
      // One that speaks of them.
      const speaks = { ...event, payload: { names: ['prefect.variable.created'] } };
      expect(await heard({ type: 'event', event: speaks }, ...among)).toBe(scoped ? `of flow_run ${A}` : 'pass');
      expect(await heard('{"event":{"event":"prefect.variable.x","payload":NaN}}', ...among)).toBe('drop');
    }
    // Without a scope nothing else is looked at.
    expect(await heard('{"event":{"payload":NaN}}', false, ['prefect.variable.'])).toBe('pass');
  });

  test('is the answer to its password, which says nothing else', async () => {
    expect([await heard({ type: 'auth_success' }), await heard({ type: 'auth_failure', reason: 'x' })]).toEqual([
      'pass',
      'drop',
    ]);
  });

  test.each([
    ['of another kind', { type: 'events', events: [event] }],
    ['without a kind', { event }],
    ['in a list', [{ type: 'event', event }]],
    ['that is no JSON', `{"type":"event","event":{"payload":}}`],
    ['that has a name twice', `{"type":"event","event":{},"event":{}}`],
    ['about two things', `{"type":"event","event":{"resource":{},"resource":{}}}`],
    [
      'about a thing with two ids',
      `{"type":"event","event":{"resource":{"prefect.resource.id":"a","prefect.resource.id":"b"}}}`,
    ],
    ['that is nothing', ''],
    ['that says nothing', 'null'],
  ])('is no message %s', async (_what, text) => expect(await heard(text)).toBe('drop'));
});
