// Events within a scope: what one names must be within, what its payload may say, and what who listens is sent.

import { describe, expect, test, vi } from 'vitest';
import type { Scope } from '../../src/policy/scope.ts';
import { examineBody } from '../../src/policy/scope-body.ts';
import { eventFilterNeeds, eventNeeds, heardEvent, heardLog } from '../../src/policy/scope-events.ts';

const A = '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
const B = '1f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';

const event = (id: string, more: object = {}) => ({ event: 'e', resource: { 'prefect.resource.id': id }, ...more });
const related = (...ids: string[]) => ({
  related: ids.map((id) => ({ 'prefect.resource.id': id, 'prefect.resource.role': id.split('.')[1] })),
});

/** `type id` of what must be within; why it is refused. */
function needs(said: ReturnType<typeof eventNeeds>): readonly string[] | string {
  return typeof said === 'string' ? said : said.map(({ ref }) => `${ref.type} ${ref.id}`);
}

const of = (one: unknown, scope: Scope | null = null) => needs(eventNeeds(one, scope));

describe('an event', () => {
  test('names no more objects than a request may', () => {
    const many = (count: number) => Array.from({ length: count }, () => `prefect.flow-run.${A}`);
    expect(of(event('mine', related(...many(998))))).toHaveLength(998);
    expect(of(event('mine', related(...many(999))))).toBe('names more than 1000 objects');
    // What has no scope is none of them.
    expect(of(event('mine', related(...Array.from({ length: 2_000 }, () => 'prefect.tag.x'))))).toEqual([]);
  });

  test('must be about what is within, and so must all that it is related to', () => {
    expect(of(event(`prefect.flow-run.${A}`))).toEqual([`flow_run ${A}`]);
    expect(of(event('mine', related(`prefect.deployment.${B}`, 'prefect.tag.x')))).toEqual([`deployment ${B}`]);
    expect(of(event('mine', related('prefect.tag.x', `prefect.flow.${A}`, `prefect.work-queue.${B}`)))).toEqual([
      `work_queue ${B}`,
    ]);
    expect(of(event(`prefect.task-run.${A}`, related(`prefect.flow-run.${B}`)))).toEqual([
      `flow_run ${B}`,
      `task_run ${A}`,
    ]);
  });

  test('may make a task run that is not there yet, of the flow runs that it is related to', () => {
    const absent = (...ids: string[]) => {
      const said = eventNeeds(event(`prefect.task-run.${A}`, related(...ids)), null);
      return typeof said === 'string' ? said : said.at(-1)?.absent;
    };
    const [run, other] = [`prefect.flow-run.${B}`, `prefect.flow-run.${A}`];
    expect(absent(run)).toEqual([{ type: 'flow_run', id: B }]);
    expect(absent(`prefect.deployment.${A}`, run, other)).toEqual([
      { type: 'flow_run', id: B },
      { type: 'flow_run', id: A },
    ]);
    expect(absent()).toBe('refuse');
    expect(absent(`prefect.deployment.${A}`)).toBe('refuse');
    // In another role Prefect makes a task run of no flow run, which carries whatever tags it says.
    for (const role of ['parent', 'FLOW-RUN', undefined]) {
      const aside = { related: [{ 'prefect.resource.id': run, 'prefect.resource.role': role }] };
      const said = eventNeeds(event(`prefect.task-run.${A}`, aside), null);
      expect(typeof said === 'string' ? said : said.at(-1)?.absent).toBe('refuse');
    }
    // Nothing else is made by an event.
    expect(eventNeeds(event(`prefect.flow-run.${A}`, related(run)), null)).toEqual([
      { ref: { type: 'flow_run', id: B }, absent: 'refuse' },
      { ref: { type: 'flow_run', id: A }, absent: 'refuse' },
    ]);
  });

  test('that makes a state says by its id which: one that is there must be of what is within', () => {
    const made = { id: B, payload: { task_run: {}, validated_state: { type: 'RUNNING' } } };
    const said = (more: object) => of(event(`prefect.task-run.${A}`, { ...related(`prefect.flow-run.${B}`), ...more }));
    expect(said(made)).toEqual([`flow_run ${B}`, `task_run ${A}`, `task_run_state ${B}`]);
    expect(said({ payload: { validated_state: {} } })).toBe('sends an event of a task run without an id');
    expect(said({ ...made, id: `urn:uuid:${B}` })).toBe('sends an event of a task run without an id');
  });

  test('of a task run without its flow run makes it one of none: within no pool, and within a tag where it carries that', () => {
    const made = (tags: unknown, ...ids: string[]) =>
      event(`prefect.task-run.${A}`, {
        ...{ id: B, ...related(...ids) },
        payload: { task_run: { tags }, validated_state: { type: 'RUNNING' } },
      });
    const pools = { pools: ['etl'], tag: null, torn: false };
    const tag = { pools: null, tag: 'team-a', torn: false };
    const all = [`task_run ${A}`, `task_run_state ${B}`];
    expect(of(made(['team-a']), pools)).toBe('sends an event of a task run without its flow run, which is in no pool');
    expect(of(made(['team-a']), { ...pools, tag: 'team-a' })).toContain('which is in no pool');
    expect(of(made(['x', 'team-a']), tag)).toEqual(all);
    for (const tags of [undefined, null, 'team-a', ['x']])
      expect(of(made(tags), tag)).toBe('does not carry the tag team-a');
    expect(of(made([], `prefect.flow-run.${B}`), pools)).toEqual([`flow_run ${B}`, ...all]);
    expect(of(made([], `prefect.flow-run.${B}`), tag)).toEqual([`flow_run ${B}`, ...all]);
    // What says no state makes nothing.
    expect(of(event(`prefect.task-run.${A}`), pools)).toEqual([`task_run ${A}`]);
  });

  const task = (payload: object, more: object = {}) => event(`prefect.task-run.${A}`, { payload, ...more });
  test.each([
    ['another task run in its payload', task({ task_run: { id: B } })],
    ['a flow run in its payload', task({ task_run: { id: A, flow_run_id: B } })],
    [
      'a task run in the payload of another event',
      event(`prefect.flow-run.${A}`, { payload: { task_run: { id: B } } }),
    ],
    ['its own id as a task run’s', event(`prefect.flow-run.${A}`, { payload: { task_run: { id: A } } })],
    ['a spelling that only Python reads', event(`prefect.task-run.{${A}}`)],
    ['a related object by a spelling that only Python reads', event('mine', related(`prefect.flow-run.{${A}}`))],
    ['the id of a state that is there', task({ validated_state: { id: B, type: 'RUNNING' } }, { id: A })],
    ['the id of a state, where it has none', task({ validated_state: { id: B, type: 'RUNNING' } })],
    ['a state of its own', task({ task_run: { state: { id: B, type: 'RUNNING' } } })],
    ['a task run that is no object', task({ task_run: [] })],
    ['the name of a task run’s, about something else', { ...event('mine'), event: 'prefect.task-run.Running' }],
    ['the name of an automation', event(`prefect.automation.${A}`)],
    ['the name of a flow', event(`prefect.flow.${A}`)],
    ['no resource', { event: 'e' }],
    ['a resource that is no text', { event: 'e', resource: { 'prefect.resource.id': 1 } }],
    ['a related thing without an id', event('mine', { related: [{}] })],
    ['a related thing without an id behind another', event('mine', { related: [...related('x').related, {}] })],
    ['related things that are no list', event('mine', { related: {} })],
    ['no object', 'e'],
  ])('with %s is refused', (_what, one) => expect(of(one)).toBeTypeOf('string'));

  test.each([
    ['its own id', task({ task_run: { id: A.toUpperCase() } })],
    ['no id of its own', task({ task_run: { name: 'x' } })],
    ['no task run', task({ task_run: null, validated_state: null })],
    ['a state without an id', task({ validated_state: { type: 'RUNNING' } }, { id: A })],
    ['a state that it makes', task({ validated_state: { id: A, type: 'RUNNING' } }, { id: A })],
    ['a name that only contains a task run’s', { ...event(`prefect.task-run.${A}`), event: 'my.prefect.task-run' }],
  ])('with %s in its payload passes', (what, one) => {
    expect(of(one)).toEqual([`task_run ${A}`, ...(what.startsWith('a state') ? [`task_run_state ${A}`] : [])]);
  });

  test('of one’s own may be called what one likes, but not as those of task runs', () => {
    expect(of({ ...event('mine'), event: 'my.prefect.task-run' })).toEqual([]);
    expect(of({ ...event('mine'), event: 'prefect.flow-run.Running' })).toEqual([]);
  });

  test('is asked for by what it is about', () => {
    const filter = (body: unknown) => needs(eventFilterNeeds(body));
    expect(filter({ resource: { id: [`prefect.flow-run.${A}`] } })).toEqual([`flow_run ${A}`]);
    expect(filter({ related: { id: [`prefect.flow-run.${A}`] }, event: { name: ['x'] } })).toEqual([`flow_run ${A}`]);
    // Events outlive what they are about.
    expect(eventFilterNeeds({ resource: { id: [`prefect.flow-run.${A}`] } })).toEqual([
      { ref: { type: 'flow_run', id: A }, absent: 'refuse' },
    ]);
    for (const body of [
      null,
      [],
      {},
      { resource: { id: [] } },
      { resource: { id_prefix: ['prefect.flow-run.'] } },
      { resource: { id: [`prefect.flow-run.${A}`, 'prefect.tag.x'] } },
      { resource: { id: [`prefect.flow-run.${A}`, `prefect.flow-run.{${B}}`] } },
      { resource: { id: [`prefect.flow-run.${A}`, 1] } },
      { any_resource: [{ id: [`prefect.flow-run.${A}`] }] },
    ]) {
      expect(filter(body), JSON.stringify(body)).toContain('does not name whose events it wants');
    }
    // All runs of a flow are related to it, of whatever team they are.
    const flow = { id: [`prefect.flow-run.${A}`, `prefect.flow.${B}`] };
    expect(filter({ related: flow })).toBe('asks what is related to a flow');
    expect(filter({ any_resource: flow })).toBe('asks what is related to a flow');
    expect(filter({ resource: flow })).toEqual([`flow_run ${A}`, `flow ${B}`]);
  });
});

describe('what is heard', () => {
  const heard = (one: unknown) => heardEvent(one).map(({ type, id }) => `${type} ${id}`);

  test('of an event is about its own resource, whatever it is related to', () => {
    expect(heard(event(`prefect.flow-run.${A}`, related(`prefect.flow-run.${B}`)))).toEqual([`flow_run ${A}`]);
    expect(heard(event(`prefect.flow.${A}`, related(`prefect.flow-run.${B}`)))).toEqual([`flow ${A}`]);
  });

  test('of one’s own event is about what it is related to, and a flow is nobody’s', () => {
    const ids = ['prefect.tag.x', `prefect.flow.${A}`, `prefect.flow-run.{${A}}`, `prefect.deployment.${B}`];
    expect(heard(event('mine', related(...ids)))).toEqual([`deployment ${B}`]);
    expect(heard(event('mine', { related: [{}, 1, ...related(`prefect.flow-run.${B}`).related] }))).toEqual([
      `flow_run ${B}`,
    ]);
  });

  test.each([
    ['that is no event', null],
    ['without a resource', related(`prefect.flow-run.${B}`)],
    ['about what is no object of Prefect', event('prefect.flow-run.x', related(`prefect.flow-run.${B}`))],
    ['related to nothing', event('mine')],
    ['related to what is no list', event('mine', { related: {} })],
  ])('of an event %s is about nothing', (_what, one) => expect(heardEvent(one)).toEqual([]));

  test('of a log is about its flow run, else its task run, else nothing', () => {
    expect(heardLog({ flow_run_id: A, task_run_id: B })).toEqual([{ type: 'flow_run', id: A }]);
    expect(heardLog({ flow_run_id: null, task_run_id: B })).toEqual([{ type: 'task_run', id: B }]);
    for (const log of [{}, { flow_run_id: 'x' }, { task_run_id: 1 }, null, 'x', []]) expect(heardLog(log)).toEqual([]);
  });
});

describe('a list of events', () => {
  const etl: Scope = { pools: ['etl'], tag: null, torn: false };
  const id = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
  const all = (events: readonly object[]) => {
    const said = examineBody({ kind: 'events' }, events, etl, null);
    return said.kind === 'pass' ? said.needs : said;
  };
  const ofTasks = (tasks: readonly number[], runs: readonly number[]) =>
    event(
      'mine',
      related(...tasks.map((n) => `prefect.task-run.${id(n)}`), ...runs.map((n) => `prefect.flow-run.${id(n)}`)),
    );

  test('names each object once, and what is in its place in each event', () => {
    expect(all([ofTasks([1], [2]), ofTasks([1], [2]), ofTasks([1], [3])])).toEqual([
      { ref: { type: 'task_run', id: id(1) }, absent: [{ type: 'flow_run', id: id(2) }] },
      { ref: { type: 'flow_run', id: id(2) }, absent: 'refuse' },
      { ref: { type: 'task_run', id: id(1) }, absent: [{ type: 'flow_run', id: id(3) }] },
      { ref: { type: 'flow_run', id: id(3) }, absent: 'refuse' },
    ]);
  });

  test('is compared by as much as it says: each list in an event once, not for each task run', () => {
    const count = Array.from({ length: 300 }, (_, n) => n);
    const events = [ofTasks(count, count)];
    const said = JSON.stringify(events).length;
    let written = 0;
    const plain = JSON.stringify.bind(JSON);
    const spy = vi.spyOn(JSON, 'stringify').mockImplementation((value: unknown) => {
      const text = plain(value);
      written += text.length;
      return text;
    });
    const found = all(events);
    spy.mockRestore();
    expect(found).toHaveLength(600);
    expect(written).toBeLessThan(said * 2);
  });

  test('is gone through no further than to more objects than a request may name', () => {
    const part = (from: number) => Array.from({ length: 600 }, (_, n) => n + from);
    const refused = { kind: 'refuse', why: 'names more than 1000 objects' };
    expect(all([ofTasks(part(0), []), ofTasks(part(600), []), { event: 'no resource' }])).toEqual(refused);
  });
});

describe('a batch of logs', () => {
  const etl: Scope = { pools: ['etl'], tag: null, torn: false };
  const all = (logs: readonly unknown[]) => {
    const said = examineBody({ kind: 'logs' }, logs, etl, null);
    return said.kind === 'pass' ? said.needs.map(({ ref, absent }) => [ref.type, ref.id, absent]) : said;
  };
  const run = [{ type: 'flow_run', id: A }];

  test('names each run once, however many logs it has, and none of them is examined again', () => {
    const logs = Array.from({ length: 3_000 }, (_, n) => ({
      message: `${n}`,
      flow_run_id: A,
      task_run_id: n % 3 === 0 ? null : n % 3 === 1 ? B : B.replaceAll('-', ''),
    }));
    const sets = vi.spyOn(Map.prototype, 'set');
    const found = all(logs);
    const count = sets.mock.calls.length;
    sets.mockRestore();
    expect(found).toEqual([
      ['flow_run', A, 'refuse'],
      ['task_run', B, run],
    ]);
    expect(count).toBeLessThan(50);
  });

  test('is refused for one log that is none, wherever it stands', () => {
    const log = { flow_run_id: A };
    const refused = { kind: 'refuse' };
    for (const odd of [
      null,
      [],
      { flow_run_id: 1 },
      { flow_run_id: `${A} ${B}` },
      { flow_run_id: A, task_run_id: {} },
    ]) {
      expect(all([log, log, odd]), JSON.stringify(odd)).toMatchObject(refused);
      expect(all([odd, log, odd]), JSON.stringify(odd)).toMatchObject(refused);
    }
    expect(all([log, { flow_run_id: null, task_run_id: B }])).toEqual([
      ['flow_run', A, 'refuse'],
      ['task_run', B, 'refuse'],
    ]);
  });
});
