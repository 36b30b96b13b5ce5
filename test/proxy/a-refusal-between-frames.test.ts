// A WebSocket that this side ends gets its close frame between two frames, as RFC 6455 §5.4 has it: inside of one the client
// would read it as what that frame says. Where a frame is long on its way, there is the end alone. Real clients, raw upstream.

import { spawn } from 'node:child_process';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { followFrames } from '../../src/proxy/frame-bounds.ts';
import { acceptKey } from '../../src/proxy/websocket.ts';
import { uvicornPython } from '../http1/parsers/uvicorn.ts';
import { proxyBetween } from './between.ts';
import type { RawPeer } from './plain-proxy.ts';

const between = proxyBetween();
const WHY = 'that is not yours';

/** An unmasked text frame with so many bytes, as a server sends it. */
function frame(size: number): Buffer {
  const head = size < 126 ? [0x81, size] : size < 65_536 ? [0x81, 126, size >> 8, size & 255] : [0x81, 127, 0, 0, 0, 0];
  const long = Buffer.alloc(size < 65_536 ? 0 : 4);
  if (long.length > 0) long.writeUInt32BE(size);
  return Buffer.concat([Buffer.from(head), long, Buffer.alloc(size, 'x')]);
}

/** Accepts the next WebSocket as an upstream whose every byte is the test's. */
async function accept(): Promise<RawPeer> {
  const up = await between.upstream.accept();
  const key = /sec-websocket-key: (\S+)/i.exec(await up.until('\r\n\r\n'))?.[1] ?? '';
  up.send(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptKey(key)}\r\n\r\n`,
  );
  return up;
}

beforeEach(async () => {
  // Refuses whatever the client says; its bytes are not looked at.
  await between.restart({ rewriteTunnel: () => ({ send: null, finished: true, refuse: WHY }) });
});

interface Seen {
  readonly sizes: readonly number[];
  readonly code: number;
  readonly reason: string;
}

/** What a client of `ws` is told, until it is closed. */
function watched(client: WebSocket): Promise<Seen> {
  const sizes: number[] = [];
  client.on('message', (data: Buffer) => sizes.push(data.length));
  client.on('error', () => {});
  return new Promise((resolve) => {
    client.on('close', (code, reason) => resolve({ sizes, code, reason: reason.toString() }));
  });
}

/** The client's socket has sent `size` bytes since the tunnel was opened, or nearly. */
async function passed(size: number): Promise<void> {
  const sent = (): number => {
    const [one] = between.proxy.set.members;
    return one?.work.tunnels === 1 ? one.socket.bytesWritten : 0;
  };
  while (sent() < size) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** The refusal has come, and what the client says goes no further. */
async function refused(): Promise<void> {
  while (![...between.proxy.set.members].some(({ socket }) => socket.isPaused()))
    await new Promise((resolve) => setTimeout(resolve, 2));
}

describe('a client of ws that is refused', () => {
  it.each([
    ['between two frames', 0],
    ['within a short head', 1],
    ['within a length', 3],
    ['before a payload', 4],
    ['within a payload', 700],
    ['before the last byte', 1003],
  ])('%s gets what it was being sent whole, then 1008 with the reason, and nothing behind it', async (_where, cut) => {
    const client = new WebSocket(`ws://127.0.0.1:${between.proxy.port}/ws`);
    const seen = watched(client);
    const up = await accept();
    await new Promise((resolve) => client.once('open', resolve));
    const first = frame(300);
    const second = frame(1_000);
    up.send(Buffer.concat([first, second.subarray(0, cut)]));
    await passed(first.length + cut + 1);
    client.send('anything');
    if (cut > 0) {
      await refused();
      up.send(Buffer.concat([second.subarray(cut), frame(77)]));
    }
    expect(await seen).toEqual({ sizes: cut > 0 ? [300, 1_000] : [300], code: 1008, reason: WHY });
    expect(between.proxy.outcomes.map(({ ending, problem }) => [ending, problem])).toEqual([['cut', WHY]]);
    await up.ended();
  });

  it('within a long one only sees its end', async () => {
    const client = new WebSocket(`ws://127.0.0.1:${between.proxy.port}/ws`);
    const seen = watched(client);
    const up = await accept();
    await new Promise((resolve) => client.once('open', resolve));
    up.send(Buffer.concat([frame(300), frame(300_000).subarray(0, 100_000)]));
    await passed(100_300);
    client.send('anything');
    expect(await seen).toMatchObject({ sizes: [300], code: 1006 });
    await up.ended();
  });

  it.each(['end', 'reset'])('within one that upstream never finishes, by %s, only sees its end', async (how) => {
    const client = new WebSocket(`ws://127.0.0.1:${between.proxy.port}/ws`);
    const seen = watched(client);
    const up = await accept();
    await new Promise((resolve) => client.once('open', resolve));
    up.send(frame(1_000).subarray(0, 500));
    await passed(500);
    client.send('anything');
    await refused();
    if (how === 'end') up.socket.end();
    else up.socket.resetAndDestroy();
    expect(await seen).toMatchObject({ sizes: [], code: 1006 });
  });
});

const PYTHON = `
import asyncio, json, sys, websockets
async def main():
    sizes = []
    async with websockets.connect(sys.argv[1], max_size=None) as ws:
        try:
            sizes.append(len(await ws.recv()))
            await ws.send('anything')
            while True: sizes.append(len(await ws.recv()))
        except websockets.ConnectionClosed as e:
            print(json.dumps([sizes, e.rcvd and e.rcvd.code, e.rcvd and e.rcvd.reason]))
asyncio.run(main())
`;

it.skipIf(uvicornPython === null)('Python’s websockets, refused within a frame, is told so behind it', async () => {
  const ran = spawn(uvicornPython ?? '', ['-c', PYTHON, `ws://127.0.0.1:${between.proxy.port}/ws`]);
  let said = '';
  ran.stdout.on('data', (bytes: Buffer) => {
    said += bytes.toString();
  });
  const over = new Promise((resolve) => ran.once('close', resolve));
  const up = await accept();
  up.send(Buffer.concat([frame(300), frame(1_000).subarray(0, 100)]));
  await refused();
  up.send(frame(1_000).subarray(100));
  await over;
  expect(JSON.parse(said)).toEqual([[300, 1_000], 1008, WHY]);
});

it('the ends of frames are found wherever their bytes are cut', () => {
  const sizes = fc.oneof(fc.constantFrom(0, 1, 125, 126, 127, 65_535, 65_536), fc.nat(300));
  fc.assert(
    fc.property(fc.array(sizes, { maxLength: 5 }), fc.array(fc.integer({ min: 1, max: 70_000 })), (all, cuts) => {
      const bytes = Buffer.concat(all.map(frame));
      const ends = new Set([0]);
      for (const size of all) ends.add(Math.max(...ends) + frame(size).length);
      const passing = followFrames();
      let at = 0;
      for (const cut of [...cuts, ...bytes.subarray(0, 40).map(() => 1), bytes.length]) {
        passing.pass(bytes.subarray(at, at + cut));
        at = Math.min(at + cut, bytes.length);
        expect(passing.between).toBe(ends.has(at));
      }
      const finishing = followFrames();
      for (const [from, to] of [...ends].slice(0, -1).map((end, i) => [end, [...ends][i + 1] ?? 0] as const)) {
        finishing.pass(bytes.subarray(from, from + 1));
        expect(finishing.finish(bytes.subarray(from + 1))).toBe(to - from - 1);
      }
    }),
  );
});
