import { expect, test } from 'vitest';
import { eventually, within } from './harness/eventually.ts';
import { credentialsIn } from './harness/house.ts';
import { cpuOf } from './harness/proc.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls, type Wire } from './harness/wire.ts';

const LIMIT = 400;
/** More than clients may take of LIMIT. */
const CLIENTS = 250;

test('a gate whose file descriptors run out turns new clients away, says so, serves those it has, and recovers', async () => {
  const home = await house();
  const credentials = await credentialsIn(await home.issue('worker/etl-1'));
  const gate = await home.serve({ upstream: (await echo()).url, descriptors: LIMIT });
  const opened = await Promise.allSettled(
    Array.from({ length: CLIENTS }, async () => await openTls(gate.port, credentials)),
  );
  // Who is turned away is so before the handshake or right after its own side of it.
  const wires = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const turnedAway = new Set<Wire>();
  for (const wire of wires) void wire.ended.then(() => turnedAway.add(wire));
  const line = await gate.logged(({ code }) => code === 'CG_LIMIT_CONNECTIONS');
  expect(line).toMatchObject({ level: 'warn', msg: 'connection refused before its handshake' });

  const served = wires.filter((wire) => !turnedAway.has(wire));
  expect(served.length).toBeGreaterThan(LIMIT / 4);
  expect(served.length).toBeLessThan(LIMIT / 2);
  // What it needs for its own work it still has: an upstream connection, the record of a write, the control socket.
  const [first] = served;
  if (first === undefined) throw new Error('unreachable');
  expect((await ask(first, get('/api/hello'))).status).toBe(200);
  const write = 'POST /api/flow_runs/filter HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}';
  expect((await ask(first, write)).status).toBe(200);
  await home.certgate(['health', '--config', home.config]);
  await expect(openTls(gate.port, credentials)).rejects.toThrow(/ECONNRESET|end|close/);

  // It waits for better times without turning in circles: no more work than before.
  const before = cpuOf(gate.running.pid);
  await ask(first, get('/api/hello'));
  await new Promise((resolve) => setTimeout(resolve, 1000));
  expect(cpuOf(gate.running.pid) - before).toBeLessThan(0.8);

  for (const wire of served.slice(1)) wire.socket.destroy();
  const again = await eventually(
    'a new client gets in',
    async () => await openTls(gate.port, credentials).catch(() => undefined),
  );
  expect((await within('an answer', ask(again, get('/api/hello')))).status).toBe(200);
  expect((await ask(first, get('/api/hello'))).status).toBe(200);
  for (const wire of [first, again]) wire.socket.destroy();
});
