// What a run of a deployment may be told that is more than starting it.

import { describe, expect, test } from 'vitest';
import { findOperation } from '../../src/policy/operation.ts';
import { makesQueues, overrideOf, overridesIn, queuesIn, startsDeployed } from '../../src/policy/run-overrides.ts';

const ID = '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';

describe('a run of a deployment', () => {
  test.each([
    ['{}', null],
    ['{"parameters":{"job_variables":{"command":"x"}},"name":"n"}', null],
    ['{"job_variables":{}}', null],
    ['{"job_variables":null,"infrastructure_document_id":null}', null],
    ['{"job_variables":{"command":"id"}}', 'job_variables'],
    ['{"job_variabl\\u0065s":{"command":"id"}}', 'job_variables'],
    ['{"job_variables":[["command","id"]]}', 'job_variables'],
    ['{"job_variables":"x"}', 'job_variables'],
    [`{"infrastructure_document_id":"${ID}"}`, 'infrastructure_document_id'],
    ['[{},{"job_variables":{"command":"id"}}]', 'job_variables'],
    ['[{},{}]', null],
    // Not Prefect's to take.
    ['null', null],
    ['[1]', null],
  ])('says how it is run, or not: %s', (text, field) => {
    const said = overridesIn(text);
    expect(said.ok && overrideOf(said.told, { pool: null, jobVariables: {} })).toBe(field);
  });

  test.each([
    ['{"job_variables":{},"job_variables":{"command":"id"}}', 'has a name twice'],
    ['', 'is not JSON'],
    ['{"limit":NaN}', 'is not JSON'],
  ])('with two readings is refused: %s', (text, problem) => {
    expect(overridesIn(text)).toEqual({ ok: false, problem });
  });

  test('is looked at where it is started, by one and by many', () => {
    const path = `/api/deployments/${ID}/create_flow_run`;
    expect(startsDeployed(findOperation('POST', path))).toBe(true);
    expect(startsDeployed(findOperation('POST', `${path}/bulk`))).toBe(true);
    expect(startsDeployed(findOperation('POST', '/api/flow_runs/'))).toBe(false);
    expect(startsDeployed(null)).toBe(false);
  });

  test('names queues of its deployment’s pool, or of the pool beside them, or of the agents’', () => {
    const queues = (text: string, pool?: string | null): unknown => {
      const said = overridesIn(text);
      return said.ok && queuesIn(said.told, pool === undefined ? null : { pool, jobVariables: {} });
    };
    expect(queues('[{"work_queue_name":"a"},{"work_queue_name":"a"},{"work_queue_name":""},{}]', 'etl')).toEqual([
      ['etl', 'a'],
    ]);
    expect(queues('{"work_queue_name":"a","work_pool_name":"ml"}', 'etl')).toEqual([['etl', 'a']]);
    expect(queues('{"work_queue_name":"a"}', null)).toEqual([]);
    expect(queues('{"work_queue_name":"a","work_pool_name":"ml"}')).toEqual([['ml', 'a']]);
    expect(queues('{"work_queue_name":"a","work_pool_name":null}')).toEqual([['default-agent-pool', 'a']]);
    expect(makesQueues(findOperation('PATCH', `/api/deployments/${ID}`))).toBe(true);
    expect(makesQueues(findOperation('POST', '/api/flow_runs/'))).toBe(false);
  });
});
