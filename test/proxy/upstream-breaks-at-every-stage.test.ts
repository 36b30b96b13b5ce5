// An upstream that ends, resets, says too much or says it too soon, at every stage of a request, an upload and a WebSocket:
// each request has one outcome, no fault is met, and neither side keeps a connection of it.

import { createServer, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bind } from '../../src/proxy/connection-set.ts';
import { ACCEPTED, GET, ok, UPGRADE_LINES } from './between.ts';
import { connectRaw, type PlainProxy, portOf, startPlainProxy } from './plain-proxy.ts';

const OK = ok('ok');
const BIG = 'x'.repeat(200_000);
const half = (lines: string, part = BIG): string => `HTTP/1.1 200 OK\r\n${lines}\r\n${part}`;
let accepted: (socket: Socket) => void = () => {};
let asked: (socket: Socket) => void = () => {};
const open = new Set<Socket>();
const upstream = createServer({ allowHalfOpen: true }, (socket) => {
  open.add(socket);
  socket.on('error', () => {});
  socket.on('close', () => open.delete(socket));
  socket.on('end', () => socket.end());
  accepted(socket);
  let head = '';
  socket.on('data', (bytes: Buffer) => {
    if (head.includes('\r\n\r\n')) return;
    head += bytes.toString('latin1');
    if (head.includes('\r\n\r\n')) asked(socket);
  });
});
let proxy: PlainProxy;
beforeAll(async () => {
  await bind(upstream, { host: '127.0.0.1', port: 0 });
  proxy = await startPlainProxy(portOf(upstream), { upstreamIdle: 50, limits: { stall: 300 } });
});
afterAll(async () => {
  await proxy.close();
  for (const socket of open) socket.destroy();
  upstream.close();
});

const says = (text: string, then: 'end' | 'reset' | 'nothing' | 'more') => (socket: Socket) => {
  socket.write(text, () => {
    if (then === 'end') socket.end();
    else if (then === 'reset') socket.resetAndDestroy();
    else if (then === 'more') setImmediate(() => socket.destroyed || socket.write(OK));
  });
};
const ENDS = ['end', 'reset', 'nothing', 'more'] as const;
const SAID: Readonly<Record<string, string>> = {
  'half a status': 'HTTP/1.',
  'half a head': 'HTTP/1.1 200 OK\r\nx-a: ',
  'half a body': half('content-length: 400000\r\n'),
  'half a chunk': half('transfer-encoding: chunked\r\n', `fffff\r\n${BIG}`),
  'a body without a length': half(''),
  'a whole answer': OK,
  'two answers': OK + OK,
  'a storm of interim answers': 'HTTP/1.1 103 Early\r\n\r\n'.repeat(3_000),
  'a head without an end': `HTTP/1.1 200 OK\r\nx-a: ${BIG}`,
  'a switch of protocols': `${ACCEPTED}hello`,
  garbage: '\0\xff\r\n\x80'.repeat(5_000),
};
const UPLOAD = `POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n${'b'.repeat(150_000)}`;
const ASKED = [GET, UPLOAD, `GET /ws HTTP/1.1\r\n${UPGRADE_LINES}\r\n`];
const STAGES = [
  ...Object.entries(SAID).flatMap(([what, text]) => ENDS.map((then) => [`${what}, then ${then}`, text, then] as const)),
  ...ENDS.map((then) => [`${then} when it is asked`, '', then] as const),
];

async function expectOneOutcome(): Promise<void> {
  for (const text of ASKED) {
    const before = proxy.outcomes.length;
    const client = await connectRaw(proxy.port);
    client.send(text);
    while (proxy.outcomes.length === before) {
      // A tunnel, or an answer without an end, lasts as long as its client.
      const over = new Promise((resolve) => setTimeout(resolve, 30, true));
      if ((await over) === true && /101 |200 OK/.test(client.received())) client.socket.destroy();
      if (proxy.outcomes.length === before && client.socket.destroyed) await new Promise((r) => setTimeout(r, 5));
    }
    client.socket.destroy();
    expect(proxy.outcomes.length).toBe(before + 1);
  }
  while (proxy.set.members.size > 0 || open.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(proxy.faults).toEqual([]);
}

test.each(STAGES)('%s', async (_what, text, then) => {
  asked = text === '' && then === 'more' ? says(OK, 'more') : says(text, then);
  await expectOneOutcome();
});

test.each(ENDS)('%s as soon as it is connected, or an answer before it is asked', async (then) => {
  accepted =
    then === 'more' || then === 'nothing' ? (socket) => void socket.write(OK) : (socket) => says('', then)(socket);
  asked = () => {};
  await expectOneOutcome();
  accepted = () => {};
});
