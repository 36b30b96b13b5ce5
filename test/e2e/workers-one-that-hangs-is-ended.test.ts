import { expect, test } from 'vitest';
import { within } from './harness/eventually.ts';
import { credentialsIn } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls, type Wire } from './harness/wire.ts';

test('a revocation holds where a worker hangs: that one is ended with its connections, which is said, and replaced', async () => {
  const home = await house();
  const [doomed, safe] = await Promise.all([
    home.issue('worker/etl-1').then(credentialsIn),
    home.issue('user/alice').then(credentialsIn),
  ]);
  const upstream = await echo();
  const gate = await home.serve({ upstream: upstream.url, flags: ['--workers', '2'] });
  const wires = { doomed: [] as Wire[], safe: [] as Wire[] };
  const at = new Map<Wire, string>();
  for (const [name, credentials] of Object.entries({ doomed, safe })) {
    for (let i = 0; i < 4; i++) {
      const wire = await openTls(gate.port, credentials);
      at.set(wire, (await ask(wire, get('/api/hello'))).headers['x-request-id']?.split('-')[0] ?? '');
      wires[name as 'doomed' | 'safe'].push(wire);
    }
  }
  expect(new Set(at.values()).size).toBe(2);
  const pids = gate.log().flatMap((line) => (line.msg === 'worker started' ? [Number(line['pid'])] : []));
  const hanging = pids[0] ?? 0;
  process.kill(hanging, 'SIGSTOP');

  const said = await home.certgate(['revoke', 'worker/etl-1', '--config', home.config]);
  expect(said.stderr).toContain('has cut 2 connections, 0 requests in flight, 0 WebSockets');
  expect(said.stderr).toContain('1 worker process did not answer and was ended, with all connections there');
  await within('all connections of the revoked end', Promise.all(wires.doomed.map(({ ended }) => ended)));
  await gate.logged((line) => line.msg === 'worker does not answer, ending it' && line['pid'] === hanging);
  await gate.logged((line) => line.msg === 'worker started' && !pids.includes(Number(line['pid'])));
  const again = await openTls(gate.port, doomed);
  expect((await ask(again, get('/api/hello'))).status).toBe(403);
  const stays = wires.safe.filter(({ socket }) => !socket.destroyed);
  for (const wire of stays) expect((await ask(wire, get('/api/hello'))).status).toBe(200);
  for (const wire of stays) wire.socket.destroy();
});
