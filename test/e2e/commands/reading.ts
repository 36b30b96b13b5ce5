// The commands that only look: what each shows is of a thing that was made for it.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Attempt, Case } from './attempt.ts';
import { nothing, shows } from './promises.ts';
import * as make from './things.ts';

type Named = { readonly id: string; readonly name: string };

const name = (made: Named): string => made.name;
const line = (_: unknown, { own }: Attempt): string => `line of ${own}`;
const JSON_OUT = ['--output', 'json'];

export const READING: readonly Case[] = [
  shows(
    'version',
    nothing,
    () => [],
    () => 'Server type:',
  ),
  shows(
    'config view',
    nothing,
    () => [],
    () => 'PREFECT_API_URL',
  ),
  shows(
    'profile ls',
    nothing,
    () => [],
    () => 'Available Profiles',
  ),
  shows(
    'server status',
    nothing,
    () => [],
    () => 'Server is available',
  ),
  shows('flow ls', make.flow, () => ['--limit', '200'], name),
  shows('flow-run ls', make.run, () => ['--limit', '200', ...JSON_OUT], name),
  shows('flow-run inspect', make.run, ({ id }) => [id], name),
  shows('flow-run logs', make.logged, ({ id }) => [id], line),
  [
    'flow-run watch',
    async (it) => {
      const { id } = await make.run(it);
      await it.serving(['flow-run', 'watch', id], async () => await make.watched(it, id));
      return it.said().includes('finished successfully');
    },
  ],
  shows('task-run ls', make.task, () => ['--limit', '200', ...JSON_OUT], name),
  shows('task-run inspect', make.task, ({ id }) => [id], name),
  shows('task-run logs', make.task, ({ id }) => [id], line),
  shows('deployment ls', make.deployment, () => JSON_OUT, name),
  shows('deployment inspect', make.deployment, ({ full }) => [full], name),
  shows(
    'deployment schedule ls',
    make.scheduled,
    ({ full }) => [full],
    ({ schedule }) => schedule,
  ),
  shows('work-pool ls', make.pool, () => JSON_OUT, name),
  shows('work-pool inspect', make.pool, (made) => [made.name], name),
  shows('work-pool slots', make.pool, (made) => [made.name], name),
  shows(
    'work-pool preview',
    make.run,
    ({ of }) => [of.pool],
    ({ id }) => id,
  ),
  [
    'work-pool get-default-base-job-template',
    async (it) => {
      await it.prefect('work-pool', 'get-default-base-job-template', '--type', 'process');
      return it.said().includes('job_configuration');
    },
  ],
  shows('work-queue ls', make.queue, ({ pool }) => ['--pool', pool], name),
  shows('work-queue inspect', make.queue, (made) => [made.name, '--pool', made.pool], name),
  shows('work-queue slots', make.queue, (made) => [made.name, '--pool', made.pool], name),
  shows('block ls', make.block, () => JSON_OUT, name),
  shows('block inspect', make.block, ({ slug }) => [slug], name),
  shows(
    'block type ls',
    make.blockType,
    () => JSON_OUT,
    ({ slug }) => slug,
  ),
  shows(
    'block type inspect',
    make.block,
    () => ['secret'],
    () => 'Schema Properties',
  ),
  shows(
    'block create',
    make.blockType,
    ({ slug }) => [slug],
    ({ slug }) => `/catalog/${slug}/create`,
  ),
  shows('variable ls', make.variable, () => JSON_OUT, name),
  shows(
    'variable get',
    make.variable,
    (made) => [made.name],
    (_, { own }) => `value of ${own}`,
  ),
  shows(
    'variable inspect',
    make.variable,
    (made) => [made.name],
    (_, { own }) => `value of ${own}`,
  ),
  shows(
    'concurrency-limit ls',
    make.limit,
    () => JSON_OUT,
    ({ tag }) => tag,
  ),
  shows(
    'concurrency-limit inspect',
    make.limit,
    ({ tag }) => [tag],
    ({ id }) => id,
  ),
  shows('global-concurrency-limit ls', make.globalLimit, () => JSON_OUT, name),
  shows('global-concurrency-limit inspect', make.globalLimit, (made) => [made.name], name),
  shows(
    'artifact ls',
    make.artifact,
    () => JSON_OUT,
    ({ key }) => key,
  ),
  shows(
    'artifact inspect',
    make.artifact,
    ({ key }) => [key],
    (_, { own }) => `# of ${own}`,
  ),
  shows('automation ls', make.automation, () => [], name),
  shows('automation inspect', make.automation, (made) => [made.name], name),
  [
    'events stream',
    async (it) =>
      await it.serving(['events', 'stream', '--format', 'text'], async () => {
        if (it.said().includes(`certgate.test.${it.own}`)) return true;
        // From when on it listens it does not say.
        const occurred = new Date().toISOString();
        const resource = { 'prefect.resource.id': `certgate.test.${it.own}` };
        await it.server.post<null>('/events', [
          { id: crypto.randomUUID(), occurred, event: `certgate.test.${it.own}`, resource },
        ]);
        return null;
      }),
  ],
  [
    'sdk generate',
    async (it) => {
      const { full } = await make.deployment(it);
      await it.prefect('sdk', 'generate', '--output', join(it.dir, `${it.own}.py`), '--deployment', full);
      return it.said().includes('SDK generated successfully');
    },
  ],
  [
    'experimental result-storage inspect',
    async (it) => {
      await it.prefect('experimental', 'result-storage', 'inspect', ...JSON_OUT);
      return it.said().includes('default_result_storage_block_id');
    },
  ],
  [
    'profile use',
    async (it) => {
      const home = join(it.dir, `home-${it.own}`);
      await mkdir(home);
      await writeFile(join(home, 'profiles.toml'), `[profiles.gate]\nPREFECT_API_URL = "${it.url}/api"\n`);
      await it.prefectWith({ PREFECT_HOME: home }, 'profile', 'use', 'gate');
      return it.said().includes('Connected to');
    },
  ],
];
