import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { eventually, within } from './harness/eventually.ts';
import { credentialsIn } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls } from './harness/wire.ts';

const MANY = 40;

/** A gate with long polls in flight, WebSockets open and connections idle; the polls' answers are the test's to give. */
async function busyGate() {
  const home = await house();
  const credentials = await credentialsIn(await home.issue('worker/etl-1'));
  const polls: ServerResponse[] = [];
  const upstream = await echo({
    answer: (request, response) => {
      if (request.url !== '/api/poll') return false;
      polls.push(response);
      return true;
    },
    webSocket: (socket) => socket.on('message', (data: Buffer) => socket.send(data.toString())),
  });
  const gate = await home.serve({ upstream: upstream.url, flags: ['--drain', '5m'] });
  const open = async () => await openTls(gate.port, credentials);
  const [idle, polling, sockets] = await Promise.all([
    Promise.all(Array.from({ length: MANY }, open)),
    Promise.all(Array.from({ length: MANY }, open)),
    Promise.all(
      Array.from({ length: MANY }, async () => {
        const socket = new WebSocket(`wss://127.0.0.1:${gate.port}/api/events/in`, 'prefect', credentials);
        await once(socket, 'open');
        return socket.on('error', () => {});
      }),
    ),
  ]);
  for (const wire of idle) expect((await ask(wire, get('/api/hello'))).status).toBe(200);
  for (const wire of polling) wire.send(get('/api/poll'));
  await eventually('the polls are in flight', () => (polls.length === MANY ? true : undefined));
  return { gate, credentials, idle, polling, polls, sockets };
}

async function echoes(socket: WebSocket): Promise<string> {
  const message = once(socket, 'message');
  socket.send('still here');
  return String((await message)[0]);
}

test('told to stop, a gate ends idle connections, takes no more, answers every long poll, and cuts WebSockets only then', async () => {
  const { gate, credentials, idle, polling, polls, sockets } = await busyGate();
  gate.running.signal('SIGTERM');
  await within('idle connections end', Promise.all(idle.map(async (wire) => await wire.ended)));
  await expect(openTls(gate.port, credentials)).rejects.toThrow('ECONNREFUSED');
  for (const said of await Promise.all(sockets.map(echoes))) expect(said).toBe('still here');
  for (const poll of polls.slice(1)) poll.end('polled');
  const answers = await Promise.all(polling.slice(1).map(async (wire) => await wire.answer()));
  // One request is still under way: the WebSockets live on.
  for (const said of await Promise.all(sockets.map(echoes))) expect(said).toBe('still here');
  const closed = Promise.all(sockets.map((socket) => once(socket, 'close') as Promise<unknown>));
  polls[0]?.end('polled');
  answers.push(await (polling[0] as (typeof polling)[number]).answer());
  for (const answer of answers) {
    expect([answer.status, answer.body.toString(), answer.headers['connection']]).toEqual([200, 'polled', 'close']);
  }
  await within('the WebSockets are cut', closed);
  expect(await within('the gate ends', gate.running.exited)).toEqual({ code: 0, signal: null });
});

test('told twice, it waits for nobody, and no answer that it cuts looks whole', async () => {
  const { gate, polling, polls, sockets } = await busyGate();
  for (const poll of polls) poll.write('half');
  for (const wire of polling) await wire.until('half', (bytes) => (bytes.includes('half') ? true : undefined));
  gate.running.signal('SIGTERM');
  await gate.logged((line) => line.msg === 'draining');
  gate.running.signal('SIGTERM');
  expect(await within('the gate ends', gate.running.exited)).toEqual({ code: 0, signal: null });
  for (const wire of polling) {
    await wire.ended;
    expect(wire.received().toString('latin1')).not.toMatch(/\r\n0\r\n\r\n$/);
  }
  for (const socket of sockets) socket.terminate();
});
