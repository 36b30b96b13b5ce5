import { expect, test } from 'vitest';
import { eventually, within } from './harness/eventually.ts';
import { credentialsIn } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls } from './harness/wire.ts';

test('workers whose primary was killed end, with what they served, and a new gate starts in its place', async () => {
  const home = await house();
  const credentials = await credentialsIn(await home.issue('worker/etl-1'));
  const upstream = await echo();
  const gate = await home.serve({ upstream: upstream.url, flags: ['--workers', '2'] });
  const wires = await Promise.all(Array.from({ length: 4 }, async () => await openTls(gate.port, credentials)));
  for (const wire of wires) expect((await ask(wire, get('/api/hello'))).status).toBe(200);
  const pids = gate.log().flatMap((line) => (line.msg === 'worker started' ? [Number(line['pid'])] : []));
  expect(pids.length).toBe(2);
  gate.running.signal('SIGKILL');
  await eventually('no worker is left', () => {
    const left = pids.filter((pid) => {
      try {
        process.kill(pid, 0);
        return true;
      } catch {
        return false;
      }
    });
    return left.length === 0 ? true : undefined;
  });
  await within('its connections end', Promise.all(wires.map(({ ended }) => ended)));
  const second = await home.serve({ upstream: upstream.url, port: gate.port, flags: ['--workers', '2'] });
  const wire = await openTls(second.port, credentials);
  expect((await ask(wire, get('/api/hello'))).status).toBe(200);
  wire.socket.destroy();
});
