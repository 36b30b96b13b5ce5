import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { hostile, SWITCHED } from './harness/hostile.ts';
import type { Serving } from './harness/house.ts';
import { rssOf } from './harness/proc.ts';
import { house } from './harness/scenario.ts';
import { get, openTcp, WEBSOCKET_OPENING, type Wire } from './harness/wire.ts';

const MIB = 1024 * 1024;
/** What is offered to whoever does not read: it would show. */
const OFFERED = 1024 * MIB;
/** What six sockets' kernel buffers and two processes may hold of it. */
const HELD = 64 * MIB;
const GROWN = 64 * MIB;
const BLOCK = Buffer.alloc(MIB, 'x');

let gate: Serving;
let sidecar: Serving;
/** Gets upstream's side of each connection once its request has come. */
let upstreamSide: (socket: Socket, head: string) => void = () => {};
const wires: Wire[] = [];

beforeAll(async () => {
  const home = await house();
  const upstream = await hostile((socket, head) => upstreamSide(socket, head));
  gate = await home.serve({ upstream: upstream.url });
  sidecar = await home.connect(gate, await home.issue('worker/etl-1'));
}, 60_000);

afterEach(() => {
  for (const wire of wires.splice(0)) wire.reset();
});

/** Sends blocks for as long as they are taken, at most OFFERED; answers how much was before nothing moved for a second. */
async function pump(socket: Socket, frame: (block: Buffer) => Buffer): Promise<number> {
  const block = frame(BLOCK);
  let sent = 0;
  let drained = Promise.resolve();
  for (; sent < OFFERED; sent += MIB) {
    if (!socket.write(block)) drained = new Promise((resolve) => socket.once('drain', resolve));
    if (await Promise.race([drained.then(() => false), sleep(1000, true)])) break;
  }
  return sent;
}

const asItIs = (block: Buffer): Buffer => block;
const asChunk = (block: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${block.length.toString(16)}\r\n`), block, Buffer.from('\r\n')]);

async function expectBounded(flow: () => Promise<number>): Promise<void> {
  const processes = [gate.running.pid, sidecar.running.pid];
  const before = processes.map(rssOf);
  const sent = await flow();
  const grown = processes.map((pid, at) => rssOf(pid) - (before[at] ?? 0));
  expect(sent).toBeGreaterThan(0);
  expect(sent).toBeLessThan(HELD);
  for (const bytes of grown) expect(bytes).toBeLessThan(GROWN);
}

/** A client of the sidecar that sends `request` and reads no more than `reads` says. */
async function client(request: string): Promise<{ wire: Wire; upstream: Socket }> {
  const arrived = new Promise<Socket>((resolve) => {
    upstreamSide = resolve;
  });
  const wire = await openTcp(sidecar.port);
  wires.push(wire);
  wire.send(request);
  return { wire, upstream: await arrived };
}

test.each([
  ['of known length', `Content-Length: ${OFFERED}`, asItIs],
  ['in chunks', 'Transfer-Encoding: chunked', asChunk],
  ['that ends with its connection', 'Connection: close', asItIs],
])('an answer %s waits at its source while its client does not read, through both sidecars', async (_, line, frame) => {
  const { wire, upstream } = await client(get('/api/bytes'));
  wire.socket.pause();
  upstream.write(`HTTP/1.1 200 OK\r\n${line}\r\n\r\n`);
  await expectBounded(async () => await pump(upstream, frame));
});

test.each([
  ['of known length', `Content-Length: ${OFFERED}`, asItIs],
  ['in chunks', 'Transfer-Encoding: chunked', asChunk],
])('an upload %s waits at its client while upstream does not read', async (_, line, frame) => {
  const { wire, upstream } = await client(`POST /api/flow_runs/filter HTTP/1.1\r\nHost: localhost\r\n${line}\r\n\r\n`);
  upstream.pause();
  await expectBounded(async () => await pump(wire.socket, frame));
});

test.each(['client', 'server'] as const)('a WebSocket whose %s does not read holds the other side up', async (idle) => {
  const { wire, upstream } = await client(WEBSOCKET_OPENING);
  upstream.write(SWITCHED);
  expect((await wire.answer()).status).toBe(101);
  const [reader, sender] = idle === 'client' ? [wire.socket, upstream] : [upstream, wire.socket];
  reader.pause();
  await expectBounded(async () => await pump(sender, asItIs));
});

test('whoever reads again gets all of it', async () => {
  const total = 48 * MIB;
  const { wire, upstream } = await client(get('/api/bytes'));
  wire.socket.pause();
  let got = 0;
  wire.socket.removeAllListeners('data');
  upstream.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`);
  for (let sent = 0; sent < total; sent += MIB) upstream.write(BLOCK);
  await sleep(200);
  expect(got).toBe(0);
  const head = await new Promise<string>((resolve) => {
    wire.socket.on('data', (bytes: Buffer) => {
      got += bytes.length;
      const end = bytes.indexOf('\r\n\r\n');
      if (end < 0) return;
      got -= end + 4;
      resolve(bytes.toString('latin1', 0, end));
    });
    wire.socket.resume();
  });
  expect(head).toContain(`content-length: ${total}`);
  await expect.poll(() => got, { timeout: 60_000 }).toBe(total);
});
