import type { ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import { answersHalf } from './harness/echo.ts';
import { eventually, within } from './harness/eventually.ts';
import { credentialsIn, type House } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls } from './harness/wire.ts';

async function busyGate(home: House) {
  const held: ServerResponse[] = [];
  const upstream = await echo({
    answer: answersHalf('first ', (response) => held.push(response)),
  });
  const credentials = await credentialsIn(await home.issue('worker/etl-1', '--force'));
  const gate = await home.serve({ upstream: upstream.url, flags: ['--workers', '2', '--drain', '5m'] });
  const wires = await Promise.all(Array.from({ length: 6 }, async () => await openTls(gate.port, credentials)));
  for (const wire of wires) expect((await ask(wire, get('/api/hello'))).status).toBe(200);
  const [busy, idle] = [wires.slice(0, 4), wires.slice(4)];
  for (const wire of busy) {
    wire.send(get('/api/slow'));
    await wire.until('half the answer', (bytes) => (bytes.includes('first ') ? true : undefined));
  }
  const pids = gate.log().flatMap((line) => (line.msg === 'worker started' ? [Number(line['pid'])] : []));
  return { gate, busy, idle, held, pids, credentials };
}

test('a gate with workers that is told to stop takes no more connections, lets requests in all workers finish, and ends with 0', async () => {
  const { gate, busy, idle, held, pids, credentials } = await busyGate(await house());
  // As a terminal or a service manager does: each process gets the signal.
  for (const pid of [...pids, gate.running.pid]) process.kill(pid, 'SIGTERM');
  await within('idle connections end', Promise.all(idle.map(({ ended }) => ended)));
  await expect(openTls(gate.port, credentials)).rejects.toThrow('ECONNREFUSED');
  for (const response of held) response.end('and last');
  for (const wire of busy) expect((await wire.answer()).body.toString()).toBe('first and last');
  expect(await within('the gate ends', gate.running.exited)).toEqual({ code: 0, signal: null });
  expect(gate.log().at(-1)?.msg).toBe('stopped');
  expect(gate.running.stderr()).not.toContain('worker lost');
});

test('a second signal cuts what is left in every worker', async () => {
  const { gate, busy, pids } = await busyGate(await house());
  gate.running.signal('SIGTERM');
  await gate.logged(({ msg }) => msg === 'draining');
  gate.running.signal('SIGTERM');
  await within('the rest is cut', Promise.all(busy.map(({ ended }) => ended)));
  expect(await within('the gate ends', gate.running.exited)).toEqual({ code: 0, signal: null });
  await eventually('no worker is left', () => (pids.every(isGone) ? true : undefined));
});

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}
