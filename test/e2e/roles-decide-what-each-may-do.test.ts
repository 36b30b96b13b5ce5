// Roles before a real Prefect: each with Prefect's own client and commands, and every operation by every role.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { roleMatrix } from '../../src/policy/matrix.ts';
import { BUILT_IN_ROLES } from '../../src/policy/permissions.ts';
import { eventResources, fetchAvailable, post } from './harness/api.ts';
import type { House, Serving } from './harness/house.ts';
import { clientEnvironment, driver, prefectPrograms } from './harness/prefect.ts';
import { finish, start } from './harness/processes.ts';
import { folder, house, sharedPrefect } from './harness/scenario.ts';

const ROLES = Object.keys(BUILT_IN_ROLES);
const BINDINGS = ROLES.map((role) => `  - {role: ${role}, identity: user/${role.toLowerCase()}}`);
const POLICY = ['createdBy: identity', 'bindings:', ...BINDINGS, '  - {role: Worker, match: worker/.*}', ''].join('\n');

let home: House;
let gate: Serving;
let temporary: string;
let programs: string;
let policyFile: string;
/** A sidecar of each role, and of one that has none. */
const urls = new Map<string, string>();

beforeAll(async () => {
  [home, temporary, programs] = await Promise.all([house(), folder(), prefectPrograms()]);
  policyFile = join(home.dir, 'policy.yaml');
  await writeFile(policyFile, POLICY);
  gate = await home.serve({ upstream: sharedPrefect(), flags: ['--policy', policyFile] });
  for (const name of [...ROLES.map((role) => role.toLowerCase()), 'nobody']) {
    urls.set(name, (await home.connect(gate, await home.issue(`user/${name}`))).url);
  }
}, 300_000);

const url = (name: string): string => urls.get(name) ?? '';

async function prefect(name: string, ...args: string[]) {
  const env = clientEnvironment(url(name), join(temporary, name), { COLUMNS: '200' });
  const { code, stdout, stderr } = await finish(join(programs, 'prefect'), args, { env, boundMs: 120_000 });
  return { code, said: stdout + stderr };
}

async function records(): Promise<ReadonlyArray<Readonly<Record<string, unknown>>>> {
  const text = await readFile(join(home.dir, 'state/audit.jsonl'), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test('the Worker role is enough for a worker and the flow runs that it starts; a Developer deploys, a Runner runs, a Viewer sees', async () => {
  // Before the worker, whose role makes no pool: one that finds none asks to make it, is refused, and ends.
  const pool = await prefect('developer', 'work-pool', 'create', 'by-roles', '--type', 'process');
  expect(pool, pool.said).toMatchObject({ code: 0 });
  const worker = await home.issue('worker/etl-1');
  const working = start(
    ...home.run(gate, worker, [
      join(programs, 'prefect'),
      'worker',
      'start',
      '--pool',
      'by-roles',
      '--type',
      'process',
    ]),
    { env: clientEnvironment(null, join(temporary, 'etl-1'), { PREFECT_WORKER_QUERY_SECONDS: '1' }) },
  );
  const deployed = await finish(join(programs, 'python'), [driver('deploy_and_run'), 'by-roles'], {
    env: clientEnvironment(url('developer'), join(temporary, 'developer')),
    boundMs: 280_000,
  });
  expect(deployed, `${deployed.stderr}\n${working.stderr()}`).toMatchObject({ code: 0 });
  const run = JSON.parse(deployed.stdout.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown[]>;
  expect([run['state'], run['tasks']?.length, run['events']?.length]).toEqual(['Completed', 3, 3]);
  expect(run['createdBy']).toBe('user/developer');
  const asked = gate.log().filter((line) => line['identity'] === 'worker/etl-1' && line.msg === 'request');
  expect(asked.filter((line) => line['decision'] !== 'permit')).toEqual([]);
  // WebSockets that are open yet are on record, but not in the log.
  const all = [...asked, ...(await records()).filter((one) => one['identity'] === 'worker/etl-1')];
  const used = [...new Set(all.map((line) => String(line['operation'])))].toSorted();
  process.stderr.write(`operations of the worker and its flow run: ${used.join(' ')}\n`);
  expect(used).toEqual(expect.arrayContaining(['worker_channel_connect', 'stream_events_in', 'set_flow_run_state']));

  const [ran, makes, sees, starts] = await Promise.all([
    prefect('runner', 'deployment', 'run', 'work/by-roles', '--watch'),
    prefect('runner', 'work-pool', 'create', 'of-runner', '--type', 'process'),
    prefect('viewer', 'flow-run', 'ls'),
    prefect('viewer', 'deployment', 'run', 'work/by-roles'),
  ]);
  expect(ran, ran.said).toMatchObject({ code: 0 });
  expect(makes.code).not.toBe(0);
  expect(makes.said.replaceAll(/\s+/g, ' ')).toContain('it lacks write_work_pools');
  expect(sees, sees.said).toMatchObject({ code: 0, said: expect.stringContaining('work') as string });
  expect(starts.code).not.toBe(0);
  expect(starts.said.replaceAll(/\s+/g, ' ')).toContain('it lacks run_deployments');
  await working.stop('SIGTERM');

  const did = await records();
  const makesFlowRun = did.filter((one) => one['operation'] === 'create_flow_run_from_deployment');
  expect(makesFlowRun.map((one) => [one['identity'], one['decision'], one['role'], one['code']])).toEqual(
    expect.arrayContaining([
      ['user/developer', 'permit', 'Developer', null],
      ['user/runner', 'permit', 'Runner', null],
      ['user/viewer', 'refuse', null, 'CG_PERMISSION'],
    ]),
  );
}, 480_000);

test('who has no role gets nothing but a clear 403, and Prefect’s command shows it', async () => {
  const answer = await fetch(`${url('nobody')}/api/health`);
  expect([answer.status, await answer.json()]).toEqual([
    403,
    {
      detail:
        'certgate: user/nobody has no role, so it may not do health_check; to permit it, add to bindings in the policy: - {role: Viewer, identity: user/nobody}',
    },
  ]);
  const { code, said } = await prefect('nobody', 'flow-run', 'ls');
  expect(code).not.toBe(0);
  expect(said.replaceAll(/\s+/g, ' ')).toContain('user/nobody has no role');
}, 300_000);

test('a Runner starts a deployment with the job variables that it has, as the UI’s form sends them, and has Prefect make no queue', async () => {
  const by = async (name: string, path: string, body: object) => {
    const headers = { 'content-type': 'application/json' };
    const request = () => ({ method: 'POST', headers, body: JSON.stringify(body) });
    const answer = await fetchAvailable(`${url(name)}/api${path}`, request);
    return { status: answer.status, body: (await answer.json()) as Readonly<Record<string, unknown>> };
  };
  expect(await by('owner', '/work_pools/', { name: 'form', type: 'process' })).toMatchObject({ status: 201 });
  const flow = await by('owner', '/flows/', { name: 'form' });
  const own = { env: { A: '1', B: '2' } };
  const names = { name: 'form', flow_id: flow.body['id'], work_pool_name: 'form', work_queue_name: 'default' };
  const deployment = await by('owner', '/deployments/', { ...names, job_variables: own });
  expect(deployment, JSON.stringify(deployment)).toMatchObject({ status: 201 });
  const run = `/deployments/${String(deployment.body['id'])}/create_flow_run`;
  const form = { work_queue_name: 'default', job_variables: { env: { B: '2', A: '1' } }, parameters: {} };
  expect(await by('runner', run, form)).toMatchObject({ status: 201 });
  expect(await by('runner', run, { job_variables: { env: { A: '2' } } })).toMatchObject({
    status: 403,
    body: { detail: expect.stringContaining('with job_variables: it lacks run_flows') as string },
  });
  const queues = async () =>
    (await post<Array<{ name: string }>>(sharedPrefect(), '/work_pools/form/queues/filter', {})).map((one) => one.name);
  for (const name of ['runner', 'worker']) {
    expect(await by(name, run, { work_queue_name: 'urgent' })).toMatchObject({
      status: 403,
      body: { detail: expect.stringContaining('with a new work_queue_name: it lacks write_work_queues') as string },
    });
  }
  expect(await queues()).toEqual(['default']);
  expect(await by('developer', run, { work_queue_name: 'urgent' })).toMatchObject({ status: 201 });
  expect((await queues()).toSorted()).toEqual(['default', 'urgent']);
  expect(await by('runner', run, { work_queue_name: 'urgent' })).toMatchObject({ status: 201 });
}, 300_000);

/** A page as Prefect names it (its to_page_token), of events that a Worker may see: another one is refused to it. */
function pageOfEvents(): string {
  const event = { exclude_prefix: ['created', 'updated', 'deleted'].map((what) => `prefect.automation.${what}`) };
  const page = { filter: { event }, count: 2, page_size: 1, offset: 1 };
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  return encodeURIComponent(base64(base64(JSON.stringify(page))));
}

test('every operation is let through to Prefect for exactly the roles that may do it', async () => {
  const id = '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
  const wrong: string[] = [];
  let asked = 0;
  // What a request without its values does at most is to say what is missing; the two that need none are left out.
  const rows = roleMatrix().filter(
    ({ method, name }) => method !== 'WS' && name !== 'clear_server_default_result_storage' && name !== 'metrics',
  );
  for (const { method, path, name, may } of rows) {
    const plain = path.replaceAll(/\{(?:id|schedule_id)\}/g, id).replaceAll(/\{\w+\}/g, 'no-such');
    const target = name === 'read_account_events_page' ? `${plain}?page-token=${pageOfEvents()}` : plain;
    await Promise.all(
      ROLES.map(async (role) => {
        const answer = await fetchAvailable(url(role.toLowerCase()) + target, () => ({
          method,
          redirect: 'manual',
          ...(method === 'GET' ? {} : { headers: { 'content-type': 'application/json' }, body: '{"limit": "none"}' }),
        }));
        const refused = answer.status === 403 && (await answer.text()).includes('certgate: ');
        asked++;
        if (refused === may.some((one) => one === role)) wrong.push(`${role} ${method} ${path}: ${answer.status}`);
      }),
    );
  }
  process.stderr.write(`${asked} requests: ${rows.length} operations by ${ROLES.length} roles\n`);
  expect(wrong).toEqual([]);
}, 300_000);

test('a policy that only observes lets a Viewer write and counts it; another holds at the next request', async () => {
  const flow = async (name: string) =>
    await fetch(`${url('viewer')}/api/flows/`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name }),
    });
  expect((await flow('observed')).status).toBe(403);
  await writeFile(policyFile, `mode: observe\n${POLICY}`);
  gate.running.signal('SIGHUP');
  await gate.logged((line) => line.msg === 'new policy taken' && line['mode'] === 'observe');
  expect((await flow('observed')).status).toBe(201);
  expect(await gate.logged((line) => line.msg === 'observed: would be refused')).toMatchObject({
    identity: 'user/viewer',
    operation: 'create_flow',
    code: 'CG_PERMISSION',
  });
  const health = JSON.parse((await home.certgate(['health', '--json', '--config', home.config])).stdout) as {
    metrics: Record<string, number>;
  };
  expect(health.metrics).toMatchObject({ wouldRefuse: 1, policyReloads: 1 });
  expect(
    await post<unknown[]>(sharedPrefect(), '/flows/filter', { flows: { name: { any_: ['observed'] } } }),
  ).toHaveLength(1);

  // By the file alone, without a signal.
  await writeFile(policyFile, POLICY);
  await gate.logged((line) => line.msg === 'new policy taken' && line['mode'] === 'enforce');
  expect((await flow('enforced')).status).toBe(403);
}, 300_000);

test('events that Prefect’s client may not send for some seconds are not lost: its WebSocket is closed, not refused', async () => {
  const identity = await home.issue('service/events');
  const { url: base } = await home.connect(gate, identity);
  const become = async (role: string, marker: string): Promise<void> => {
    // A test of the policy's own makes each of them another in the log.
    const own = `  - {identity: user/${marker}, operation: hello, expect: deny}\n`;
    await writeFile(
      policyFile,
      `${POLICY}  - {role: ${role}, identity: service/events}\ntests:\n${own.repeat(marker.length)}`,
    );
    gate.running.signal('SIGHUP');
    await gate.logged((line) => line.msg === 'new policy taken' && line['tests'] === marker.length);
  };
  await become('Worker', 'may');
  const away = join(temporary, 'refused');
  const client = start(join(programs, 'python'), [driver('emit_while_away'), 'refused', away], {
    env: clientEnvironment(base, join(temporary, 'events')),
  });
  await client.line((line) => line === 'ready');
  await become('Viewer', 'may-not');
  await gate.logged((line) => line.msg === 'websockets that the policy permits no more cut');
  await writeFile(away, '');
  await client.line((line) => line === 'reconnecting 3');
  await become('Worker', 'may-again');

  expect((await client.exited).code, client.stderr()).toBe(0);
  expect(JSON.parse(client.stdout().trimEnd().split('\n').at(-1) ?? '')).toEqual({ emitted: 10, unconfirmed: 0 });
  const all = Array.from({ length: 10 }, (_, i) => `certgate.test.${i}`);
  expect(await eventResources(sharedPrefect(), 'certgate.test.refused', 10)).toEqual(all);
  expect((await records()).some((one) => one['operation'] === 'stream_events_in' && one['decision'] === 'refuse')).toBe(
    true,
  );
}, 300_000);
