import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { certgateCommand, credentialsIn } from './harness/house.ts';
import { cleanEnvironment, finish } from './harness/processes.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls } from './harness/wire.ts';

test('a second gate on a state folder is refused before it does anything, and the first one goes on', async () => {
  const home = await house();
  const upstream = (await echo()).url;
  const gate = await home.serve({ upstream });
  const alice = await credentialsIn(await home.issue('user/alice'));
  const open = await openTls(gate.port, alice);
  expect((await ask(open, get('/api/hello'))).status).toBe(200);
  const record = await readFile(join(home.dir, 'state', 'audit.jsonl'), 'utf8');

  for (const more of [[], ['--workers', '2']]) {
    const [program, args] = certgateCommand(['serve', '--config', home.config, '--listen', '127.0.0.1:0', ...more]);
    const second = await finish(program, args, { env: cleanEnvironment() });
    expect([second.code, second.stdout]).toEqual([1, '']);
    expect(second.stderr).toContain(`another gate is already running on this state folder: ${join(home.dir, 'state')}`);
    expect(second.stderr).toContain('[CG_GATE_RUNNING]');
    expect(second.stderr).toContain('hint: stop that gate first, or give this one its own state folder');
    expect(second.stderr).not.toContain('listening');
  }
  expect((await ask(open, get('/api/hello'))).status).toBe(200);
  expect(await readFile(join(home.dir, 'state', 'audit.jsonl'), 'utf8')).toBe(record);
  const said = await home.certgate(['revoke', 'user/alice', '--config', home.config]);
  expect(said.stderr).toMatch(/the gate on this machine has cut 1 connection/);

  // Neither a gate that was killed nor one that still drains is in the next one's way.
  await gate.running.stop('SIGKILL');
  const next = await home.serve({ upstream });
  expect((await next.stop()).code).toBe(0);
});
