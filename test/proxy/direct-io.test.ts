// The shortcuts past Node's streams move the same bytes in the same order, and say truly whether bytes may be changed.

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { shortcuts, startReading, writeAtOnce, writeCopied } from '../../src/proxy/direct-io.ts';
import { portOf } from './plain-proxy.ts';

let server: Server;
let client: Socket;
let accepted: Socket;

beforeEach(async () => {
  server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const connection = once(server, 'connection') as Promise<[Socket]>;
  client = connect({ port: portOf(server), host: '127.0.0.1', allowHalfOpen: true });
  [accepted] = await connection;
  if (client.connecting) await once(client, 'connect');
});

afterEach(() => {
  client.destroy();
  accepted.destroy();
  server.close();
});

test('this Node has what they need; a Node that has not is served in the documented way', () => {
  expect(shortcuts).toEqual({ read: true, write: true });
});

test('bytes that were written at once may be changed, and held ones arrive as they were', async () => {
  const SIZE = 30_000;
  const WRITES = 1_000;
  let buffer = Buffer.alloc(SIZE);
  let held = 0;
  for (let i = 0; i < WRITES; i++) {
    buffer.fill(i & 0xff);
    if (!writeAtOnce(client, buffer)) {
      held++;
      buffer = Buffer.alloc(SIZE);
    }
  }
  expect(held).toBeGreaterThan(0);
  client.end();
  let at = 0;
  for await (const chunk of accepted as AsyncIterable<Buffer>) {
    for (const byte of chunk) {
      if (byte !== (Math.floor(at / SIZE) & 0xff)) throw new Error(`byte ${at} is ${byte}`);
      at++;
    }
  }
  expect(at).toBe(SIZE * WRITES);
});

// The one fits what is copied to, the other does not.
test.each([65_000, 100_000])(
  'whoever waits for room hears of it, and all arrives in order, mixed with the stream’s own writes (%i bytes each)',
  async (SIZE) => {
    const WRITES = 300;
    const writing = (async () => {
      const bytes = Buffer.alloc(SIZE);
      for (let i = 0; i < WRITES; i++) {
        bytes.fill(i & 0xff);
        const room = i % 7 === 3 ? client.write(Buffer.from(bytes)) : writeCopied(client, bytes);
        if (!room) await once(client, 'drain');
      }
      client.end();
    })();
    let at = 0;
    for await (const chunk of accepted as AsyncIterable<Buffer>) {
      for (const byte of chunk) {
        if (byte !== (Math.floor(at / SIZE) & 0xff)) throw new Error(`byte ${at} is ${byte}`);
        at++;
      }
    }
    await writing;
    expect(at).toBe(SIZE * WRITES);
  },
);

test('what one socket holds is not changed by what is written to another', async () => {
  const others = once(server, 'connection') as Promise<[Socket]>;
  const other = connect({ port: portOf(server), host: '127.0.0.1' });
  const [receiver] = await others;
  receiver.resume();
  const bytes = Buffer.alloc(60_000, 'a');
  let written = 0;
  for (let room = true; room; written += bytes.length) room = writeCopied(client, bytes);
  if (other.connecting) await once(other, 'connect');
  writeCopied(other, bytes.fill('b'));
  client.end();
  let received = '';
  for await (const chunk of accepted as AsyncIterable<Buffer>) received += chunk.toString('latin1');
  expect(received.length).toBe(written);
  expect(received).not.toContain('b');
  other.destroy();
  receiver.destroy();
});

test('a write that fails ends the socket with an error and not the process', async () => {
  client.on('error', () => {});
  accepted.resetAndDestroy();
  const closed = new Promise((resolve) => client.once('close', resolve));
  while (!client.destroyed) {
    writeAtOnce(client, Buffer.alloc(10_000));
    await new Promise(setImmediate);
  }
  await closed;
  expect(Reflect.get(client.errored ?? {}, 'code')).toMatch(/^(ECONNRESET|EPIPE)$/);
  expect(writeAtOnce(client, Buffer.alloc(1))).toBeTypeOf('boolean');
});

test('an accepted socket reads what came before, what comes after, pauses, and hears the end', async () => {
  client.write('before ');
  accepted.read(0);
  await expect.poll(() => accepted.readableLength, { timeout: 10_000 }).toBe(7);
  let text = '';
  const ended = once(accepted, 'end');
  startReading(accepted, (bytes) => {
    text += bytes.toString();
  });
  client.write('after ');
  await expect.poll(() => text, { timeout: 10_000 }).toBe('before after ');
  accepted.pause();
  client.write('paused ');
  // What was sent is on its way: an answer shows that the loop went round without a read.
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(text).toBe('before after ');
  accepted.resume();
  await expect.poll(() => text, { timeout: 10_000 }).toBe('before after paused ');
  client.end('last');
  await ended;
  expect(text).toBe('before after paused last');
  accepted.end();
});
