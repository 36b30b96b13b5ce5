// The commands that make, change and delete blocks, variables, limits, automations, artifacts.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Attempt, Case, Thing } from './attempt.ts';
import { does, field, gone, nothing } from './promises.ts';
import * as make from './things.ts';

const inactive = async (it: Attempt): Promise<Thing> => {
  const made = await make.globalLimit(it);
  await it.server.patch(`/v2/concurrency_limits/${made.id}`, { active: false });
  return made;
};
const disabled = async (it: Attempt): Promise<Thing> => {
  const made = await make.automation(it);
  await it.server.patch(`/automations/${made.id}`, { enabled: false });
  return made;
};
const inFile = async (it: Attempt): Promise<string> => {
  const file = join(it.dir, `${it.own}.json`);
  await writeFile(file, JSON.stringify(make.automationOf(`automation-${it.own}`)));
  return file;
};
const automationsNamed = async (it: Attempt): Promise<readonly Thing[]> =>
  await it.server.post('/automations/filter', { automations: { name: { any_: [`automation-${it.own}`] } } });

export const CHANGING: readonly Case[] = [
  [
    'block register',
    async (it) => {
      const file = join(it.dir, `blocks_${it.own.replaceAll('-', '_')}.py`);
      await writeFile(
        file,
        `from prefect.blocks.core import Block\nclass Of(Block):\n    _block_type_name = "${it.own}"\n`,
      );
      await it.prefect('block', 'register', '--file', file);
      return !(await gone(it, `/block_types/slug/${it.own}`));
    },
  ],
  does(
    'block delete',
    make.block,
    ({ slug }) => [slug],
    async ({ id }, it) => await gone(it, `/block_documents/${id}`),
  ),
  does(
    'block type delete',
    make.blockType,
    ({ slug }) => [slug],
    async ({ slug }, it) => await gone(it, `/block_types/slug/${slug}`),
  ),
  does(
    'variable set',
    nothing,
    (_, { own }) => [`v_${own.replaceAll('-', '_')}`, own],
    async (_, it) => (await field(it, `/variables/name/v_${it.own.replaceAll('-', '_')}`, 'value')) === it.own,
  ),
  [
    'variable set --overwrite',
    async (it) => {
      const { name } = await make.variable(it);
      await it.prefect('variable', 'set', name, 'other', '--overwrite');
      return (await field(it, `/variables/name/${name}`, 'value')) === 'other';
    },
  ],
  does(
    'variable unset',
    make.variable,
    ({ name }) => [name],
    async ({ name }, it) => await gone(it, `/variables/name/${name}`),
  ),
  does(
    'concurrency-limit create',
    nothing,
    (_, { own }) => [`tag-${own}`, '4'],
    async (_, it) => (await field(it, `/concurrency_limits/tag/tag-${it.own}`, 'concurrency_limit')) === 4,
  ),
  [
    'concurrency-limit reset',
    async (it) => {
      const { tag } = await make.limit(it);
      await it.prefect('concurrency-limit', 'reset', tag);
      return it.said().includes('Reset concurrency limit');
    },
  ],
  does(
    'concurrency-limit delete',
    make.limit,
    ({ tag }) => [tag],
    async ({ tag }, it) => await gone(it, `/concurrency_limits/tag/${tag}`),
  ),
  does(
    'global-concurrency-limit create',
    nothing,
    (_, { own }) => [`limit-${own}`, '--limit', '4'],
    async (_, it) => (await field(it, `/v2/concurrency_limits/limit-${it.own}`, 'limit')) === 4,
  ),
  does(
    'global-concurrency-limit update',
    make.globalLimit,
    ({ name }) => [name, '--limit', '9'],
    async ({ name }, it) => (await field(it, `/v2/concurrency_limits/${name}`, 'limit')) === 9,
  ),
  does(
    'global-concurrency-limit disable',
    make.globalLimit,
    ({ name }) => [name],
    async ({ name }, it) => (await field(it, `/v2/concurrency_limits/${name}`, 'active')) === false,
  ),
  does(
    'global-concurrency-limit enable',
    inactive,
    ({ name }) => [name],
    async ({ name }, it) => (await field(it, `/v2/concurrency_limits/${name}`, 'active')) === true,
  ),
  does(
    'global-concurrency-limit delete',
    make.globalLimit,
    ({ name }) => [name],
    async ({ name }, it) => await gone(it, `/v2/concurrency_limits/${name}`),
  ),
  does(
    'automation create',
    inFile,
    (file) => ['--from-file', file],
    async (_, it) => (await automationsNamed(it)).length === 1,
  ),
  does(
    'automation pause',
    make.automation,
    ({ name }) => [name],
    async ({ id }, it) => (await field(it, `/automations/${id}`, 'enabled')) === false,
  ),
  does(
    'automation resume',
    disabled,
    ({ name }) => [name],
    async ({ id }, it) => (await field(it, `/automations/${id}`, 'enabled')) === true,
  ),
  [
    'automation update',
    async (it) => {
      const { id } = await make.automation(it);
      const changed = { ...make.automationOf(`automation-${it.own}`), description: 'changed' };
      await it.prefect('automation', 'update', '--id', id, '--from-json', JSON.stringify(changed));
      return (await field(it, `/automations/${id}`, 'description')) === 'changed';
    },
  ],
  does(
    'automation delete',
    make.automation,
    ({ name }) => [name],
    async ({ id }, it) => await gone(it, `/automations/${id}`),
  ),
  does(
    'artifact delete',
    make.artifact,
    ({ key }) => [key],
    async ({ id }, it) => await gone(it, `/artifacts/${id}`),
  ),
  [
    'experimental result-storage clear',
    async (it) => {
      await it.prefect('experimental', 'result-storage', 'clear');
      return it.said().includes('Cleared default result storage');
    },
  ],
];
