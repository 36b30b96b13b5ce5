import { expect, test } from 'vitest';
import { findOperation, WEBSOCKET } from '../../src/policy/operation.ts';
import { ALL_PERMISSIONS, BUILT_IN_ROLES, type Permission } from '../../src/policy/permissions.ts';
import { compilePolicy, type Grants } from '../../src/policy/policy.ts';
import type { Scope } from '../../src/policy/scope.ts';
import { filtersEvents, filterWithout, pagesBeyond, tells, untold } from '../../src/policy/untold.ts';

const FILTER = findOperation('POST', '/api/events/filter');
const NEXT = findOperation('GET', '/api/events/filter/next');
const bound = (place: string, permissions: readonly Permission[], scope: Scope | null = null) => ({
  role: {
    name: { text: place, place },
    extends: [],
    permissions: permissions.map((text) => ({ text, place })),
    deny: [],
  },
  binding: { place, roles: [{ text: place, place }], identities: ['a'], matches: null, scope },
});
const grantsOf = (...of: ReadonlyArray<ReturnType<typeof bound>>): Grants =>
  compilePolicy({
    mode: 'enforce',
    secrets: 'refuse',
    roles: of.map(({ role }) => role),
    bindings: of.map(({ binding }) => binding),
  }).grants('a');
const only = (permissions: readonly Permission[]) => grantsOf(bound('x', permissions));
const all = (...less: readonly Permission[]) => only(ALL_PERMISSIONS.filter((one) => !less.includes(one)));
const VARIABLES = ['prefect.variable.'];

test('who lacks a permission is not told the events that hold what it is for', () => {
  const sees = ALL_PERMISSIONS.filter((one) => one.startsWith('see_'));
  expect(untold(FILTER, all(), null)).toBeNull();
  expect(untold(FILTER, all('see_variables'), null)).toEqual({ permissions: ['see_variables'], prefixes: VARIABLES });
  const { prefixes } = untold(FILTER, all(...sees), null) ?? { prefixes: [] };
  const told = ['prefect.flow-run.Completed', 'prefect.automation.triggered', 'prefect.deployment.ready', 'my.event'];
  expect(told.filter((name) => prefixes.some((one) => name.startsWith(one)))).toEqual([]);
  // What Prefect 3.8.8 sends with the thing in it.
  const holds = ['variable.deleted', 'artifact-collection.updated', 'block-document.created', 'block-type.updated'];
  holds.push('automation.created', 'deployment.updated', 'work-pool.updated', 'work-queue.updated');
  holds.push('concurrency-limit.created');
  expect(holds.filter((name) => !prefixes.some((one) => `prefect.${name}`.startsWith(one)))).toEqual([]);
  for (const role of ['Viewer', 'Runner', 'Developer', 'Owner'] as const) {
    const { permissions } = BUILT_IN_ROLES[role];
    expect(untold(FILTER, only(permissions), null)).toBeNull();
  }
});

test('what is seen within a scope only is not told beyond it, but for what is nobody’s', () => {
  const ETL: Scope = { pools: ['etl'], tag: null, torn: false };
  const sees = ALL_PERMISSIONS.filter((one) => one.startsWith('see_'));
  const grants = grantsOf(bound('team', sees, ETL), bound('events', ['see_events']));
  const kinds = ['see_artifacts', 'see_deployments', 'see_work_pools', 'see_work_queues', 'see_automations'];
  expect(untold(FILTER, grants, null)?.permissions).toEqual(kinds);
  expect(untold(FILTER, grantsOf(bound('team', sees, ETL)), ETL)).toBeNull();
});

test('what is looked at is every operation that answers events, and no other', () => {
  const lacks = all('see_variables');
  const asks: ReadonlyArray<readonly [string, string]> = [
    ['POST', '/api/events/filter'],
    ['GET', '/api/events/filter/next'],
    ['POST', '/api/events/count-by/event'],
    [WEBSOCKET, '/api/events/out'],
  ];
  for (const [method, path] of asks) expect(untold(findOperation(method, path), lacks, null), path).not.toBeNull();
  for (const [method, path] of [
    ['POST', '/api/events'],
    [WEBSOCKET, '/api/events/in'],
    ['POST', '/api/logs/filter'],
  ] as const)
    expect(untold(findOperation(method, path), lacks, null), path).toBeNull();
  expect(untold(null, lacks, null)).toBeNull();
  const filters = (method: string, path: string): boolean => filtersEvents(findOperation(method, path));
  expect(asks.map(([method, path]) => filters(method, path))).toEqual([true, false, true, false]);
});

test.each<[string, unknown]>([
  ['', {}],
  ['null', {}],
  ['{"limit":5}', { limit: 5 }],
  ['{"filter":null}', {}],
])('a filter that asks for everything excludes them: %j', (text, more) => {
  expect(filterWithout(text, VARIABLES)).toEqual({
    ...(more as object),
    filter: { event: { exclude_prefix: VARIABLES } },
  });
});

test('a filter stays what it is, and excludes them too', () => {
  const filter = { text: { query: 'x' }, event: { name: ['prefect.variable.created'], exclude_prefix: ['a.'] } };
  const excluded = { ...filter, event: { ...filter.event, exclude_prefix: ['a.', ...VARIABLES] } };
  expect(filterWithout(JSON.stringify({ filter, limit: 1 }), VARIABLES)).toEqual({ filter: excluded, limit: 1 });
  expect(filterWithout({ filter: excluded }, VARIABLES)).toEqual({ filter: excluded });
});

test.each(['[]', '1', '{"filter":[]}', '{"filter":{"event":"x"}}', '{"filter":{"event":{"exclude_prefix":"a"}}}'])(
  'what is no filter is refused: %s',
  (text) => expect(filterWithout(text, VARIABLES)).toBe('has a filter of events that is none'),
);

test('what can be read in two ways is refused', () => {
  expect(filterWithout('{"filter":{},"filter":{}}', VARIABLES)).toBe('has a name twice');
  expect(filterWithout('{', VARIABLES)).toBe('is not JSON');
});

test('a further page is of a filter that excludes them, or is refused', () => {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const token = (value: unknown): string => base64(base64(typeof value === 'string' ? value : JSON.stringify(value)));
  const page = (query: string, prefixes = VARIABLES): boolean =>
    pagesBeyond(NEXT, `/api/events/filter/next${query}`, prefixes);
  const good = token({ filter: { event: { exclude_prefix: ['a.', ...VARIABLES] } }, offset: 50 });
  expect(page(`?page-token=${good}`)).toBe(false);
  expect(page(`?page-token=${good.replaceAll('=', '%3D')}`)).toBe(false);
  expect(page(`?page-token=${good}`, [...VARIABLES, 'b.'])).toBe(true);
  const bad = token({ filter: { event: null }, offset: 50 });
  for (const query of [
    '',
    '?page-token=',
    `?page-token=${bad}`,
    `?page-token=${good}&page-token=${bad}`,
    `?page-token=${good}&page%2Dtoken=${bad}`,
    // Python's base64 skips what it does not know, and may read something else.
    `?page-token=-${good}`,
    `?page-token=${good}%20`,
    `?page-token=${base64(`_${base64('{}')}`)}`,
    `?page-token=${token('{"filter":{"event":{"exclude_prefix":["prefect.variable."]}},"filter":{}}')}`,
    `?page-token=${token({ filter: { event: { exclude_prefix: 'prefect.variable.' } } })}`,
  ])
    expect(page(query), query).toBe(true);
  expect(pagesBeyond(FILTER, '/api/events/filter', VARIABLES)).toBe(false);
});

test('a message tells an event by its name alone', () => {
  const event = (name: unknown) =>
    JSON.stringify({ type: 'event', event: { event: name, payload: ['prefect.variable.'] } });
  expect(tells(event('prefect.variable.created'), VARIABLES)).toBe(true);
  expect(tells(event('prefect.flow-run.Running'), VARIABLES)).toBe(false);
  expect(tells(event(1), VARIABLES)).toBe(true);
  expect(tells('{"type":"auth_success"}', VARIABLES)).toBe(false);
});
