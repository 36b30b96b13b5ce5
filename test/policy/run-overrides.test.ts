// What a run of a deployment may be told that is more than starting it.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findOperation } from '../../src/policy/operation.ts';
import {
  deployedIn,
  fillsIn,
  makesQueues,
  overrideOf,
  overridesIn,
  queuesIn,
  startsDeployed,
} from '../../src/policy/run-overrides.ts';
import { isRecord } from '../../src/policy/strict-json.ts';

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
    expect(said.ok && overrideOf(said.told, { pool: null, jobVariables: {}, made: false })).toBe(field);
  });

  const told = (variables: unknown, deployed: unknown, more: object = {}) => {
    const said = overridesIn(JSON.stringify({ ...more, job_variables: variables }));
    return said.ok && overrideOf(said.told, { pool: null, jobVariables: deployed, made: false });
  };

  test('may say again what was deployed, all of it and as it is, in whatever order', () => {
    const deployed = { image: 'a', env: { A: '1', B: [1, { c: null }] } };
    expect(told({ env: { B: [1, { c: null }], A: '1' }, image: 'a' }, deployed)).toBeNull();
    for (const other of [
      { image: 'a' },
      { ...deployed, command: 'id' },
      { image: 'a', env: { A: '1', B: [{ c: null }, 1] } },
      { image: 'a', env: { A: '1', B: [1] } },
      { image: 'a', env: { A: '1', B: [1, {}] } },
      { image: 'a', env: { A: 1, B: [1, { c: null }] } },
      { image: 'a', environ: deployed.env },
      JSON.parse('{"image":"a","__proto__":{"command":"id"}}') as object,
      [deployed],
    ])
      expect(told(other, deployed), JSON.stringify(other)).toBe('job_variables');
    expect(told({ toString: 'x' }, { x: 'x' })).toBe('job_variables');
    expect(told({ a: 1 }, undefined)).toBe('job_variables');
    expect(told(deployed, deployed, { infrastructure_document_id: ID })).toBe('infrastructure_document_id');
    const one = overridesIn(JSON.stringify({ job_variables: { a: 1 } }));
    expect(one.ok && overrideOf(one.told, null)).toBe('job_variables');
  });

  test('says what was deployed only if it is the same JSON', () => {
    const leaf = fc.constantFrom<unknown>(null, 0, 1, '', '1', true, false);
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 2 },
        leaf,
        fc.array(tie('value'), { maxLength: 2 }),
        fc.dictionary(fc.constantFrom('a', 'b', 'length', '0'), tie('value'), { maxKeys: 2 }),
      ),
    }));
    /** The same text for the same JSON, in whatever order its names stand. */
    const text = (one: unknown): string => {
      if (Array.isArray(one)) return `[${one.map(text).join()}]`;
      if (!isRecord(one)) return JSON.stringify(one);
      const members = Object.entries(one).map(([name, of]) => `${JSON.stringify(name)}:${text(of)}`);
      return `{${members.toSorted().join()}}`;
    };
    fc.assert(
      fc.property(value, value, (a, b) => {
        const [some, other] = [
          { a, x: 1 },
          { x: 1, a: b },
        ];
        expect(told(some, other)).toBe(text(a) === text(b) ? null : 'job_variables');
        expect(told(some, structuredClone(some))).toBeNull();
      }),
    );
  });

  test('of what Prefect says that it has', () => {
    expect(deployedIn({ work_pool_name: 'etl', job_variables: { a: 1 } })).toEqual({
      pool: 'etl',
      jobVariables: { a: 1 },
      made: false,
    });
    for (const bare of [
      {},
      { work_pool_name: null, job_variables: null },
      { work_pool_name: '' },
      { work_pool_name: 1 },
    ])
      expect(deployedIn(bare)).toEqual({ pool: null, jobVariables: {}, made: false });
    for (const odd of [null, 'x', [{}]]) expect(deployedIn(odd)).toBeNull();
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

  const variable = { __prefect_kind: 'workspace_variable', variable_name: 'payroll' };
  const inJson = (value: unknown) => ({ __prefect_kind: 'json', value });
  test.each<[unknown, boolean]>([
    [{ parameters: { x: variable } }, true],
    [[{}, { parameters: { x: [{ y: variable }] } }], true],
    [{ run_input: { x: { __prefect_kind: 'none', value: variable } } }, true],
    // A deployment keeps what stands in the text, and its runs read that again.
    [{ parameters: { x: inJson(JSON.stringify(variable).replaceAll('_', '\\u005f')) } }, true],
    [{ parameters: { x: inJson(JSON.stringify(inJson(JSON.stringify(variable)))) } }, true],
    [{ parameters: { x: inJson({ __prefect_kind: 'jinja', template: '{% raw %}{}{% endraw %}' }) } }, true],
    [{ parameters: { x: inJson([variable]) } }, true],
    [{ parameters: { x: inJson('[NaN]') } }, true],
    [{ parameters: { x: inJson('{"a":[1]}'), y: { __prefect_kind: 'jinja', template: '{{ 1 }}' } } }, false],
    [{ parameters: { x: { __prefect_kind: 'json' }, y: 'workspace_variable' }, tags: [variable] }, false],
    [{ parameters: null }, false],
    [{ parameters: { x: { __prefect_kind: 'jinja', template: variable } } }, true],
    [{ parameters: { x: { __prefect_kind: 'another', value: variable } } }, true],
    [{ parameters: variable }, true],
  ])('has a variable put in, or not: %j', (body, holds) => {
    const said = overridesIn(JSON.stringify(body));
    expect(said.ok && said.told.some((one) => one.variables)).toBe(holds);
  });

  test('is read whole, however deep in texts of JSON something stands', () => {
    let value: unknown = variable;
    for (let i = 0; i < 15; i++) {
      value = inJson(JSON.stringify(value));
      for (let level = 0; level < 150; level++) value = [value];
    }
    const said = overridesIn(JSON.stringify({ parameters: { x: value } }));
    expect(said.ok && said.told.some((one) => one.variables)).toBe(true);
  });

  test('can have a variable put in where it is started, made, changed or resumed', () => {
    for (const [method, path] of [
      ['POST', `/api/deployments/${ID}/create_flow_run`],
      ['POST', `/api/deployments/${ID}/create_flow_run/bulk`],
      ['POST', '/api/deployments/'],
      ['PATCH', `/api/deployments/${ID}`],
      ['POST', `/api/flow_runs/${ID}/resume`],
    ] as const)
      expect(fillsIn(findOperation(method, path)), path).toBe(true);
    expect(fillsIn(findOperation('POST', '/api/flow_runs/'))).toBe(false);
    expect(fillsIn(null)).toBe(false);
  });

  test('names queues of its deployment’s pool, or of the pool beside them, or of the agents’', () => {
    const queues = (text: string, pool?: string | null): unknown => {
      const said = overridesIn(text);
      return said.ok && queuesIn(said.told, pool === undefined ? null : { pool, jobVariables: {}, made: false });
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
