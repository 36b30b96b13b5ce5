// What a policy says of a request, before anything is done about it: permitted, refused or only counted; with whose words,
// how far, what of its body has to be read, and what is taken out of it or put in.

import { describe, expect, test } from 'vitest';
import { takePolicy } from '../../src/config/policy-load.ts';
import {
  heldBytes,
  inspectorFor,
  isPlain,
  type Judged,
  judge,
  judgeReading,
  policyFor,
} from '../../src/inbound/permission.ts';
import { limitLog } from '../../src/observe/limited-log.ts';
import { createMetrics } from '../../src/observe/metrics.ts';
import { findOperation, WEBSOCKET } from '../../src/policy/operation.ts';
import { canonicalPath } from '../../src/policy/paths.ts';
import { NO_ATTRIBUTES, type Policy } from '../../src/policy/policy.ts';
import { quietLog } from '../observe/quiet-log.ts';
import { headOf } from './heads.ts';

const ID = '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
const BLOCK = `/api/block_documents/${ID}`;
const ASKS = `${BLOCK}?include_secrets=true`;
const START = `/api/deployments/${ID}/create_flow_run`;
const WHO = { identity: 'user/a', attributes: NO_ATTRIBUTES, address: '192.0.2.7' };

function policyOf(binding: string, head = ''): Policy | null {
  return takePolicy({ text: `${head}bindings:\n  - {${binding}, identity: user/a}\n`, file: 'p.yaml' }).policy;
}
const says = (policy: Policy | null, request: string) => {
  const [method = '', target = ''] = request.split(' ');
  return judge(policy, WHO, findOperation(method, target.split('?')[0] ?? ''), target);
};

describe('a policy', () => {
  test('that is nobody’s permits all, but for who is for a pool: that one within it', () => {
    expect(says(null, 'DELETE /api/anything')).toMatchObject({ policy: null, refusal: null, scoped: null });
    const pool = { attributes: { groups: ['Data', 'pool:etl'], values: [] } };
    expect([
      policyFor({ policy: null }, WHO),
      policyFor({ policy: null }, { attributes: { groups: ['Data'], values: [] } }),
    ]).toEqual([null, null]);
    const everything = policyFor({ policy: null }, pool);
    const at = (path: string) => judge(everything, { ...WHO, ...pool }, findOperation('GET', path), path);
    expect(at('/api/work_pools/etl')).toMatchObject({ role: 'Owner', refusal: null, scoped: null });
    expect(at('/api/work_pools/ml').refusal?.code).toBe('CG_SCOPE');
    expect(at('/api/anything').refusal?.code).toBe('CG_OPERATION_UNKNOWN');
    const own = policyOf('role: Viewer');
    expect(policyFor({ policy: own }, pool)).toBe(own);
  });

  test.each<[string, string, string, string | null]>([
    ['role: Viewer', '', 'POST /api/flows/filter', null],
    ['role: Viewer', '', 'POST /api/flows/', 'CG_PERMISSION'],
    ['role: Viewer', '', 'GET /api/anything', 'CG_OPERATION_UNKNOWN'],
    ['role: Owner', '', 'GET /api/anything', null],
    ['role: Viewer', '', `GET ${BLOCK}`, null],
    ['role: Viewer', '', `GET ${ASKS}`, 'CG_PERMISSION'],
    ['role: Viewer', '', `HEAD ${ASKS}`, 'CG_PERMISSION'],
    ['role: Viewer', '', `GET ${BLOCK}?include_secrets=false`, null],
    ['role: Viewer', 'secrets: hide\n', `GET ${ASKS}`, null],
    ['role: Developer', '', `GET ${ASKS}`, null],
    ['role: Worker, pools: [etl]', '', 'GET /api/work_pools/etl', null],
    ['role: Worker, pools: [etl]', '', 'GET /api/work_pools/ml', 'CG_SCOPE'],
    ['role: Worker, tag: t', '', 'POST /api/work_pools/etl/get_scheduled_flow_runs', 'CG_SCOPE'],
  ])('with {%s}, %j, says of %s: %s', (binding, head, request, code) => {
    const said = says(policyOf(binding, `mode: enforce\n${head}`), request);
    expect([said.refusal?.code ?? null, said.wouldRefuse, said.observed]).toEqual([code, null, false]);
    // What is refused is by nobody's role.
    expect([said.role === null, said.rule === null]).toEqual([code !== null, code !== null]);
    // The same words where nothing is refused, only counted; and the target is sent on as it came.
    const counted = says(policyOf(binding, `mode: observe\n${head}`), request);
    expect([counted.refusal, counted.wouldRefuse, counted.observed]).toEqual([null, said.refusal, true]);
    expect([counted.role === null, counted.target]).toEqual([code !== null, null]);
    if (code !== null) expect(counted.rule).toBe(`observe: ${code}`);
  });

  test('of somebody else is no role', () => {
    expect(judge(policyOf('role: Owner'), { ...WHO, identity: 'user/b' }, null, '/api/x').refusal?.code).toBe(
      'CG_UNBOUND',
    );
  });

  test('that hides secrets takes the question out; one that permits them leaves it', () => {
    const target = (binding: string, request: string) => says(policyOf(binding, 'secrets: hide\n'), request).target;
    expect(target('role: Viewer', `GET ${ASKS}`)).toBe(BLOCK);
    expect(target('role: Viewer', `GET ${BLOCK}?a=1&include_secrets=1&b`)).toBe(`${BLOCK}?a=1&b`);
    expect(target('role: Developer', `GET ${ASKS}`)).toBeNull();
    expect(target('role: Viewer', `GET ${BLOCK}?a=1`)).toBeNull();
  });

  test('has a body read that may ask for secrets, of who may not see them', () => {
    const reads = (binding: string, request: string) => says(policyOf(binding), request).readBody;
    expect(reads('role: Viewer', 'POST /api/block_documents/filter')).toBe(true);
    expect(reads('role: Developer', 'POST /api/block_documents/filter')).toBe(false);
    expect(reads('role: Viewer', 'POST /api/flows/filter')).toBe(false);
  });

  test('names who makes a run or a deployment where it says so', () => {
    const stamp = (head: string, request: string) => says(policyOf('role: Owner', head), request).stamp;
    expect(stamp('createdBy: identity\n', 'POST /api/flow_runs/')).toMatch(
      /^prefect-automation-id: .*\r\nprefect-automation-name: .*\r\n$/,
    );
    expect([stamp('', 'POST /api/flow_runs/'), stamp('createdBy: identity\n', 'POST /api/flows/')]).toEqual(['', '']);
  });

  test('lets a run be told how to run by who may start any flow, and make a queue by who may make queues', () => {
    const unsaid = (binding: string, request: string) => says(policyOf(binding), request).scoped?.unsaid ?? null;
    expect(unsaid('role: Runner', `POST ${START}`)).toEqual({ asDeployed: true, queues: true, variables: false });
    expect(unsaid('role: Developer', `POST ${START}`)).toBeNull();
    const roles = (permission: string) =>
      takePolicy({
        text: `roles:\n  x: {permissions: [run_deployments, ${permission}]}\nbindings: [{role: x, identity: user/a}]\n`,
        file: 'p.yaml',
      }).policy;
    expect(says(roles('run_flows'), `POST ${START}`).scoped?.unsaid).toEqual({
      asDeployed: false,
      queues: true,
      variables: true,
    });
    expect(says(roles('write_work_queues'), `POST ${START}`).scoped?.unsaid).toEqual({
      asDeployed: true,
      queues: false,
      variables: true,
    });
    expect(unsaid('role: Developer, pools: [etl]', `POST ${START}`)).toBeNull();
  });

  test('has looked up what a scope is to hold, and reads the body where that says it', () => {
    const scoped = (request: string) => says(policyOf('role: Developer, pools: [etl]'), request).scoped;
    expect(scoped(`GET /api/flow_runs/${ID}`)).toMatchObject({
      needs: [{ ref: { id: ID } }],
      readBody: false,
      unsaid: null,
    });
    expect(scoped('POST /api/flow_runs/filter')).toMatchObject({ needs: [], readBody: true });
    expect(scoped('GET /api/health')).toBeNull();
    expect(says(policyOf('role: Developer'), `GET /api/flow_runs/${ID}`).scoped).toBeNull();
  });
});

describe('a request', () => {
  const reading = (line: string, lines: readonly string[] = []): Judged => {
    const head = headOf(lines, `${line} HTTP/1.1`);
    const target = canonicalPath(head.target);
    const method = head.upgrade === null ? head.method : WEBSOCKET;
    const operation = target.ok ? findOperation(method, target.path) : null;
    return { head, target, operation, apiPath: '/api', start: 'as it was\r\n', judgement: null };
  };
  const gateWith = (policy: Policy | null) => ({ policy, metrics: createMetrics(), limitedLog: limitLog(quietLog) });
  const viewer = policyOf('role: Viewer');

  test('is judged once for a policy, and again for another; each refusal is counted', () => {
    const gate = gateWith(viewer);
    const one = reading('POST /api/flows/');
    expect(judgeReading(one, gate, WHO)).toMatchObject({ status: 403, code: 'CG_PERMISSION' });
    const first = one.judgement;
    judgeReading(one, gate, WHO);
    expect([one.judgement === first, gate.metrics.forbidden, gate.metrics.unknownOperations]).toEqual([true, 2, 0]);
    expect(judgeReading(one, { ...gate, policy: policyOf('role: Owner') }, WHO)).toBeNull();
    expect(judgeReading(one, { ...gate, policy: null }, WHO)).toBeNull();
    expect([one.judgement?.policy, gate.metrics.forbidden]).toEqual([null, 2]);
    const unknown = reading('GET /api/anything');
    expect(judgeReading(unknown, gate, WHO)).toMatchObject({ code: 'CG_OPERATION_UNKNOWN' });
    expect(gate.metrics.unknownOperations).toBe(1);
  });

  test('begins anew where the policy changes its target or adds to it, and as it was under the next that does not', () => {
    const one = reading(`GET ${ASKS}`);
    judgeReading(one, gateWith(policyOf('role: Viewer', 'secrets: hide\n')), WHO);
    expect(one.start).toBe(`GET ${BLOCK} HTTP/1.1\r\n`);
    judgeReading(one, gateWith(policyOf('role: Owner')), WHO);
    expect(one.start).toBe(`GET ${ASKS} HTTP/1.1\r\n`);
    const plain = reading(`GET ${BLOCK}`);
    judgeReading(plain, gateWith(viewer), WHO);
    expect(plain.start).toBe('as it was\r\n');
  });

  test('whose body is read goes on as JSON also where it does not say so', () => {
    const read = reading('POST /api/block_documents/filter', ['Content-Length: 2']);
    expect(judgeReading(read, gateWith(viewer), WHO)).toBeNull();
    expect(read.start).toContain('content-type: application/json\r\n');
    const said = reading('POST /api/block_documents/filter', ['Content-Length: 2', 'Content-Type: application/json']);
    judgeReading(said, gateWith(viewer), WHO);
    expect(said.start).toBe('as it was\r\n');
  });

  test('whose body can’t be read is refused, or counted where nothing is refused', () => {
    const chunked = () => reading('POST /api/block_documents/filter', ['Transfer-Encoding: chunked']);
    expect(judgeReading(chunked(), gateWith(viewer), WHO)).toMatchObject({ status: 411, code: 'CG_REQUEST_BODY' });
    const gate = gateWith(policyOf('role: Viewer', 'mode: observe\n'));
    expect(judgeReading(chunked(), gate, WHO)).toBeNull();
    expect([gate.metrics.wouldRefuse, gate.metrics.forbidden]).toEqual([1, 0]);
    expect(judgeReading(chunked(), gateWith(policyOf('role: Owner')), WHO)).toBeNull();
    const within = gateWith(policyOf('role: Worker, pools: [etl]'));
    const filter = reading('POST /api/flow_runs/filter', ['Transfer-Encoding: chunked']);
    expect(judgeReading(filter, within, WHO)).toMatchObject({ status: 411 });
    const told = reading(`POST ${START}`, ['Transfer-Encoding: chunked']);
    expect(judgeReading(told, gateWith(policyOf('role: Runner')), WHO)).toMatchObject({ status: 411 });
  });

  test('that would be refused is counted by a role that only observes', () => {
    const text = 'roles:\n  trial: {extends: [Viewer], mode: observe}\nbindings: [{role: trial, identity: user/a}]\n';
    const gate = gateWith(takePolicy({ text, file: 'p.yaml' }).policy);
    expect(judgeReading(reading('POST /api/flows/'), gate, WHO)).toBeNull();
    expect([gate.metrics.wouldRefuse, gate.metrics.forbidden]).toEqual([1, 0]);
  });

  test.each<[string, string, readonly string[], boolean, number]>([
    ['role: Owner', 'POST /api/flows/', ['Content-Length: 5'], true, 0],
    ['role: Viewer', 'POST /api/block_documents/filter', ['Content-Length: 5'], false, 5],
    ['role: Worker, pools: [etl]', 'POST /api/flow_runs/filter', ['Content-Length: 7'], false, 7],
    ['role: Runner', `POST ${START}`, ['Content-Length: 2'], false, 2],
    ['role: Worker, pools: [etl]', `GET /api/flow_runs/${ID}`, [], false, 0],
    ['role: Owner', 'GET /api/events/out', ['Upgrade: websocket', 'Connection: Upgrade'], false, 0],
  ])('of {%s}, %s with %j, is plain or held as long as it is: %s, %i', (binding, line, lines, plain, held) => {
    const one = reading(line, lines);
    expect(isPlain(one)).toBe(one.head.upgrade === null);
    judgeReading(one, gateWith(policyOf(binding)), WHO);
    expect([isPlain(one), heldBytes(one)]).toEqual([plain, held]);
    // JSON where it is read, and said to be nothing where it is not.
    expect(one.start.includes('content-type: application/json')).toBe(held > 0);
  });

  test('holds nothing of a body that can’t be read, which only an observing policy lets by', () => {
    const long = reading('POST /api/block_documents/filter', ['Content-Length: 2000000']);
    judgeReading(long, gateWith(policyOf('role: Viewer', 'mode: observe\n')), WHO);
    expect([isPlain(long), heldBytes(long)]).toEqual([false, 0]);
  });

  test('for a WebSocket is closed with the reason where a client loses its events or speaks of passwords otherwise', () => {
    const upgrade = ['Upgrade: websocket', 'Connection: Upgrade'];
    const closes = (path: string) =>
      judgeReading(reading(`GET ${path}`, upgrade), gateWith(viewer), WHO)?.closeWebSocket;
    expect(closes('/api/events/in')).toBe('it lacks manage_events and run_flows');
    expect(closes('/api/task_runs/subscriptions/scheduled')).toBe('it lacks run_tasks');
    expect(closes('/api/work_pools/etl/workers/connect')).toBeUndefined();
    expect(judgeReading(reading('POST /api/flows/'), gateWith(viewer), WHO)).not.toHaveProperty('closeWebSocket');
  });
});

describe('a body that may ask for secrets', () => {
  const asked = Buffer.from('{"include_secrets":true}');
  const outcome = (mode: string, body: Buffer, lines = [`Content-Length: ${body.length}`]) => {
    const gate = { policy: policyOf('role: Viewer', mode), metrics: createMetrics(), limitedLog: limitLog(quietLog) };
    const head = headOf(lines, 'POST /api/block_documents/filter HTTP/1.1');
    const target = canonicalPath(head.target);
    const operation = findOperation('POST', '/api/block_documents/filter');
    const one: Judged = { head, target, operation, apiPath: '/api', start: '', judgement: null };
    judgeReading(one, gate, WHO);
    const inspect = inspectorFor(one, gate, WHO, {
      refuse: (why) => ({
        kind: 'answer',
        status: why.status,
        detail: why.detail,
        extra: '',
        close: false,
        recorded: null,
      }),
      send: (sent) => ({ kind: 'send', head: { bytes: Buffer.alloc(0), held: false }, body: sent }),
    });
    const said = inspect === null ? null : inspect(body);
    if (said instanceof Promise) throw new Error('nobody is asked');
    return [
      said === null ? null : said.kind === 'send' ? said.body.toString() : said.status,
      gate.metrics.forbidden,
      gate.metrics.wouldRefuse,
    ];
  };

  test('is answered by no, or refused where it has not one reading', () => {
    expect(outcome('', asked)).toEqual(['{"include_secrets":false}', 0, 0]);
    expect(outcome('', Buffer.from('{'))).toEqual([400, 1, 0]);
  });

  test('goes on as it came where nothing is refused, only counted', () => {
    expect(outcome('mode: observe\n', asked)).toEqual([asked.toString(), 0, 0]);
    expect(outcome('mode: observe\n', Buffer.from('{'))).toEqual(['{', 0, 1]);
  });

  test('is no matter where there is none', () => {
    expect(outcome('', Buffer.alloc(0), [])).toEqual([null, 0, 0]);
  });
});
