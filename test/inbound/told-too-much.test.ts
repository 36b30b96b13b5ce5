// What is asked of Prefect before a body that starts or makes a deployment goes on, and what it comes to.

import { expect, test } from 'vitest';
import { toldTooMuch, type Unsaid } from '../../src/inbound/told-too-much.ts';
import { findOperation } from '../../src/policy/operation.ts';

const ID = '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
const START = findOperation('POST', `/api/deployments/${ID}/create_flow_run`);
const MAKE = findOperation('POST', '/api/deployments/');
const BOTH: Unsaid = { asDeployed: true, queues: true, variables: true };

/** Of a Prefect that has this deployment, and these queues: what was asked, and what was found. */
async function told(
  body: unknown,
  { operation = START, unsaid = BOTH, deployed = { work_pool_name: 'etl', job_variables: { a: 1 } } as object | null },
  queues: readonly string[] = [],
) {
  const asked: string[] = [];
  if (operation === null) throw new Error('no operation');
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const said = await toldTooMuch(text, operation, unsaid, async ({ method, path }) => {
    asked.push(`${method} ${path}`);
    await Promise.resolve();
    if (path === `/deployments/${ID}`) return deployed;
    return queues.includes(path) ? {} : null;
  });
  return [said === null ? null : 'problem' in said ? said.problem : said.field, asked] as const;
}

const ASKS = `GET /deployments/${ID}`;
const QUEUE = '/work_pools/etl/queues/a%2Fb';

test('a body without anything of the kind asks Prefect for nothing', async () => {
  for (const body of ['', {}, { parameters: { job_variables: 1 } }, [{}, {}]])
    expect(await told(body, {})).toEqual([null, []]);
  expect(await told({ infrastructure_document_id: ID }, {})).toEqual(['infrastructure_document_id', []]);
});

test('one that can be read in two ways is refused before anybody is asked', async () => {
  expect(await told('{"job_variables":{},"job_variables":{"a":2}}', {})).toEqual(['has a name twice', []]);
  expect(await told('{', {})).toEqual(['is not JSON', []]);
});

test('the value of a variable is put in for nobody who may not see it', async () => {
  const parameters = { x: { __prefect_kind: 'workspace_variable', variable_name: 'payroll' } };
  expect(await told({ parameters }, {})).toEqual(['a variable', []]);
  expect(await told({ parameters }, { unsaid: { ...BOTH, variables: false } })).toEqual([null, []]);
});

test('which variable a deployment’s parameters are is not said by who may not see it', async () => {
  const parameters = { variable_name: 'payroll' };
  const made = { parameters: { __prefect_kind: 'workspace_variable', variable_name: 'defaults' } };
  expect(await told({ parameters }, { deployed: made })).toEqual(['a variable', [ASKS]]);
  expect(await told({ parameters }, { deployed: { parameters: { x: made.parameters } } })).toEqual([null, [ASKS]]);
  expect(await told({ parameters }, { deployed: made, unsaid: { ...BOTH, variables: false } })).toEqual([null, []]);
  expect(await told({ parameters }, { deployed: null })).toEqual([null, [ASKS]]);
});

test('job variables are what the deployment has, or too much', async () => {
  expect(await told({ job_variables: { a: 1 } }, {})).toEqual([null, [ASKS]]);
  expect(await told({ job_variables: { a: 2 } }, {})).toEqual(['job_variables', [ASKS]]);
  expect(await told([{ job_variables: { a: 1 } }, { job_variables: { b: 1 } }], {})).toEqual(['job_variables', [ASKS]]);
  expect(await told([{}, { job_variables: { a: 1 } }], {})).toEqual([null, [ASKS]]);
  // Of a deployment that is not there nothing is known.
  expect(await told({ job_variables: { a: 1 } }, { deployed: null })).toEqual(['job_variables', [ASKS]]);
  expect(await told({ job_variables: { a: 2 } }, { unsaid: { ...BOTH, asDeployed: false } })).toEqual([null, []]);
});

test('a queue must be there, in the pool of the deployment or the one that is named beside it', async () => {
  const queue = { work_queue_name: 'a/b' };
  expect(await told(queue, {}, [QUEUE])).toEqual([null, [ASKS, `GET ${QUEUE}`]]);
  expect(await told(queue, {})).toEqual(['a new work_queue_name', [ASKS, `GET ${QUEUE}`]]);
  expect((await told([queue, { work_queue_name: 'c' }], {}, [QUEUE]))[0]).toBe('a new work_queue_name');
  // Prefect says that there is no such deployment.
  expect(await told(queue, { deployed: null })).toEqual([null, [ASKS]]);
  const made = { operation: MAKE };
  expect(await told({ ...queue, work_pool_name: 'etl' }, made, [QUEUE])).toEqual([null, [`GET ${QUEUE}`]]);
  expect(await told(queue, made)).toEqual([
    'a new work_queue_name',
    ['GET /work_pools/default-agent-pool/queues/a%2Fb'],
  ]);
  expect(await told(queue, { ...made, unsaid: { ...BOTH, queues: false } })).toEqual([null, []]);
});

test('sixteen queues are looked up for one body, and not one more', async () => {
  const named = (count: number) => Array.from({ length: count }, (_, n) => ({ work_queue_name: `q${n}` }));
  const there = named(16).map(({ work_queue_name: name }) => `/work_pools/etl/queues/${name}`);
  expect((await told(named(16), {}, there))[0]).toBeNull();
  expect(await told(named(17), {}, there)).toEqual(['names more than 16 work queues', [ASKS]]);
});

test('what Prefect does not say is a failure', async () => {
  if (START === null) throw new Error('no operation');
  const gone = toldTooMuch('{"job_variables":{"a":1}}', START, BOTH, () => Promise.reject(new Error('gone')));
  await expect(gone).rejects.toThrow('gone');
});
