// While a reader of a tunnel takes its time, what the client sends on waits in the sockets and not in memory: also where it
// came right behind the opening, and where upstream makes room meanwhile.

import type { Socket } from 'node:net';
import { expect, test } from 'vitest';
import type { TunnelRewriter, TunnelStep } from '../../src/proxy/contract.ts';
import { ACCEPTED, proxyBetween, UPGRADE_LINES } from './between.ts';

const between = proxyBetween();
const OPENING = `GET /x HTTP/1.1\r\n${UPGRADE_LINES}\r\n`;
const MUCH = 64 * 1_048_576;
/** More than two sockets hold. */
const LONG = Buffer.alloc(16 * 1_048_576, 'x');

/** A reader that takes its time over what holds `slow`, until it is told to go on. */
function slowReader(pass: (bytes: Buffer) => Buffer) {
  const asked = Promise.withResolvers<void>();
  const decided = Promise.withResolvers<TunnelStep>();
  const read: TunnelRewriter = (bytes) => {
    if (!bytes.includes('slow')) return { send: pass(bytes), finished: false };
    asked.resolve();
    return decided.promise;
  };
  return { read, asked: asked.promise, goOn: () => decided.resolve({ send: Buffer.from('slow'), finished: true }) };
}

/** How much of what `client` sends is read, once nothing moves any more; and then all that it has sent. */
async function readOf(client: Socket): Promise<number> {
  const [member] = between.proxy.set.members;
  const { socket } = member ?? expect.unreachable();
  const start = socket.bytesRead;
  for (let left = MUCH; left > 0; left -= LONG.length) client.write(LONG);
  for (let before = -1; before !== socket.bytesRead; ) {
    before = socket.bytesRead;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  return socket.bytesRead - start;
}

test('what comes behind a first message that came with the opening is not read before that is decided', async () => {
  const reader = slowReader((bytes) => bytes);
  await between.restart({ rewriteTunnel: reader.read });
  const { client, up } = await between.ask(`${OPENING}slow`);
  up.send(ACCEPTED);
  await client.until('101 Switching');
  await reader.asked;

  expect(await readOf(client.socket)).toBeLessThan(MUCH / 2);
  let received = 0;
  const all = new Promise<void>((resolve) => {
    up.socket.on('data', (bytes: Buffer) => {
      received += bytes.length;
      if (received === MUCH + 4) resolve();
    });
  });
  reader.goOn();
  await all;
  client.socket.destroy();
});

test('nor what comes behind one that is decided while upstream makes room', async () => {
  const reader = slowReader(() => LONG);
  await between.restart({ rewriteTunnel: reader.read });
  const { client, up } = await between.ask(OPENING);
  up.send(ACCEPTED);
  await client.until('101 Switching');
  up.socket.pause();
  const [member] = between.proxy.set.members;
  const { socket } = member ?? expect.unreachable();
  // Upstream has no room now, and what was on its way is read all the same, as TLS does.
  const paused = new Promise<void>((resolve) => {
    socket.once('pause', () => {
      socket.resume();
      resolve();
    });
  });
  client.send('first');
  await paused;
  client.send('slow');
  await reader.asked;
  up.socket.resume();
  let received = 0;
  await new Promise<void>((resolve) => {
    up.socket.on('data', (bytes: Buffer) => {
      received += bytes.length;
      if (received === LONG.length) resolve();
    });
  });

  expect(await readOf(client.socket)).toBeLessThan(MUCH / 2);
  client.socket.destroy();
});
