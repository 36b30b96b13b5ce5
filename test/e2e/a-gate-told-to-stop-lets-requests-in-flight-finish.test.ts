import type { ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import { answersHalf } from './harness/echo.ts';
import { within } from './harness/eventually.ts';
import { credentialsIn } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls } from './harness/wire.ts';

test('a gate that is told to stop takes no more connections, ends idle ones, lets a request in flight finish, and ends with 0', async () => {
  const home = await house();
  const credentials = await credentialsIn(await home.issue('worker/etl-1'));
  let release: (response: ServerResponse) => void = () => {};
  const held = new Promise<ServerResponse>((resolve) => {
    release = resolve;
  });
  const upstream = await echo({
    answer: answersHalf('first ', (response) => release(response)),
  });
  const gate = await home.serve({ upstream: upstream.url, flags: ['--drain', '5m'] });
  const [idle, busy] = await Promise.all([openTls(gate.port, credentials), openTls(gate.port, credentials)]);
  expect((await ask(idle, get('/api/hello'))).status).toBe(200);
  busy.send(get('/api/slow'));
  const response = await held;
  await busy.until('half the answer', (bytes) => (bytes.includes('first ') ? true : undefined));

  gate.running.signal('SIGTERM');
  await within('the idle connection ends', idle.ended);
  await expect(openTls(gate.port, credentials)).rejects.toThrow('ECONNREFUSED');
  response.end('and last');
  const answer = await busy.answer();
  expect(answer.body.toString()).toBe('first and last');
  expect(await within('the gate ends', gate.running.exited)).toEqual({ code: 0, signal: null });
});
