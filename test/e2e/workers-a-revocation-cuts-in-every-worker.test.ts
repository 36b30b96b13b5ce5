import { expect, test } from 'vitest';
import { within } from './harness/eventually.ts';
import { credentialsIn } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls } from './harness/wire.ts';

test('a revocation cuts connections in every worker, says how many in all, and leaves others alone', async () => {
  const home = await house();
  const [doomed, safe] = await Promise.all([
    home.issue('worker/etl-1').then(credentialsIn),
    home.issue('user/alice').then(credentialsIn),
  ]);
  const upstream = await echo({ answer: (request) => request.url === '/api/slow' });
  const gate = await home.serve({ upstream: upstream.url, flags: ['--workers', '2'] });
  const open = async (credentials: typeof safe) => {
    const wires = await Promise.all(Array.from({ length: 6 }, async () => await openTls(gate.port, credentials)));
    const answers = await Promise.all(wires.map(async (wire) => await ask(wire, get('/api/hello'))));
    // A request's id begins with its process.
    const processes = new Set(answers.map(({ headers }) => headers['x-request-id']?.split('-')[0]));
    expect([answers.map(({ status }) => status), processes.size]).toEqual([Array(6).fill(200), 2]);
    return wires;
  };
  const [gone, stays] = [await open(doomed), await open(safe)];
  const inFlight = gone.slice(0, 4);
  for (const wire of inFlight) wire.send(get('/api/slow'));
  while (upstream.heads.filter(({ url }) => url === '/api/slow').length < inFlight.length) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }

  const said = await home.certgate(['revoke', 'worker/etl-1', '--config', home.config]);
  expect(said.stderr).toContain('has cut 6 connections, 4 requests in flight, 0 WebSockets');
  await within('all of its connections end', Promise.all(gone.map(({ ended }) => ended)));
  const again = await openTls(gate.port, doomed);
  expect((await ask(again, get('/api/hello'))).status).toBe(403);
  for (const wire of stays) expect((await ask(wire, get('/api/hello'))).status).toBe(200);
  for (const wire of stays) wire.socket.destroy();
});
