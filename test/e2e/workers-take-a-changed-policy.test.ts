import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { within } from './harness/eventually.ts';
import { credentialsIn } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls, WEBSOCKET_OPENING } from './harness/wire.ts';

const policy = (role: string): string => `bindings:\n  - {role: ${role}, identity: worker/etl-1}\n`;

test('every worker goes by a changed policy from the next request on, and by none that is wrong', async () => {
  const home = await house();
  const file = join(home.dir, 'policy.yaml');
  await writeFile(file, policy('Worker'));
  const [worker, stranger] = await Promise.all([
    home.issue('worker/etl-1').then(credentialsIn),
    home.issue('user/bob').then(credentialsIn),
  ]);
  const upstream = await echo();
  const gate = await home.serve({ upstream: upstream.url, flags: ['--workers', '2', '--policy', file] });
  const wires = await Promise.all(Array.from({ length: 6 }, async () => await openTls(gate.port, worker)));
  const statuses = async (path: string): Promise<readonly number[]> =>
    (await Promise.all(wires.map(async (wire) => await ask(wire, get(path))))).map(({ status }) => status);
  const processes = new Set(
    (await Promise.all(wires.map(async (wire) => await ask(wire, get('/api/health'))))).map(
      ({ headers }) => headers['x-request-id']?.split('-')[0],
    ),
  );
  expect(processes.size).toBe(2);
  expect((await ask(await openTls(gate.port, stranger), get('/api/health'))).body.toString()).toContain(
    'user/bob has no role',
  );
  expect(await statuses('/api/variables/name/x')).toEqual(Array(6).fill(200));
  const events = await openTls(gate.port, worker);
  expect((await ask(events, WEBSOCKET_OPENING)).status).toBe(101);

  await writeFile(file, policy('Vorker'));
  gate.running.signal('SIGHUP');
  await gate.logged((line) => line.msg === 'new policy refused, the old one stays');
  expect(await statuses('/api/variables/name/x')).toEqual(Array(6).fill(200));

  await writeFile(file, `roles: {less: {extends: Viewer, deny: see_variables}}\n${policy('less')}`);
  gate.running.signal('SIGHUP');
  await within('its WebSocket ends', events.ended);
  await gate.logged((line) => line.msg === 'new policy taken');
  // Each worker has it by then.
  expect(await statuses('/api/variables/name/x')).toEqual(Array(6).fill(403));
  expect(await statuses('/api/flows/name/x')).toEqual(Array(6).fill(200));

  // One that is read beside the loop.
  const others = Array.from({ length: 2_000 }, (_, i) => `  - {role: Viewer, match: 'user/a${i}-[0-9]+'}\n`).join('');
  await writeFile(file, policy('Worker') + others);
  gate.running.signal('SIGHUP');
  await gate.logged((line) => line.msg === 'new policy taken' && line['bindings'] === 2_001);
  expect(await statuses('/api/variables/name/x')).toEqual(Array(6).fill(200));
  for (const wire of wires) wire.socket.destroy();
});
