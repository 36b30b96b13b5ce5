// What one client may have open at a gate: a request in flight, an idle connection and a WebSocket. For tests of what is cut.

import { once } from 'node:events';
import { expect } from 'vitest';
import { WebSocket } from 'ws';
import { answersHalf, type Echo } from './echo.ts';
import { within } from './eventually.ts';
import type { Serving } from './house.ts';
import { echo } from './scenario.ts';
import { ask, type Credentials, get, openTls, type Wire } from './wire.ts';

export interface AllOpen {
  readonly inFlight: Wire;
  readonly idle: Wire;
  readonly socket: WebSocket;
  /** Resolves when the gate has ended all three; fails when it doesn't, or when the request in flight looks whole. */
  cut(): Promise<void>;
  /** Fails unless the idle connection and the WebSocket go on; ends all three. */
  goOn(): Promise<void>;
}

/** An upstream that never ends `/api/slow`, and repeats what a WebSocket is told. */
export async function slowUpstream(): Promise<Echo> {
  return await echo({
    answer: answersHalf('half a body'),
    webSocket: (socket) => socket.on('message', (data: Buffer) => socket.send(data.toString())),
  });
}

/** Opens them, at a gate before `slowUpstream`. */
export async function openAll(gate: Serving, credentials: Credentials): Promise<AllOpen> {
  const [inFlight, idle] = await Promise.all([openTls(gate.port, credentials), openTls(gate.port, credentials)]);
  inFlight.send(get('/api/slow'));
  await inFlight.until('half a body', (bytes) => (bytes.includes('half a body') ? true : undefined));
  expect((await ask(idle, get('/api/hello'))).status).toBe(200);
  const socket = new WebSocket(`wss://127.0.0.1:${gate.port}/api/events/in`, 'prefect', credentials);
  socket.on('error', () => {});
  await once(socket, 'open');
  const closed = once(socket, 'close');
  return {
    ...{ inFlight, idle, socket },
    async cut() {
      await within('all is cut', Promise.all([inFlight.ended, idle.ended, closed]));
      expect(inFlight.received().toString('latin1')).not.toMatch(/\r\n0\r\n\r\n$/);
      expect([1006, 1008]).toContain((await closed)[0]);
    },
    async goOn() {
      const repeated = once(socket, 'message');
      socket.send('still here');
      expect(String((await repeated)[0])).toBe('still here');
      expect((await ask(idle, get('/api/hello'))).status).toBe(200);
      for (const wire of [inFlight, idle]) wire.socket.destroy();
      socket.terminate();
    },
  };
}

/** Comes anew, asks, and goes. */
export async function come(gate: Serving, credentials: Credentials): Promise<{ status: number; body: string }> {
  const wire = await openTls(gate.port, credentials);
  const { status, body } = await ask(wire, get('/api/hello'));
  wire.socket.destroy();
  return { status, body: body.toString() };
}
