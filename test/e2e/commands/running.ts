// The commands that have something run: deployments, workers, flows, background tasks, events.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventResources } from '../harness/api.ts';
import { driver } from '../harness/prefect.ts';
import { type Attempt, type Case, PYTHON } from './attempt.ts';
import * as make from './things.ts';

/** What a worker or a server of flows is for: a run of the deployment that is there ends well. */
async function runs(it: Attempt, deployment: () => Promise<string | null>): Promise<() => Promise<boolean | null>> {
  let run: string | null = null;
  return await Promise.resolve(async () => {
    if (run === null) {
      const of = await deployment();
      run = of === null ? null : (await it.server.post(`/deployments/${of}/create_flow_run`)).id;
      return null;
    }
    const state = await make.stateOf(it, run);
    return state === 'COMPLETED' ? true : ['FAILED', 'CRASHED'].includes(state) ? false : null;
  });
}

const served = async (it: Attempt, flow: string, name: string): Promise<string | null> =>
  (await it.server.get<{ id: string }>(`/deployments/name/${flow}/${name}`))?.id ?? null;

const runsOf = async (it: Attempt, deployment: string): Promise<ReadonlyArray<Record<string, string>>> =>
  await it.server.post('/flow_runs/filter', { deployments: { id: { any_: [deployment] } } });

export const RUNNING: readonly Case[] = [
  [
    'deployment run',
    async (it) => {
      const { id, full } = await make.deployment(it);
      await it.prefect('deployment', 'run', full);
      return (await runsOf(it, id)).length === 1;
    },
  ],
  [
    'deployment run --watch',
    async (it) => {
      const { id, full } = await make.deployment(it);
      await it.serving(['deployment', 'run', full, '--watch'], async () => {
        const [run] = await runsOf(it, id);
        return run === undefined ? null : await make.watched(it, run['id'] ?? '');
      });
      return it.said().includes('finished successfully');
    },
  ],
  [
    'flow-run cancel',
    async (it) => {
      const { id } = await make.run(it);
      await make.setState(it, id, 'RUNNING');
      await it.prefect('flow-run', 'cancel', id);
      return (await make.stateOf(it, id)) === 'CANCELLING';
    },
  ],
  [
    'flow-run retry',
    async (it) => {
      const { id } = await make.run(it);
      await make.setState(it, id, 'FAILED');
      await it.prefect('flow-run', 'retry', id);
      return (await make.stateOf(it, id)) === 'SCHEDULED';
    },
  ],
  [
    'flow-run execute',
    async (it) => {
      const { id } = await make.run(it);
      await it.prefect('flow-run', 'execute', id);
      return (await make.stateOf(it, id)) === 'COMPLETED';
    },
  ],
  [
    'worker start',
    async (it) => {
      const { id, pool } = await make.deployment(it);
      const args = ['--pool', pool, '--name', `worker-${it.own}`];
      return await it.serving(['worker', 'start', ...args], await runs(it, async () => id));
    },
  ],
  [
    'worker start (no such pool yet)',
    async (it) => {
      const name = `pool-${it.own}`;
      const args = ['--pool', name, '--type', 'process', '--run-once'];
      await it.prefect('worker', 'start', ...args);
      return (await it.server.get(`/work_pools/${name}`)) !== null;
    },
    // The pool is made by the first message of the worker's WebSocket.
    ['write_work_pools'],
  ],
  [
    'flow serve',
    async (it) =>
      await it.serving(
        ['flow', 'serve', `${PYTHON}/quick_work.py:quick`, '--name', it.own],
        await runs(it, async () => await served(it, 'quick', it.own)),
      ),
  ],
  [
    'flow.serve()',
    async (it) =>
      await it.serving(
        { script: 'quick_work', args: ['serve', it.own] },
        await runs(it, async () => await served(it, 'quick', it.own)),
      ),
  ],
  [
    'shell serve',
    async (it) => {
      const args = ['--flow-name', `shell-${it.own}`, '--deployment-name', it.own];
      return await it.serving(['shell', 'serve', 'true', ...args], async () =>
        (await served(it, `shell-${it.own}`, it.own)) === null ? null : true,
      );
    },
  ],
  [
    'shell watch',
    async (it) => {
      await it.prefect('shell', 'watch', 'true', '--flow-run-name', it.own);
      const found = await it.server.post<ReadonlyArray<Record<string, string>>>('/flow_runs/filter', {
        flow_runs: { name: { any_: [it.own] } },
      });
      return found[0]?.['state_type'] === 'COMPLETED';
    },
  ],
  [
    'a flow that is called: flow()',
    async (it) => {
      await it.python('quick_work');
      const [, id = ''] = /flow-run\/([0-9a-f-]{36})/.exec(it.said()) ?? [];
      return id !== '' && (await make.stateOf(it, id)) === 'COMPLETED';
    },
  ],
  [
    'a background task: task.delay()',
    async (it) => {
      await it.python('quick_work', 'delay', it.own);
      const [, id] = /task run ([0-9a-f-]{36})/.exec(it.said()) ?? [];
      return id !== undefined && (await it.server.get(`/task_runs/${id}`)) !== null;
    },
  ],
  [
    'task serve',
    async (it) => {
      // A task of its own: who serves the same one as another role does this run too, and this command would seem to have.
      const name = `quick_task_${it.own.replaceAll('-', '_')}`;
      const script = join(it.dir, name);
      await writeFile(driver(script), (await readFile(driver('quick_work'), 'utf8')).replaceAll('quick_task', name));
      const asked = await it.aside(script, 'delay', it.own);
      const [, id] = /task run ([0-9a-f-]{36})/.exec(asked) ?? [];
      return await it.serving(['task', 'serve', `${driver(script)}:${name}`], async () => {
        const state = (await it.server.get(`/task_runs/${id}`))?.['state_type'];
        return state === 'COMPLETED' ? true : null;
      });
    },
  ],
  [
    'event emit',
    async (it) => {
      await it.prefect('event', 'emit', `certgate.test.${it.own}`, '--resource-id', `of.${it.own}`);
      return it.said().includes('certgate: ')
        ? false
        : (await eventResources(it.server.url, `certgate.test.${it.own}`, 1)).length === 1;
    },
  ],
];
