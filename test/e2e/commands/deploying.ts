// The commands that make, change and delete deployments, their schedules, work pools and queues.

import type { Attempt, Case, Thing } from './attempt.ts';
import { does, field, gone, nothing } from './promises.ts';
import * as make from './things.ts';

const deploymentNamed = async (it: Attempt, flow: string): Promise<boolean> =>
  !(await gone(it, `/deployments/name/${flow}/${it.own}`));
const queuePath = ({ pool, name }: { pool: string; name: string }): string => `/work_pools/${pool}/queues/${name}`;
const schedulesOf = async (it: Attempt, id: string): Promise<ReadonlyArray<Thing & { active: boolean }>> =>
  (await it.server.get<ReadonlyArray<Thing & { active: boolean }>>(`/deployments/${id}/schedules`)) ?? [];

const pausedPool = async (it: Attempt): Promise<Thing> => {
  const made = await make.pool(it);
  await it.server.patch(`/work_pools/${made.name}`, { is_paused: true, concurrency_limit: 3 });
  return made;
};
const pausedQueue = async (it: Attempt): Promise<Thing & { pool: string }> => {
  const made = await make.queue(it);
  await it.server.patch(queuePath(made), { is_paused: true, concurrency_limit: 3 });
  return made;
};
const pausedSchedule = async (it: Attempt) => {
  const made = await make.scheduled(it);
  await it.server.patch(`/deployments/${made.id}/schedules/${made.schedule}`, { active: false });
  return made;
};

const DEPLOYING: readonly Case[] = [
  [
    'deploy',
    async (it) => {
      const { name } = await make.pool(it);
      await it.prefect('--no-prompt', 'deploy', 'quick_work.py:quick', '--name', it.own, '--pool', name);
      return await deploymentNamed(it, 'quick');
    },
  ],
  [
    'flow.deploy()',
    async (it) => {
      const { name } = await make.pool(it);
      await it.python('quick_work', 'deploy', it.own, name);
      return await deploymentNamed(it, 'quick');
    },
  ],
  does(
    'deployment delete',
    make.deployment,
    ({ full }) => [full],
    async ({ id }, it) => await gone(it, `/deployments/${id}`),
  ),
  does(
    'deployment schedule create',
    make.deployment,
    ({ full }) => [full, '--interval', '3600', '--accept-yes'],
    async ({ id }, it) => (await schedulesOf(it, id)).length === 1,
  ),
  does(
    'deployment schedule pause',
    make.scheduled,
    ({ full, schedule }) => [full, schedule],
    async ({ id }, it) => (await schedulesOf(it, id))[0]?.active === false,
  ),
  does(
    'deployment schedule resume',
    pausedSchedule,
    ({ full, schedule }) => [full, schedule],
    async ({ id }, it) => (await schedulesOf(it, id))[0]?.active === true,
  ),
  does(
    'deployment schedule delete',
    make.scheduled,
    ({ full, schedule }) => [full, schedule, '--accept-yes'],
    async ({ id }, it) => (await schedulesOf(it, id)).length === 0,
  ),
  does(
    'deployment schedule clear',
    make.scheduled,
    ({ full }) => [full, '--accept-yes'],
    async ({ id }, it) => (await schedulesOf(it, id)).length === 0,
  ),
  does(
    'flow-run delete',
    make.run,
    ({ id }) => [id],
    async ({ id }, it) => await gone(it, `/flow_runs/${id}`),
  ),
];

const POOLS: readonly Case[] = [
  does(
    'work-pool create',
    nothing,
    (_, { own }) => [`pool-${own}`, '--type', 'process'],
    async (_, it) => !(await gone(it, `/work_pools/pool-${it.own}`)),
  ),
  does(
    'work-pool update',
    make.pool,
    ({ name }) => [name, '--description', 'changed'],
    async ({ name }, it) => (await field(it, `/work_pools/${name}`, 'description')) === 'changed',
  ),
  does(
    'work-pool pause',
    make.pool,
    ({ name }) => [name],
    async ({ name }, it) => (await field(it, `/work_pools/${name}`, 'is_paused')) === true,
  ),
  does(
    'work-pool resume',
    pausedPool,
    ({ name }) => [name],
    async ({ name }, it) => (await field(it, `/work_pools/${name}`, 'is_paused')) === false,
  ),
  does(
    'work-pool set-concurrency-limit',
    make.pool,
    ({ name }) => [name, '5'],
    async ({ name }, it) => (await field(it, `/work_pools/${name}`, 'concurrency_limit')) === 5,
  ),
  does(
    'work-pool clear-concurrency-limit',
    pausedPool,
    ({ name }) => [name],
    async ({ name }, it) => (await field(it, `/work_pools/${name}`, 'concurrency_limit')) === null,
  ),
  does(
    'work-pool delete',
    make.pool,
    ({ name }) => [name],
    async ({ name }, it) => await gone(it, `/work_pools/${name}`),
  ),
  does(
    'work-queue create',
    make.pool,
    ({ name }, { own }) => [`queue-${own}`, '--pool', name],
    async ({ name }, it) => !(await gone(it, queuePath({ pool: name, name: `queue-${it.own}` }))),
  ),
  does(
    'work-queue pause',
    make.queue,
    ({ name, pool }) => [name, '--pool', pool],
    async (made, it) => (await field(it, queuePath(made), 'is_paused')) === true,
  ),
  does(
    'work-queue resume',
    pausedQueue,
    ({ name, pool }) => [name, '--pool', pool],
    async (made, it) => (await field(it, queuePath(made), 'is_paused')) === false,
  ),
  does(
    'work-queue set-concurrency-limit',
    make.queue,
    ({ name, pool }) => [name, '5', '--pool', pool],
    async (made, it) => (await field(it, queuePath(made), 'concurrency_limit')) === 5,
  ),
  does(
    'work-queue clear-concurrency-limit',
    pausedQueue,
    ({ name, pool }) => [name, '--pool', pool],
    async (made, it) => (await field(it, queuePath(made), 'concurrency_limit')) === null,
  ),
  [
    'work-queue read-runs',
    async (it) => {
      const { name, pool } = await make.queue(it);
      await it.prefect('work-queue', 'read-runs', name, '--pool', pool);
      // That it was polled, Prefect notes afterwards, and not at all when its database is busy just then.
      return it.said().includes('Read 0 runs');
    },
  ],
  [
    'work-queue preview',
    async (it) => {
      const { id, of } = await make.run(it);
      await it.prefect('work-queue', 'preview', 'default', '--pool', of.pool);
      return it.said().includes(id);
    },
  ],
  does(
    'work-queue delete',
    make.queue,
    ({ name, pool }) => [name, '--pool', pool],
    async (made, it) => await gone(it, queuePath(made)),
  ),
];

export const DEPLOYING_AND_POOLS: readonly Case[] = [...DEPLOYING, ...POOLS];
