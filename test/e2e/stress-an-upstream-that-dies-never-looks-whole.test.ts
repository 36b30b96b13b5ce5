import { type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import { beforeAll, describe, expect, test } from 'vitest';
import { within } from './harness/eventually.ts';
import { hostile, SWITCHED } from './harness/hostile.ts';
import { credentialsIn, type House, type Serving } from './harness/house.ts';
import { house } from './harness/scenario.ts';
import { ask, type Credentials, get, openTls, WEBSOCKET_OPENING, type Wire } from './harness/wire.ts';

let home: House;
let gate: Serving;
let sidecar: Serving;
let credentials: Credentials;
let behave: (socket: Socket, head: string) => void = () => {};
/** What upstream does with a connection before it has read anything. */
let accepted: (socket: Socket) => void = () => {};

beforeAll(async () => {
  home = await house();
  const upstream = await hostile(
    (socket, head) => behave(socket, head),
    (socket) => accepted(socket),
  );
  gate = await home.serve({ upstream: upstream.url, env: { CERTGATE_SERVE_LIMITS_STALL: '1s' } });
  const identity = await home.issue('worker/etl-1');
  credentials = await credentialsIn(identity);
  sidecar = await home.connect(gate, identity);
}, 60_000);

const ENDINGS: Readonly<Record<string, (socket: Socket) => void>> = {
  'ends its connection': (socket) => void socket.end(),
  'resets its connection': (socket) => void socket.resetAndDestroy(),
};
const FRAMINGS = {
  'a known length': 'Content-Length: 100000\r\n\r\nfirst bytes',
  chunks: 'Transfer-Encoding: chunked\r\n\r\nb\r\nfirst bytes\r\n',
  'chunks, within one': 'Transfer-Encoding: chunked\r\n\r\nffff\r\nfirst bytes',
};

/** Through both sidecars, as an ordinary HTTP client sees it: what came, and whether it seems whole. */
async function seenByClient(): Promise<{ readonly status: number; readonly body: string; readonly whole: boolean }> {
  return await new Promise((resolve, reject) => {
    const asked = request({ port: sidecar.port, host: '127.0.0.1', path: '/api/bytes', agent: false });
    asked.once('error', reject);
    asked.once('response', (response: IncomingMessage) => {
      let body = '';
      response.setEncoding('latin1').on('data', (text: string) => {
        body += text;
        onBody(body);
      });
      response.on('error', () => {});
      response.once('close', () => resolve({ status: response.statusCode ?? 0, body, whole: response.complete }));
    });
    asked.end();
  });
}
let onBody: (body: string) => void = () => {};

describe.each(Object.entries(ENDINGS))('an upstream that %s', (name, ending) => {
  test.each(Object.entries(FRAMINGS))(
    'in the midst of a body of %s leaves the client with a broken one',
    async (_, framing) => {
      behave = (socket) => {
        socket.write(`HTTP/1.1 200 OK\r\n${framing}`);
        // Only when the client has the first bytes: they must not be what is waited for.
        onBody = () => ending(socket);
      };
      expect(await within('the answer ends', seenByClient())).toEqual({
        status: 200,
        body: 'first bytes',
        whole: false,
      });
    },
  );

  test('in the midst of a body without a length breaks it only if that was no orderly end', async () => {
    behave = (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfirst bytes');
      onBody = () => ending(socket);
    };
    const whole = name === 'ends its connection';
    expect(await within('the answer ends', seenByClient())).toEqual({ status: 200, body: 'first bytes', whole });
  });

  test('within its head, or before it, is answered for with 502', async () => {
    for (const words of ['', 'HTTP/1.1 200 OK\r\nContent-Le']) {
      behave = (socket) => (words === '' ? ending(socket) : socket.write(words, () => ending(socket)));
      const { status, whole } = await within('an answer', seenByClient());
      expect([status, whole]).toEqual([502, true]);
    }
  });

  test('as soon as it is connected to is answered for, and the next request is served', async () => {
    accepted = ending;
    const { status, whole } = await within('an answer', seenByClient());
    accepted = () => {};
    expect([502, 503]).toContain(status);
    expect(whole).toBe(true);
    behave = (socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    expect(await within('an answer', seenByClient())).toEqual({ status: 200, body: 'ok', whole: true });
  });

  test('in a WebSocket ends the client’s', async () => {
    behave = (socket) => socket.write(`${SWITCHED}hello`, () => ending(socket));
    const wire = await openTls(gate.port, credentials);
    wire.send(WEBSOCKET_OPENING);
    expect((await wire.answer()).status).toBe(101);
    await within('the client’s connection ends', wire.ended);
    wire.socket.destroy();
  });
});

test('an upstream that accepts and never answers is answered for once nothing has moved for the limit, and holds nobody else up', async () => {
  behave = (socket, head) => {
    if (head.includes('/api/hello')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  };
  const waiting = await Promise.all(
    Array.from({ length: 50 }, async (): Promise<Wire> => await openTls(gate.port, credentials)),
  );
  const answers = waiting.map(async (wire) => await ask(wire, get('/api/never')));
  const other = await openTls(gate.port, credentials);
  expect((await within('another is served', ask(other, get('/api/hello')))).body.toString()).toBe('ok');
  for (const answer of await within('each has an answer', Promise.all(answers))) expect(answer.status).toBe(502);
  for (const wire of [...waiting, other]) wire.socket.destroy();
});
