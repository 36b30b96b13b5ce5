// Scopes where they hold: what a request names is looked up, filters are narrowed, and a role may only observe.

import { describe, expect, it } from 'vitest';
import type { RawPeer } from '../proxy/plain-proxy.ts';
import { ask, OTHER, OWN, SCOPED, scopedGate } from './scoped-gate.ts';

const { upstream, start, become } = scopedGate();

const read = (id: string) => `GET /api/flow_runs/${id}`;

describe('a thing that is named by its id', () => {
  it('is looked up once for all who ask at a time, then kept, and refused in another pool', async () => {
    const gate = await start();
    const peers = await Promise.all([gate.connect(), gate.connect(), gate.connect()]);
    expect(await Promise.all(peers.map(async (peer) => await ask(peer, read(OWN))))).toEqual([
      '200 ok',
      '200 ok',
      '200 ok',
    ]);
    const [peer] = peers;
    expect(await ask(peer, `POST /api/flow_runs/${OWN}/set_state`, '{ "state":{"type":"RUNNING"} , "x":1.00}')).toBe(
      '200 ok',
    );
    expect(upstream.bodies.at(-1)).toBe('{ "state":{"type":"RUNNING"} , "x":1.00}');
    expect(upstream.questions).toEqual([`GET /api/flow_runs/${OWN}`]);
    expect(await ask(peer, read(OTHER))).toBe(
      '403 {"detail":"certgate: worker/etl-1 (Worker) may do read_flow_run only within the pool etl (bound at policy.yaml:2:5), and it is about a flow run that is not; to permit it everywhere, add to bindings in the policy: - {role: Worker, identity: worker/etl-1}"}',
    );
    expect(upstream.reached).not.toContain(`GET /api/flow_runs/${OTHER}`);
    expect(gate.records().at(-1)).toMatchObject({ code: 'CG_SCOPE', decision: 'refuse', status: 403 });
    expect((await gate.health()).metrics).toMatchObject({ forbidden: 1 });
  });

  it('is looked up again after a write by way of the gate', async () => {
    const gate = await start();
    const peer = await gate.connect();
    expect(await ask(peer, read(OWN))).toBe('200 ok');
    expect(await ask(peer, `PATCH /api/flow_runs/${OWN}`, '{"name":"x"}')).toBe('200 ok');
    upstream.pools[OWN] = 'ml';
    expect(await ask(peer, read(OWN))).toMatch(/^403 /u);
    expect(upstream.questions).toHaveLength(2);
  });

  it('is let through when there is none: that is Prefect’s to say', async () => {
    const gate = await start();
    const peer = await gate.connect();
    expect(await ask(peer, read('2f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f'))).toBe('200 ok');
    expect(await ask(peer, read('2f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f'))).toBe('200 ok');
    expect(upstream.questions).toHaveLength(2);
  });

  it('is refused for now, never allowed, while Prefect does not say whose it is', async () => {
    const gate = await start();
    upstream.failing = true;
    const peer = await gate.connect();
    expect(await ask(peer, read(OWN))).toMatch(/^503 /u);
    expect(peer.received()).toMatch(/retry-after: 2\r\nprefect-maintenance: true/u);
    expect(gate.records().at(-1)).toMatchObject({ code: 'CG_SCOPE_UNKNOWN', status: 503 });
    upstream.failing = false;
    expect(await ask(peer, read(OWN))).toBe('200 ok');
  });

  it('is asked for again while Prefect is busy, as Prefect’s own client does, and not for ever', async () => {
    const gate = await start();
    const peer = await gate.connect();
    upstream.busy = 3;
    expect(await ask(peer, read(OWN))).toBe('200 ok');
    expect(upstream.questions).toHaveLength(4);
    upstream.busy = 100;
    expect(await ask(peer, read(OTHER))).toMatch(/^503 /u);
    expect(upstream.questions).toHaveLength(8);
  });

  it('holds its own connection up and nobody else’s, and leaves nothing behind when its client leaves', async () => {
    const gate = await start();
    let go = (): void => {};
    upstream.holding = new Promise((resolve) => {
      go = resolve;
    });
    const [waits, other, leaves] = [await gate.connect(), await gate.connect(), await gate.connect()];
    // Two requests at once: the second is not read before the first is decided.
    waits.send(`${read(OWN)} HTTP/1.1\r\nHost: localhost\r\n\r\nGET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    leaves.send(`${read(OWN)} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    expect(await ask(other, 'GET /api/version')).toBe('200 ok');
    expect(upstream.reached).toEqual(['GET /api/version']);
    leaves.socket.destroy();
    go();
    await waits.until(/ok[\s\S]*ok/u);
    while ((await gate.health()).metrics.connections > 2) await new Promise((resolve) => setTimeout(resolve, 5));
    const own = upstream.reached.filter((one) => one === `GET /api/flow_runs/${OWN}`);
    expect([upstream.reached.at(-1), upstream.questions.length]).toEqual(['GET /api/health', 1]);
    expect(own.length).toBeGreaterThan(0);
  });
});

describe('a filter', () => {
  it('is narrowed, and its body framed anew', async () => {
    const gate = await start();
    const peer = await gate.connect();
    expect(await ask(peer, 'POST /api/flow_runs/filter', '{"limit": 3}')).toBe('200 ok');
    expect(upstream.bodies).toEqual(['{"limit":3,"work_pools":{"name":{"any_":["etl"]}}}']);
    expect(upstream.questions).toEqual([]);
  });

  it.each([
    ['400', '{"a":1,"a":2}', ''],
    ['415', '{}', 'content-encoding: gzip\r\n'],
    ['415', '{}', 'content-type: application/json; charset=latin1\r\n'],
    // Prefect takes nothing of these, and answers with everything.
    ['415', '{}', 'content-type: text/plain\r\n'],
    ['415', '{}', 'content-type:\r\n'],
    ['415', '{}', 'content-type: application/jsonx\r\n'],
    ['415', '{}', 'content-type: application/json, text/plain\r\n'],
    ['415', '{}', 'content-type: application/x-www-form-urlencoded\r\n'],
    ['415', '{}', 'content-type: text/plain\r\ncontent-type: application/json\r\n'],
    ['413', '', 'content-length: 1048577\r\n'],
    ['411', '', 'transfer-encoding: chunked\r\n'],
    ['400', '', 'content-length: 0\r\n'],
  ])('that cannot be read in one way is refused with %s: %s %s', async (status, body, lines) => {
    const gate = await start();
    expect(await ask(await gate.connect(), 'POST /api/flow_runs/filter', body, lines)).toMatch(
      new RegExp(`^${status} `, 'u'),
    );
    expect(gate.records().at(-1)).toMatchObject({ code: 'CG_REQUEST_BODY', status: Number(status) });
    expect(upstream.reached).toEqual([]);
  });

  it.each([
    ['', 'application/json'],
    ['content-type: application/json\r\n', 'application/json'],
    ['content-type: Application/JSON;charset="UTF-8"\r\n', 'Application/JSON;charset="UTF-8"'],
  ])('goes on as the JSON that it was read as: %j', async (line, type) => {
    const gate = await start();
    const peer = await gate.connect();
    for (const body of ['{}', '{"limit":1}', '{"work_pools":{"name":{"any_":["etl"]}}}']) {
      expect(await ask(peer, 'POST /api/flow_runs/filter', body, line)).toBe('200 ok');
    }
    expect(upstream.types).toEqual([type, type, type]);
  });

  it('is one of as many as there is room for, of one identity: the next has to wait, and is let in when one has left', async () => {
    const gate = await start();
    const begun = 'POST /api/logs/ HTTP/1.1\r\nHost: localhost\r\ncontent-length: 6291456\r\n\r\n[';
    const waiting: RawPeer[] = [];
    for (let i = 0; i < 10; i++) waiting.push(await gate.connect());
    for (const peer of waiting) peer.send(begun);
    while ((await gate.health()).metrics.requests < 10) await new Promise((resolve) => setTimeout(resolve, 5));
    const late = await gate.connect();
    late.send(begun);
    expect(await late.until(/\r\n\r\n[\s\S]+/u)).toMatch(
      /^HTTP\/1\.1 429 [\s\S]*prefect-maintenance: true[\s\S]*as much of them is held/u,
    );
    expect(gate.records().at(-1)).toMatchObject({ code: 'CG_LIMIT_REQUESTS', status: 429 });
    // Others, and what is not held, are not concerned.
    expect(await ask(await gate.connect(), 'GET /api/version')).toBe('200 ok');
    waiting[0]?.socket.destroy();
    while ((await gate.health()).metrics.connections > 11) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await ask(await gate.connect(), 'POST /api/flow_runs/filter', '{}')).toBe('200 ok');
    for (const peer of [...waiting, late]) peer.socket.destroy();
  });

  it('is left alone without a scope', async () => {
    const gate = await start('bindings: [{role: Worker, identity: worker/etl-1}]\n');
    const peer = await gate.connect();
    expect(await ask(peer, 'POST /api/flow_runs/filter', '{"a":1,"a":2}')).toBe('200 ok');
    expect(await ask(peer, read(OTHER))).toBe('200 ok');
    expect([upstream.bodies[0], upstream.questions]).toEqual(['{"a":1,"a":2}', []]);
  });
});

describe('concurrency limits', () => {
  const list = 'POST /api/v2/concurrency_limits/filter';
  const limit = (name: string) => ({ name, limit: 1, active_slots: 1 });

  it('are listed without those of deployments, under whose ids they stand', async () => {
    const gate = await start();
    const peer = await gate.connect();
    upstream.limits = JSON.stringify([limit(`deployment:${OWN}`), limit(`deployment:${OTHER}`), limit('db')]);
    expect(await ask(peer, list, '{}', 'accept-encoding: gzip\r\n')).toBe(`200 ${JSON.stringify([limit('db')])}`);
    upstream.limits = JSON.stringify([{ tag: 't', active_slots: [OTHER] }]);
    expect(await ask(peer, 'POST /api/concurrency_limits/filter', '{}')).not.toContain(OTHER);
    upstream.limits = '{';
    expect(await ask(peer, 'GET /api/concurrency_limits/tag/t')).toMatch(
      /^502 .*may hold what worker\/etl-1 may not see/u,
    );
    become(gate, 'bindings: [{role: Worker, identity: worker/etl-1}]\n');
    expect(await ask(peer, list, '{}')).toBe('200 {');
  });

  it('are read one by one where they are shared, or of a deployment that is within', async () => {
    const gate = await start();
    const peer = await gate.connect();
    const one = (name: string) => `GET /api/v2/concurrency_limits/${name}`;
    Object.assign(upstream.pools, { db: 'x', [`deployment%3A${OWN}`]: 'x', [`deployment%3A${OTHER}`]: 'x' });
    expect(await ask(peer, one('db'))).toBe('200 ok');
    expect(await ask(peer, one(`deployment:${OWN}`))).toBe('200 ok');
    expect(await ask(peer, one(`deployment:${OTHER}`))).toMatch(/^403 .*is about a concurrency limit that is not/u);
    expect(upstream.reached).toHaveLength(2);
  });
});

describe('who may start deployments and no other flow', () => {
  const run = `POST /api/deployments/${OWN}/create_flow_run`;
  const OVERRIDE = '{"job_variables":{"command":"id"}}';

  it.each([
    ['everywhere', '{role: Runner, identity: worker/etl-1}'],
    ['within a scope', '{role: Runner, identity: worker/etl-1, pools: [etl]}'],
  ])('starts them as they are, and does not say what a worker runs, %s', async (_where, binding) => {
    const gate = await start(`bindings: [${binding}]\n`);
    const peer = await gate.connect();
    expect(await ask(peer, run, '{ "parameters":{"a":1.0}, "job_variables":{} }')).toBe('200 ok');
    expect(upstream.bodies).toEqual(['{ "parameters":{"a":1.0}, "job_variables":{} }']);
    expect(await ask(peer, run, OVERRIDE)).toBe(
      '403 {"detail":"certgate: worker/etl-1 (Runner) may not do create_flow_run_from_deployment with job_variables: it lacks run_flows; to permit it, add to bindings in the policy: - {role: Worker, identity: worker/etl-1}"}',
    );
    expect(gate.records().at(-1)).toMatchObject({ code: 'CG_PERMISSION', decision: 'refuse', status: 403 });
    expect(await ask(peer, `${run}/bulk`, `[{},${OVERRIDE}]`)).toMatch(/^403 /u);
    expect(await ask(peer, run, '{"job_variables":{},"job_variables":{"command":"id"}}')).toMatch(/^400 /u);
    expect(await ask(peer, run, '', 'transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n')).toMatch(/^411 /u);
    expect(upstream.reached).toEqual([run]);
    expect((await gate.health()).metrics).toMatchObject({ forbidden: 2 });
  });

  it('sends along what the deployment has, as the form of the UI does', async () => {
    const gate = await start('bindings: [{role: Runner, identity: worker/etl-1}]\n');
    const peer = await gate.connect();
    const same = '{"job_variables":{"env":{"B":[1,null],"A":"1"},"image":"a"},"work_queue_name":null}';
    expect(await ask(peer, run, same)).toBe('200 ok');
    for (const other of ['{"image":"a"}', '{"image":"a","env":{"A":"1","B":[1]}}', '[]', '{"image":"b"}']) {
      expect(await ask(peer, run, `{"job_variables":${other}}`)).toMatch(
        /^403 .*with job_variables: it lacks run_flows/u,
      );
    }
    expect([upstream.bodies, new Set(upstream.questions)]).toEqual([[same], new Set([`GET /api/deployments/${OWN}`])]);
    upstream.failing = true;
    expect(await ask(peer, run, same)).toMatch(/^503 /u);
  });

  it('has no value of a variable put in without see_variables', async () => {
    const gate = await start(
      'roles: {x: {extends: [Developer], deny: [see_variables]}}\nbindings: [{role: x, identity: worker/etl-1}]\n',
    );
    const peer = await gate.connect();
    const variable = '{"parameters":{"x":{"__prefect_kind":"workspace_variable","variable_name":"v"}}}';
    for (const told of [run, `PATCH /api/deployments/${OWN}`, `POST /api/flow_runs/${OWN}/resume`]) {
      expect(await ask(peer, told, variable)).toMatch(/^403 .*with a variable: .*see_variables/u);
    }
    expect(await ask(peer, run, '{"parameters":{"x":1}}')).toBe('200 ok');
    expect(upstream.reached).toEqual([run]);
  });

  it('says back nothing of a deployment that is not within, however well it guesses', async () => {
    const gate = await start('bindings: [{role: Runner, identity: worker/etl-1, pools: [etl]}]\n');
    const peer = await gate.connect();
    upstream.pools['there'] = 'ml';
    const right = '{"job_variables":{"env":{"B":[1,null],"A":"1"},"image":"a"}}';
    const guesses = [right, OVERRIDE, '{"work_queue_name":"there"}', '{"work_queue_name":"gone"}', '{}'];
    const said = new Set<string>();
    for (const guess of guesses) said.add(await ask(peer, run.replace(OWN, OTHER), guess));
    expect([...said]).toEqual([expect.stringContaining('it is about a deployment that is not')]);
    become(gate, 'bindings: [{role: Developer, identity: worker/etl-1, pools: [etl]}]\n');
    const made = new Set<string>();
    for (const queue of ['there', 'gone']) {
      const body = { name: 'd', flow_id: OWN, work_pool_name: 'ml', work_queue_name: queue };
      made.add(await ask(peer, 'POST /api/deployments/', JSON.stringify(body)));
    }
    expect([...made]).toEqual([expect.stringContaining('is for another pool')]);
    expect(upstream.questions.filter((one) => one.includes('queues'))).toEqual([]);
    expect(upstream.reached).toEqual([]);
  });

  it('says it nowhere but where they may start any flow', async () => {
    const gate = await start(`${SCOPED}  - {role: Runner, identity: worker/etl-1}\n`);
    const peer = await gate.connect();
    expect(await ask(peer, run.replace(OWN, OTHER), '{}')).toBe('200 ok');
    expect(await ask(peer, run.replace(OWN, OTHER), OVERRIDE)).toMatch(/^403 /u);
  });

  it('says it when they may start any flow, and when they only are observed', async () => {
    const gate = await start('bindings: [{role: Worker, identity: worker/etl-1}]\n');
    const peer = await gate.connect();
    expect(await ask(peer, run, OVERRIDE)).toBe('200 ok');
    become(gate, 'mode: observe\nbindings: [{role: Runner, identity: worker/etl-1}]\n');
    expect(await ask(peer, run, OVERRIDE)).toBe('200 ok');
    expect((await gate.health()).metrics).toMatchObject({ wouldRefuse: 1, forbidden: 0 });
  });
});

describe('a work queue that is not there, which Prefect would make,', () => {
  const run = `POST /api/deployments/${OWN}/create_flow_run`;
  const patch = `PATCH /api/deployments/${OWN}`;
  const DEPLOYER = 'roles: {deployer: {extends: Runner, permissions: [write_deployments]}}\n';

  it('is not named by who may make none; one that is there is', async () => {
    const gate = await start(`${DEPLOYER}bindings: [{role: [deployer, Worker], identity: worker/etl-1}]\n`);
    const peer = await gate.connect();
    upstream.pools['there'] = 'etl';
    expect(await ask(peer, run, '{"work_queue_name":"there"}')).toBe('200 ok');
    expect(await ask(peer, run, '{"work_queue_name":"gone"}')).toBe(
      '403 {"detail":"certgate: worker/etl-1 (deployer, Worker) may not do create_flow_run_from_deployment with a new work_queue_name: it lacks write_work_queues; to permit it, add to bindings in the policy: - {role: Developer, identity: worker/etl-1}"}',
    );
    expect(await ask(peer, `${run}/bulk`, '[{},{"work_queue_name":"gone"}]')).toMatch(/^403 /u);
    expect(await ask(peer, patch, '{"work_pool_name":"ml","work_queue_name":"there"}')).toBe('200 ok');
    expect(await ask(peer, patch, '{"work_queue_name":"gone"}')).toMatch(/^403 /u);
    expect(await ask(peer, patch, '{"paused":true}')).toBe('200 ok');
    expect(await ask(peer, 'POST /api/deployments/', '{"work_pool_name":"a/b?","work_queue_name":"gone"}')).toMatch(
      /^403 /u,
    );
    const seventeen = JSON.stringify(Array.from({ length: 17 }, (_, i) => ({ work_queue_name: `q${i}` })));
    expect(await ask(peer, `${run}/bulk`, seventeen)).toMatch(/^400 .*names more than 16 work queues/u);
    expect(upstream.questions.filter((one) => one.includes('queues'))).toEqual([
      'GET /api/work_pools/etl/queues/there',
      'GET /api/work_pools/etl/queues/gone',
      'GET /api/work_pools/etl/queues/gone',
      'GET /api/work_pools/ml/queues/there',
      'GET /api/work_pools/default-agent-pool/queues/gone',
      'GET /api/work_pools/a%2Fb%3F/queues/gone',
    ]);
    expect(gate.records().at(-2)).toMatchObject({ code: 'CG_PERMISSION', decision: 'refuse' });
  });

  it('is by who may make them, and nobody is asked', async () => {
    const gate = await start('bindings: [{role: Developer, identity: worker/etl-1}]\n');
    const peer = await gate.connect();
    expect(await ask(peer, run, '{"work_queue_name":"gone"}')).toBe('200 ok');
    expect(upstream.questions).toEqual([]);
  });

  it('is made within a pool, and within a tag by nobody: pools carry none', async () => {
    const gate = await start('bindings: [{role: Developer, identity: worker/etl-1, tag: team-a}]\n');
    upstream.pools['there'] = 'x';
    const peer = await gate.connect();
    const body = (queue: string) =>
      JSON.stringify({ name: 'd', flow_id: OWN, work_pool_name: 'ml', work_queue_name: queue, tags: ['team-a'] });
    expect(await ask(peer, 'POST /api/deployments/', body('gone'))).toBe(
      '403 {"detail":"certgate: worker/etl-1 (Developer) may do create_deployment only within the tag team-a (bound at policy.yaml:1:12), and it says a new work_queue_name, and its write_work_queues does not reach there; to permit it everywhere, add to bindings in the policy: - {role: Developer, identity: worker/etl-1}"}',
    );
    expect(gate.records().at(-1)).toMatchObject({ code: 'CG_SCOPE', operation: 'create_deployment' });
    expect(upstream.reached).toEqual([]);
    become(gate, 'bindings: [{role: Developer, identity: worker/etl-1, pools: [etl]}]\n');
    expect(await ask(peer, run, '{"work_queue_name":"gone"}')).toBe('200 ok');
    become(
      gate,
      'roles: {queues: {permissions: [write_work_queues]}}\nbindings: [{role: Developer, identity: worker/etl-1, tag: team-a}, {role: queues, identity: worker/etl-1}]\n',
    );
    expect(await ask(peer, 'PATCH /api/deployments/2f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f', body('gone'))).toBe('200 ok');
  });
});

describe('a group of the certificate', () => {
  it('has a role, with its scope, whoever is in it; one that the certificate does not name has none', async () => {
    const gate = await start('bindings: [{role: Worker, group: Data, pools: [etl]}, {role: Owner, group: Admins}]\n');
    const peer = await gate.connect();
    expect(await ask(peer, read(OWN))).toBe('200 ok');
    expect(await ask(peer, read(OTHER))).toMatch(/^403 .*only within the pool etl/u);
    expect(await ask(peer, 'DELETE /api/variables/name/x')).toContain('it lacks manage_variables');
    become(gate, 'bindings: [{role: Worker, group: data}]\n');
    expect(await ask(peer, read(OWN))).toContain('has no role');
  });
});

describe('what else the certificate says', () => {
  it('has a role, and another policy holds at the next request', async () => {
    const gate = await start(
      "bindings: [{role: Viewer, certificate: {OU: 'Da.a', URI: 'spiffe://[^/]+/worker/.*'}}]\n",
    );
    const peer = await gate.connect();
    expect(await ask(peer, read(OTHER))).toBe('200 ok');
    expect(await ask(peer, 'DELETE /api/variables/name/x')).toContain('(Viewer) may not do');
    become(gate, 'bindings: [{role: Viewer, certificate: {OU: Data, O: Data}}]\n');
    expect(await ask(peer, read(OWN))).toContain('has no role');
    become(gate, "bindings: [{role: Viewer, certificate: {issuer: '[0-9a-f]{40}'}}]\n");
    expect(await ask(peer, read(OWN))).toBe('200 ok');
  });
});

describe('a role that only observes', () => {
  it('lets all pass as it is, and counts what would be refused', async () => {
    const gate = await start(
      'roles: {trial: {extends: [Worker], mode: observe}}\nbindings: [{role: trial, identity: worker/etl-1, pools: [etl]}]\n',
    );
    const peer = await gate.connect();
    expect(await ask(peer, read(OTHER))).toBe('200 ok');
    expect(await ask(peer, 'PATCH /api/work_pools/ml', '{}')).toBe('200 ok');
    expect(await ask(peer, 'GET /api/new')).toBe('200 ok');
    expect(await ask(peer, 'POST /api/flow_runs/filter', '{"limit": 3}')).toBe('200 ok');
    expect(upstream.bodies.at(-1)).toBe('{"limit": 3}');
    // What could not be held is streamed, and is on record.
    expect(
      await ask(peer, `PATCH /api/flow_runs/${OWN}`, '', 'transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n'),
    ).toBe('200 ok');
    expect(gate.records().at(-1)).toMatchObject({ operation: 'update_flow_run', decision: 'permit', role: 'trial' });
    expect((await gate.health()).metrics).toMatchObject({ wouldRefuse: 4, forbidden: 0, refused: 0 });
    expect(gate.records().findLast((one) => one['operation'] === 'update_work_pool')).toMatchObject({
      decision: 'permit',
      rule: 'observe: CG_PERMISSION',
    });
  });
});
