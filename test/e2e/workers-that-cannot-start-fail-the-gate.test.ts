import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { certgateCommand } from './harness/house.ts';
import { cleanEnvironment, finish } from './harness/processes.ts';
import { house } from './harness/scenario.ts';

test.each([
  ['that ends at once', 'process.exit(9)', 1, 'error: a worker of the gate did not start: exit code 9 [CG_WORKER]'],
  [
    'that cannot open the store',
    `const { renameSync } = require('node:fs'); try { renameSync('state/certgate.db', 'state/away.db'); } catch {}`,
    6,
    '[CG_STORE_MISSING]',
  ],
])('a worker %s fails the whole gate with its error', async (_which, deed, code, words) => {
  const home = await house();
  const script = join(home.dir, 'deed.cjs');
  await writeFile(script, `if (process.argv.includes('--as-worker')) { ${deed}; }`);
  const args = ['serve', '--config', home.config, '--listen', '127.0.0.1:0', '--workers', '2'];
  const env = cleanEnvironment({ NO_COLOR: '1', NODE_OPTIONS: `--require=${script}` });
  const ran = await finish(...certgateCommand(args), { env, cwd: home.dir });
  expect(ran.stderr).toContain(words);
  expect(ran.code).toBe(code);
});

test('what the primary starts its workers with is no command for people', async () => {
  const home = await house();
  const { stderr } = await home.certgate(['serve', '--as-worker'], 2);
  expect(stderr).toContain('use certgate serve --workers N');
});
