// A client that asks on and on without reading its answers is made to wait: what it has not read stays bounded, also where
// answers go past the stream (direct-io.ts).

import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type PlainProxy, portOf, startPlainProxy } from './plain-proxy.ts';

const REQUESTS = 3_000;
const ANSWER = `HTTP/1.1 200 OK\r\ncontent-length: 30000\r\n\r\n${'x'.repeat(30_000)}`;
let upstream: Server;
let proxy: PlainProxy;

beforeEach(async () => {
  upstream = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      const asked = bytes.toString('latin1').split('\r\n\r\n').length - 1;
      for (let i = 0; i < asked; i++) socket.write(ANSWER);
    });
  });
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  proxy = await startPlainProxy(portOf(upstream));
});

afterEach(async () => {
  await proxy.close();
  upstream.close();
});

test('a client that pipelines and does not read is given no more than the sockets hold, and then all of it', async () => {
  const client = connect({ port: proxy.port, host: '127.0.0.1' });
  await once(client, 'connect');
  client.pause();
  client.write('GET /x HTTP/1.1\r\nHost: h\r\n\r\n'.repeat(REQUESTS));
  // Until nothing moves any more: a bound would be a guess about this machine's socket buffers.
  let before = -1;
  while (before !== proxy.outcomes.length || before === 0) {
    before = proxy.outcomes.length;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  expect(before).toBeLessThan(REQUESTS / 2);

  let received = 0;
  const all = new Promise<void>((resolve) => {
    client.on('data', (bytes) => {
      received += bytes.length;
      if (received === ANSWER.length * REQUESTS) resolve();
    });
  });
  client.resume();
  await all;
  client.destroy();
  expect(proxy.faults).toEqual([]);
});
