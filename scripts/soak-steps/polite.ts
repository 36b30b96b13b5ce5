// What well-behaved clients do, through the sidecar or with a certificate of their own, and what each must get back. An
// action that gets anything else throws, and says what.

import { once } from 'node:events';
import { type IncomingMessage, type RequestOptions, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { Seen } from '../../test/e2e/harness/echo.ts';
import { ask, get, openTls } from '../../test/e2e/harness/wire.ts';
import type { Place } from './place.ts';
import { digest, LONGEST, randomSlice, slice } from './upstream.ts';

export type Action = (place: Place, stopped: AbortSignal) => Promise<void>;

interface Got {
  readonly status: number;
  readonly body: Buffer;
  /** The answer ended where its framing said. */
  readonly whole: boolean;
}

const pick = <T>(...choices: readonly [T, ...T[]]): T =>
  choices[Math.floor(Math.random() * choices.length)] ?? choices[0];

function must(right: boolean, what: string): void {
  if (!right) throw new Error(what);
}

/** Sends a request by one of the two ways in, on a kept connection. */
async function send(
  place: Place,
  method: string,
  target: string,
  body: readonly Buffer[] = [],
  headers: Readonly<Record<string, string | number>> = {},
): Promise<Got> {
  const direct = Math.random() < 0.5;
  const options: RequestOptions = {
    host: '127.0.0.1',
    port: direct ? place.gate.port : place.sidecar.port,
    method,
    path: target,
    headers,
    agent: direct ? place.mutual : place.plain,
  };
  const request = direct ? requestHttps(options) : requestHttp(options);
  const answered = once(request, 'response') as Promise<[IncomingMessage]>;
  for (const part of body) {
    if (!request.write(part)) await once(request, 'drain');
  }
  request.end();
  const [response] = await answered;
  const parts: Buffer[] = [];
  try {
    for await (const part of response as AsyncIterable<Buffer>) parts.push(part);
  } catch {
    // Told by `complete`.
  }
  return { status: response.statusCode ?? 0, body: Buffer.concat(parts), whole: response.complete };
}

const small: Action = async (place) => {
  const target = `/api/hello?n=${Math.random()}`;
  const { status, body, whole } = await send(place, 'GET', target);
  must(status === 200 && whole, `GET answered ${status}`);
  const seen = JSON.parse(body.toString()) as Seen;
  must(seen.target === target, `GET ${target} arrived as ${seen.target}`);
  const who = seen.headers.find(([name]) => name === 'x-certgate-identity')?.[1];
  must(who === 'worker/soak', `arrived as ${who ?? 'nobody'}`);
};

const write: Action = async (place) => {
  const { offset, length } = randomSlice(65_536);
  const text = slice(offset, length).toString('base64');
  const method = pick('POST', 'POST', 'PUT', 'PATCH', 'DELETE');
  const headers = { 'content-type': 'application/json', 'content-length': text.length };
  const { status, body } = await send(place, method, '/api/flow_runs/filter', [Buffer.from(text)], headers);
  must(status === 200, `${method} answered ${status}`);
  const seen = JSON.parse(body.toString()) as Seen;
  must(seen.body === text && seen.method === method, `${method} arrived changed`);
};

const upload: Action = async (place) => {
  const { offset, length } = randomSlice(LONGEST);
  const whole = slice(offset, length);
  const parts: Buffer[] = [];
  for (let at = 0; at < length; at += 20_000) parts.push(whole.subarray(at, at + 20_000));
  const { status, body } = await send(place, 'POST', '/api/soak/digest', parts);
  must(status === 200 && body.toString() === digest(whole), `an upload of ${length} bytes arrived changed (${status})`);
};

const download: Action = async (place) => {
  const { offset, length } = randomSlice(LONGEST);
  const framing = pick('length', 'chunked', 'close');
  const target = `/api/soak/bytes?from=${offset}&length=${length}&framing=${framing}`;
  const { status, body, whole } = await send(place, 'GET', target);
  must(
    status === 200 && whole && body.equals(slice(offset, length)),
    `${target} answered ${status}, ${body.length} bytes`,
  );
};

const broken: Action = async (place) => {
  // Long enough to be half answered before it breaks.
  const framing = pick('length', 'chunked', 'close');
  const target = `/api/soak/broken?from=0&length=${LONGEST}&framing=${framing}`;
  const got = await send(place, 'GET', target).catch(() => null);
  must(got === null || got.status === 502 || !got.whole, `an answer that broke off (${framing}) looked whole`);
};

const bare: Action = async (place) => {
  const code = pick(204, 304, 404, 500);
  const method = pick('GET', 'HEAD');
  const { status, body } = await send(place, method, `/api/soak/status?code=${code}`);
  must(status === code && body.length === 0, `${method} of ${code} answered ${status}`);
};

const handshake: Action = async (place) => {
  const wire = await openTls(place.gate.port, place.credentials);
  const answer = await ask(wire, get('/api/hello'));
  wire.socket.destroy();
  must(answer.status === 200, `a new connection was answered ${answer.status}`);
};

const webSocket: Action = async (place, stopped) => {
  const direct = Math.random() < 0.5;
  const socket = direct
    ? new WebSocket(`wss://127.0.0.1:${place.gate.port}/api/events/in`, 'prefect', place.credentials)
    : new WebSocket(`ws://127.0.0.1:${place.sidecar.port}/api/events/in`, 'prefect');
  const closed = once(socket, 'close');
  await once(socket, 'open');
  socket.on('error', () => {});
  // Most come and go, some stay a while, as Prefect's do.
  const rounds = Math.random() < 0.9 ? 3 : 30;
  for (let round = 0; round < rounds && !stopped.aborted; round++) {
    const { offset, length } = randomSlice(100_000);
    const echoed = once(socket, 'message') as Promise<[Buffer]>;
    socket.send(slice(offset, length));
    const [back] = await echoed;
    must(back.equals(slice(offset, length)), 'a WebSocket message came back changed');
    const pong = once(socket, 'pong');
    socket.ping();
    await pong;
    if (rounds > 3) await sleep(1000);
  }
  socket.close();
  await closed;
};

/** Each with how often it is drawn. */
export const POLITE: ReadonlyArray<readonly [name: string, weight: number, action: Action]> = [
  ['small request', 20, small],
  ['write', 14, write],
  ['upload', 6, upload],
  ['download', 12, download],
  ['broken answer', 3, broken],
  ['bare answer', 4, bare],
  ['new connection', 4, handshake],
  ['WebSocket', 6, webSocket],
];
