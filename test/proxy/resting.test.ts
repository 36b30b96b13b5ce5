// A connection that waits forgets what it kept for its next request, and serves that as it would have.

import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bind } from '../../src/proxy/connection-set.ts';
import { acceptKey } from '../../src/proxy/websocket.ts';
import { type PlainProxy, portOf, startPlainProxy } from './plain-proxy.ts';

const REQUEST = 'POST /api/flows/filter HTTP/1.1\r\nhost: gate\r\naccept: */*\r\ncontent-length: 2\r\n\r\n{}';
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const OPENING =
  'GET /api/events/out HTTP/1.1\r\nhost: gate\r\nconnection: Upgrade\r\nupgrade: websocket\r\n' +
  `sec-websocket-version: 13\r\nsec-websocket-key: ${KEY}\r\n\r\n`;
const OPENED =
  'HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n' +
  `sec-websocket-accept: ${acceptKey(KEY)}\r\n\r\n`;
const ANSWER = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]';

let upstream: Server;
let proxy: PlainProxy;
let client: Socket;
let asked: string[];
let answering: boolean;
let rested: number;

beforeEach(async () => {
  asked = [];
  answering = true;
  rested = 0;
  upstream = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      asked.push(bytes.toString('latin1'));
      if (answering) socket.write(bytes.includes('websocket') ? OPENED : ANSWER);
    });
  });
  await bind(upstream, { host: '127.0.0.1', port: 0 });
  proxy = await startPlainProxy(portOf(upstream), { rest: () => rested++ });
  client = connect(proxy.port, '127.0.0.1');
  client.on('error', () => {});
});

afterEach(async () => {
  client.destroy();
  await proxy.close();
  upstream.close();
});

async function ask(): Promise<string> {
  client.write(REQUEST);
  return await new Promise((resolve) => client.once('data', (bytes) => resolve(bytes.toString('latin1'))));
}

function lookIn(ms: number): void {
  for (const member of proxy.set.members) member.sweep(performance.now() + ms);
}

it('after five seconds, once, and answers as before', async () => {
  const first = await ask();
  lookIn(6_000);
  lookIn(7_000);
  expect(rested).toBe(1);
  expect(await ask()).toBe(first);
  expect(asked[1]).toBe(asked[0]);
  lookIn(6_000);
  expect(rested).toBe(2);
});

it('but not while a request is under way, however long that takes', async () => {
  answering = false;
  const whole = ask();
  await expect.poll(() => asked.length).toBe(1);
  lookIn(6_000);
  lookIn(60_000);
  expect(rested).toBe(0);
  client.destroy();
  void whole;
});

it('nor while a WebSocket is open, which stays as silent as it likes', async () => {
  await ask();
  client.write(OPENING);
  await new Promise((resolve) => client.once('data', resolve));
  lookIn(6_000);
  lookIn(3_600_000);
  expect(rested).toBe(0);
  client.write(Buffer.from([0x81]));
  await expect.poll(() => asked.at(-1)).toBe('\x81');
});
