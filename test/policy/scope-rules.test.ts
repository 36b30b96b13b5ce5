// The scope rule of every operation, against the route table and against a table that a person has looked at row by row.

import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { roleMatrix } from '../../src/policy/matrix.ts';
import { findOperation, type Operation, WEBSOCKET } from '../../src/policy/operation.ts';
import { API_EXTRA_ROUTES, API_ROUTES, ROOT_ROUTES } from '../../src/policy/routes.ts';
import type { Scope } from '../../src/policy/scope.ts';
import { boundsOf, examineText } from '../../src/policy/scope-request.ts';
import { SCOPE_RULES, scopeRule } from '../../src/policy/scope-rules.ts';

const ID = '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
const POOLS: Scope = { pools: ['etl'], tag: null, torn: false };
const TAG: Scope = { pools: null, tag: 'team-a', torn: false };

/** An operation at a path whose names are all `word`. */
function operationAt(method: string, path: string, word: string): Operation | null {
  const at = path.replaceAll(/\{(?:id|schedule_id)\}/g, ID).replaceAll(/\{\w+\}/g, word);
  return findOperation(method === 'WS' ? WEBSOCKET : method, at);
}

describe('the scope rules', () => {
  test('name every operation, and nothing else', () => {
    const names = new Set([...API_ROUTES, ...API_EXTRA_ROUTES, ...ROOT_ROUTES].map(([, , , name]) => name));
    expect(API_ROUTES).toHaveLength(192);
    expect([...names].filter((name) => !Object.hasOwn(SCOPE_RULES, name))).toEqual([]);
    expect(Object.keys(SCOPE_RULES).filter((name) => !names.has(name))).toEqual(['ui_static', 'static']);
  });

  test('are those that a person has looked at, for pools and for a tag', async () => {
    const say = (operation: Operation | null, scope: Scope): string => {
      const bounds = boundsOf(operation, `?flow_run_id=${ID}&task_run_id=${ID}`, scope);
      if (bounds.kind !== 'check') return bounds.kind;
      const asks = [...bounds.needs.map((need) => need.ref.type), ...(bounds.readBody ? ['body'] : [])];
      return asks.length === 0 ? 'pass' : asks.join('+');
    };
    const lines = roleMatrix().map(({ method, path, name, scope }) => {
      const [own, other] = [operationAt(method, path, 'etl'), operationAt(method, path, 'ml')];
      const said = [say(own, POOLS), say(other, POOLS), say(own, TAG)];
      return `${said.join(' | ')} | ${method} ${path} ${name}: ${scope}`;
    });
    await expect(`own pool | other pool | tag\n${lines.join('\n')}\n`).toMatchFileSnapshot(
      join(import.meta.dirname, 'golden/scopes.txt'),
    );
  });

  test('refuse what makes or changes anything unless they look at something', () => {
    const free = roleMatrix().filter(({ method, path, name }) => {
      const operation = operationAt(method, path, 'etl');
      const changes = operation !== null && /^(?:write|run|delete|admin-write|poll|ws-)/.test(operation.cls);
      return changes && scopeRule({ name }) === 'open';
    });
    // A flow is a name that all share: making one that is there changes nothing.
    expect(free.map(({ name }) => name)).toEqual(['create_flow']);
  });

  test('refuse what the route table does not know', () => {
    expect(boundsOf(null, '/api/new', POOLS).kind).toBe('refuse');
    expect(scopeRule({ name: 'toString' })).toBe('refused');
  });

  test('change no pool within a tag, which its teams share, and none of its queues, also where the pool is named', () => {
    const both: Scope = { ...TAG, pools: ['etl'] };
    const changing = roleMatrix().filter(({ name }) => {
      const rule = scopeRule({ name });
      return typeof rule !== 'string' && (rule.pool !== undefined || rule.object?.[0] === 'work_queue');
    });
    for (const { method, path } of changing) {
      const operation = operationAt(method, path, 'etl');
      if (operation === null || operation.cls === 'read') continue;
      const kinds = [TAG, both].map((scope) => boundsOf(operation, '', scope).kind);
      expect(kinds, `${method} ${path}`).toEqual(['refuse', 'refuse']);
    }
    const pool = findOperation('POST', '/api/work_pools/');
    if (pool === null) throw new TypeError('unreachable');
    expect(examineText(pool, '{"name": "etl"}', both).kind).toBe('refuse');
  });

  test('let nothing pass within scopes that cannot be joined but what is open', () => {
    const torn: Scope = { pools: null, tag: 'team-a', torn: true };
    const kinds = new Set(
      roleMatrix().map(({ method, path }) => boundsOf(operationAt(method, path, 'etl'), '', torn).kind),
    );
    expect([...kinds].toSorted()).toEqual(['open', 'refuse']);
  });

  test.each([
    ['', 'refuse'],
    [`?flow_run_id=${ID}`, 'check'],
    [`?a=1&flow_run_id=${ID.toUpperCase()}`, 'check'],
    ['?flow_run_id=x', 'refuse'],
    [`?flow_run_id=${ID}&flow_run_id=${ID}`, 'refuse'],
    [`?flow_run_id=${ID}&flow%5Frun_id=${ID}`, 'refuse'],
    [`?flow_run_id=${ID}&flow_run%5fid=${ID}&x=1`, 'refuse'],
    [`?flow_run_id={${ID}}`, 'refuse'],
  ])('read the flow run in the query %s only where it stands once: %s', (query, kind) => {
    const operation = findOperation('GET', '/api/flow_run_states/');
    expect(boundsOf(operation, `/api/flow_run_states/${query}`, POOLS).kind).toBe(kind);
  });

  test.each([
    [`prefect.flow-run.${ID}`, { type: 'flow_run', id: ID }],
    [`prefect.deployment.${ID}`, { type: 'deployment', id: ID }],
    [`prefect.flow.${ID}`, null],
    ['prefect.flow-run.x', null],
    ['prefect.tag.x', null],
    ['x', null],
  ])('look at what automations are of: %s', (id, ref) => {
    const path = `/api/automations/owned-by/${id}`;
    const bounds = boundsOf(findOperation('DELETE', path), path, POOLS);
    if (ref === null) expect(bounds.kind, path).toBe('refuse');
    else expect(bounds, path).toEqual({ kind: 'check', needs: [{ ref, absent: 'refuse' }], readBody: false });
    // What is related to one's own is of whoever made it, and is answered whole.
    const related = `/api/automations/related-to/${id}`;
    expect(boundsOf(findOperation('GET', related), related, POOLS).kind).toBe('refuse');
  });

  test('leave it to Prefect to say that what a path or a query names is not there', () => {
    const asked = (path: string) => boundsOf(findOperation('GET', path.split('?')[0] ?? ''), path, POOLS);
    for (const path of [`/api/flow_runs/${ID}`, `/api/flow_run_states/?flow_run_id=${ID}`])
      expect(asked(path)).toMatchObject({ needs: [{ ref: { type: 'flow_run', id: ID }, absent: 'pass' }] });
  });
});
