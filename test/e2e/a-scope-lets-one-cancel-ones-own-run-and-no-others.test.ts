// Cancelling under scopes, with real workers that have a run each: who is bound to another pool, or has another team's tag,
// can't end it; who is bound to its pool, or has its tag, can, and its worker ends the process.

import { beforeAll, expect, test } from 'vitest';
import { logMessages } from './harness/api.ts';
import { eventually } from './harness/eventually.ts';
import { sharedPrefect } from './harness/scenario.ts';
import { type Client, openTenants, type Pool, TEAMS, type Tenants } from './harness/tenants.ts';

let tenants: Tenants;
const runs = new Map<Pool, string>();
const runOf = (pool: Pool): string => runs.get(pool) ?? '';

async function stateOf(pool: Pool): Promise<string> {
  const { state_type: state } = await tenants.json<{ state_type: string }>(
    'user/root',
    'GET',
    `/flow_runs/${runOf(pool)}`,
  );
  return state;
}

async function becomes(pool: Pool, wanted: string): Promise<string> {
  return await eventually(
    `the run of ${pool} is ${wanted}`,
    async () => {
      const state = await stateOf(pool);
      return state === wanted || ['COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED'].includes(state) ? state : undefined;
    },
    280_000,
  );
}

beforeAll(async () => {
  tenants = await openTenants();
  for (const [pool, name, tag] of TEAMS) {
    const deployment = await tenants.deploy(name, 'waiting', pool, tag);
    const { id } = await tenants.json<{ id: string }>(name, 'POST', `/deployments/${deployment}/create_flow_run`, {});
    runs.set(pool, id);
  }
  for (const [pool] of TEAMS) {
    const state = await becomes(pool, 'RUNNING');
    if (state !== 'RUNNING') throw new Error(`the run of ${pool} is ${state}`);
    await logMessages(sharedPrefect(), runOf(pool), 'waiting');
  }
}, 600_000);

const CANCELLING = { type: 'CANCELLING', name: 'Cancelling' };
const OTHERS = [
  ['etl', ['worker/ml-2', 'user/bob', 'user/dave']],
  ['ml', ['worker/etl-2', 'user/alice', 'user/carol']],
] as const satisfies ReadonlyArray<readonly [Pool, readonly Client[]]>;

test('a run goes on whoever of another pool or team cancels it, one by one, in bulk, or by Prefect’s command', async () => {
  const through: string[] = [];
  for (const [pool, names] of OTHERS) {
    const id = runOf(pool);
    const ways: ReadonlyArray<readonly [path: string, body: object]> = [
      [`/flow_runs/${id}/set_state`, { state: CANCELLING }],
      [`/flow_runs/${id}/set_state`, { state: { type: 'CANCELLED' }, force: true }],
      ['/flow_runs/bulk_set_state', { flow_runs: { id: { any_: [id] } }, state: CANCELLING }],
    ];
    for (const name of names) {
      for (const [path, body] of ways) {
        const { status, said } = await tenants.call(name, 'POST', path, body);
        if (status !== 403 || !said.includes('certgate: ')) through.push(`${name} ${path}: ${status} ${said}`);
      }
    }
  }
  expect(through).toEqual([]);
  const { code, said } = await tenants.run('user/bob', 'prefect', ['flow-run', 'cancel', runOf('etl')]);
  expect(code, said).not.toBe(0);
  expect(said.replaceAll(/\s+/g, ' ')).toContain('is about a flow run that is not');
  expect([await stateOf('etl'), await stateOf('ml')]).toEqual(['RUNNING', 'RUNNING']);
}, 600_000);

test('a Developer with a tag cancels all that runs, which is its own; a Worker of its pool cancels another; their workers end them', async () => {
  const running = { flow_runs: { state: { type: { any_: ['RUNNING'] } } }, state: CANCELLING };
  await tenants.json('user/dave', 'POST', '/flow_runs/bulk_set_state', running);
  expect(await becomes('ml', 'CANCELLED')).toBe('CANCELLED');
  expect(await stateOf('etl')).toBe('RUNNING');
  const cancelled = await tenants.run('worker/etl-2', 'prefect', ['flow-run', 'cancel', runOf('etl')]);
  expect(cancelled, cancelled.said).toMatchObject({ code: 0 });
  expect(await becomes('etl', 'CANCELLED')).toBe('CANCELLED');
}, 600_000);
