import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { within } from './harness/eventually.ts';
import { hostile, SWITCHED } from './harness/hostile.ts';
import { credentialsIn, type Serving } from './harness/house.ts';
import { house } from './harness/scenario.ts';
import { type Credentials, get, openTcp, openTls, WEBSOCKET_OPENING, type Wire } from './harness/wire.ts';

let gate: Serving;
let sidecar: Serving;
let credentials: Credentials;
let upstreamSide: (socket: Socket) => void = () => {};
const wires: Wire[] = [];

beforeAll(async () => {
  const home = await house();
  const upstream = await hostile((socket) => upstreamSide(socket));
  gate = await home.serve({ upstream: upstream.url });
  const identity = await home.issue('worker/etl-1');
  credentials = await credentialsIn(identity);
  sidecar = await home.connect(gate, identity);
}, 60_000);

afterEach(() => {
  for (const wire of wires.splice(0)) wire.socket.destroy();
});

describe.each(['the gate', 'both sidecars'])('through %s', (way) => {
  async function connect(): Promise<Wire> {
    const wire =
      way === 'the gate'
        ? await openTls(gate.port, credentials, { halfOpen: true })
        : await openTcp(sidecar.port, { halfOpen: true });
    wires.push(wire);
    return wire;
  }

  async function client(request: string): Promise<{ wire: Wire; upstream: Socket }> {
    const arrived = new Promise<Socket>((resolve) => {
      upstreamSide = resolve;
    });
    const wire = await connect();
    wire.send(request);
    return { wire, upstream: await within('the request arrives', arrived) };
  }

  test('a client that has asked and ends its direction still gets its whole answer, and then the end', async () => {
    const { wire, upstream } = await client(get('/api/hello'));
    wire.socket.end();
    upstream.write('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 12\r\n\r\ntwelve');
    await wire.until('half the answer', (bytes) => (bytes.includes('twelve') ? true : undefined));
    upstream.write(' bytes');
    expect((await wire.answer()).body.toString()).toBe('twelve bytes');
    expect((await within('the connection ends', wire.ended)).how).toBe('end');
  });

  test('a client that has asked for much and ends its direction gets all its answers, and then the end', async () => {
    upstreamSide = (upstream) => {
      const answer = (): void => void upstream.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      answer();
      upstream.on('data', answer);
      upstreams.push(upstream);
    };
    const upstreams: Socket[] = [];
    const wire = await connect();
    wire.socket.end(get('/api/hello').repeat(20));
    for (let i = 0; i < 20; i++) expect((await wire.answer()).status).toBe(200);
    // The next test has one of its own.
    for (const upstream of upstreams) upstream.destroy();
    expect((await within('the connection ends', wire.ended)).how).toBe('end');
  });

  test('a client that ends its direction within a body has its request broken off upstream', async () => {
    const { wire, upstream } = await client(
      'POST /api/flow_runs/filter HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf',
    );
    const ended = once(upstream.resume(), 'end');
    wire.socket.end();
    await within('upstream’s connection ends', ended);
    await within('the client’s connection ends', wire.ended);
  });

  test('upstream’s end is the end of an answer that has no length, and the client’s connection goes on', async () => {
    const { wire, upstream } = await client(get('/api/hello'));
    upstream.write('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end');
    await wire.until('the answer', (bytes) => (bytes.includes('to the end') ? true : undefined));
    upstream.end();
    expect((await wire.answer()).body.toString()).toBe('to the end');
    const again = new Promise<Socket>((resolve) => {
      upstreamSide = resolve;
    });
    wire.send(get('/api/again'));
    (await within('the next request arrives', again)).end('HTTP/1.1 204 No Content\r\n\r\n');
    expect((await wire.answer()).status).toBe(204);
  });

  test('in a WebSocket each side’s end is passed on, and the other side may go on', async () => {
    for (const first of ['client', 'upstream'] as const) {
      const { wire, upstream } = await client(WEBSOCKET_OPENING);
      upstream.write(SWITCHED);
      expect((await wire.answer()).status).toBe(101);
      let atUpstream = '';
      upstream.on('data', (bytes: Buffer) => {
        atUpstream += bytes.toString('latin1');
      });
      const upstreamEnded = once(upstream, 'end');
      const clientEnded = once(wire.socket, 'end');
      if (first === 'client') {
        wire.socket.end('last of the client');
        await within('upstream sees the end', upstreamEnded);
        upstream.write('upstream goes on');
        await wire.until('upstream goes on', (bytes) => (bytes.includes('upstream goes on') ? true : undefined));
        upstream.end();
        await within('the client sees the end', clientEnded);
        expect(atUpstream).toBe('last of the client');
      } else {
        upstream.end('last of upstream');
        await within('the client sees the end', clientEnded);
        expect(wire.received().toString('latin1')).toBe('last of upstream');
        wire.socket.end('the client goes on');
        await within('upstream sees the end', upstreamEnded);
        expect(atUpstream).toBe('the client goes on');
      }
    }
  });
});
