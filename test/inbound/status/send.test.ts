// How a long answer goes out, over a real socket: whole, a part at a time, and no faster than it is taken.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { sendAnswer } from '../../../src/inbound/status/send.ts';
import { bind } from '../../../src/proxy/connection-set.ts';
import { portOf } from '../../proxy/plain-proxy.ts';

const HEAD = 'HTTP/1.1 200 OK\r\n\r\n';
const PART = 192 * 1024;
/** More than the system keeps for a peer that reads nothing. */
const PARTS = Array.from({ length: 200 }, (_, i) => Buffer.alloc(PART, i));

async function pair(): Promise<{ readonly ours: Socket; readonly theirs: Socket }> {
  const server = createServer();
  await bind(server, { host: '127.0.0.1', port: 0 });
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const theirs = connect(portOf(server), '127.0.0.1');
  const [ours] = await accepted;
  for (const socket of [ours, theirs]) socket.on('error', () => {});
  onTestFinished(() => {
    theirs.destroy();
    ours.destroy();
    server.close();
  });
  return { ours, theirs };
}

test('a long answer comes whole, and one part of it waits at most while its reader takes nothing', async () => {
  const { ours, theirs } = await pair();
  const sent = sendAnswer(ours, { head: HEAD, body: PARTS });
  let isSent = false;
  void sent.then(() => {
    isSent = true;
  });
  for (let turns = 0; turns < 500; turns++) {
    await new Promise(setImmediate);
    expect(ours.writableLength).toBeLessThanOrEqual(PART);
  }
  expect(isSent).toBe(false);
  const [hash, wanted] = [createHash('sha256'), createHash('sha256').update(HEAD)];
  for (const part of PARTS) wanted.update(part);
  let left = HEAD.length + PARTS.length * PART;
  await new Promise<void>((resolve) => {
    theirs.on('data', (bytes: Buffer) => {
      hash.update(bytes);
      left -= bytes.length;
      if (left <= 0) resolve();
    });
  });
  await sent;
  expect([left, hash.digest('hex')]).toEqual([0, wanted.digest('hex')]);
});

test('a short answer is one write', async () => {
  const { ours, theirs } = await pair();
  const [came] = await Promise.all([
    once(theirs, 'data') as Promise<[Buffer]>,
    sendAnswer(ours, { head: HEAD, body: [Buffer.from('a'), Buffer.from('b')] }),
  ]);
  expect(came[0].toString('latin1')).toBe(`${HEAD}ab`);
});

test('whose reader hangs up, it fails', async () => {
  const { ours, theirs } = await pair();
  const sent = sendAnswer(ours, { head: HEAD, body: PARTS });
  theirs.resetAndDestroy();
  await expect(sent).rejects.toMatchObject({ syscall: 'write' });
});
