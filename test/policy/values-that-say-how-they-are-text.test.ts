// JSON can say `{"toString": 1}`, of which no text can be made: whatever stands where Prefect takes text is refused or passed, and
// nothing throws. A throw is a fault of the gate, which cuts the connection and is logged with its stack.

import { describe, expect, test } from 'vitest';
import { findOperation } from '../../src/policy/operation.ts';
import { API_ROUTES } from '../../src/policy/routes.ts';
import { overridesIn, queuesIn } from '../../src/policy/run-overrides.ts';
import type { Scope } from '../../src/policy/scope.ts';
import { examineText } from '../../src/policy/scope-request.ts';
import { secretsInBody } from '../../src/policy/secrets.ts';

const ID = '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
const ODD = { toString: 1, valueOf: null };
const SCOPES: readonly Scope[] = [
  { pools: ['etl'], tag: null, torn: false },
  { pools: null, tag: 'team', torn: false },
];
/** What the rules of scopes read in bodies. */
const FIELDS = [
  'names,holder,dynamic_key,event,id,resource,related,payload,tags,work_pool_name,work_queue_name,flow_id,name,state,filter',
  'flow_run_id,task_run_id,parent_task_run_id,deployment_id,idempotency_key,flow_runs,flows,task_runs,work_pools,job_variables',
]
  .join()
  .split(',');

function bodies(): readonly string[] {
  const resource = { 'prefect.resource.id': 'mine' };
  const whole = { tags: ['team'], event: 'e', resource, name: 'n', names: ['a'], flow_id: ID, work_pool_name: 'etl' };
  const each = FIELDS.flatMap((field) =>
    [ODD, [ODD], { id: ODD, type: ODD }].map((odd) => ({ ...whole, [field]: odd })),
  );
  return [...each, ODD].flatMap((body) => [JSON.stringify(body), JSON.stringify([body])]);
}

describe('a value of which no text can be made', () => {
  const all = bodies();
  const operations = API_ROUTES.filter(([method]) => method !== 'WS').map(([method, path]) => {
    const found = findOperation(method, `/api${path.replaceAll(/\{\w+:uuid\}/g, ID).replaceAll(/\{\w+\}/g, 'etl')}`);
    if (found === null) throw new Error(path);
    return found;
  });

  test('is no fault in any body within a scope', () => {
    for (const scope of SCOPES) {
      for (const operation of operations) {
        for (const body of all)
          expect(() => examineText(operation, body, scope), `${operation.name} ${body}`).not.toThrow();
      }
    }
  });

  test('is no name of a limit, no key and no name of an event', () => {
    const said = (path: string, body: unknown, scope: Scope) => {
      const operation = findOperation('POST', `/api${path}`);
      return operation === null ? null : examineText(operation, JSON.stringify(body), scope);
    };
    const [etl, team] = SCOPES;
    if (etl === undefined || team === undefined) throw new Error('no scope');
    expect(said('/v2/concurrency_limits/increment', { names: [['a']] }, etl)).toMatchObject({ kind: 'refuse' });
    expect(said('/task_runs/', { tags: ['team'], dynamic_key: [ID] }, team)).toMatchObject({ kind: 'refuse' });
    const event = { resource: { 'prefect.resource.id': 'mine' } };
    expect(said('/events', [{ ...event, event: ['prefect.task-run.Completed'] }], etl)).toMatchObject({
      kind: 'refuse',
    });
  });

  test('is no fault where how a run is run, or secrets, are looked for', () => {
    for (const body of all) {
      const said = overridesIn(body);
      expect(() => (said.ok ? queuesIn(said.told, null) : null), body).not.toThrow();
      expect(() => secretsInBody(body), body).not.toThrow();
    }
  });
});
