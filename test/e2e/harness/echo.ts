// The upstream called echo: not Prefect. It answers with what it was sent, so that a test sees exactly what a gate
// passes on; it can be told to hold an answer or a stream open, which no route of Prefect's does. WebSockets are
// accepted and handed to the test.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

/** A request as echo got it. */
export interface Seen {
  readonly method: string;
  readonly target: string;
  /** Names and values as sent, in order. */
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
  readonly body: string;
}

export interface EchoOptions {
  /** Answers instead of echo, for the targets it knows; true when it did. */
  readonly answer?: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** Gets each accepted WebSocket. Pings are answered by the test, or by nobody. */
  readonly webSocket?: (socket: WebSocket, request: IncomingMessage) => void;
  readonly port?: number;
  /** A unix socket in place of a port. */
  readonly path?: string;
}

export interface Echo {
  readonly url: string;
  readonly port: number;
  /** All heads so far, upgrades included. */
  readonly heads: readonly IncomingMessage[];
  stop(): Promise<void>;
}

/** For `answer`: to a request for /api/slow a head and `half` of a body, and then nothing until the test ends `response`. */
export function answersHalf(
  half: string,
  held: (response: ServerResponse) => void = () => {},
): NonNullable<EchoOptions['answer']> {
  return (request, response) => {
    if (request.url !== '/api/slow') return false;
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.write(half);
    held(response);
    return true;
  };
}

/** Starts echo on a free loopback port. */
export async function startEcho(options: EchoOptions = {}): Promise<Echo> {
  const heads: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    heads.push(request);
    if (options.answer?.(request, response) !== true) void repeat(request, response);
  });
  // An idle connection outlives any gate's patience, so that it is never echo that ends one.
  server.keepAliveTimeout = 600_000;
  server.requestTimeout = 0;
  const sockets = new WebSocketServer({
    noServer: true,
    autoPong: false,
    handleProtocols: (offered) => [...offered][0] ?? false,
  });
  server.on('upgrade', (request, socket, head) => {
    heads.push(request);
    sockets.handleUpgrade(request, socket, head, (accepted) => {
      accepted.on('error', () => {});
      options.webSocket?.(accepted, request);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    if (options.path === undefined) server.listen(options.port ?? 0, '127.0.0.1', resolve);
    else server.listen(options.path, resolve);
  });
  const port = options.path === undefined ? (server.address() as AddressInfo).port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    heads,
    stop: async () => {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Names and values of a head, as sent. */
function headerPairs(request: IncomingMessage): ReadonlyArray<readonly [string, string]> {
  const pairs: Array<readonly [string, string]> = [];
  for (let i = 0; i + 1 < request.rawHeaders.length; i += 2)
    pairs.push([request.rawHeaders[i] ?? '', request.rawHeaders[i + 1] ?? '']);
  return pairs;
}

async function repeat(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const parts: Buffer[] = [];
  try {
    for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
  } catch {
    return;
  }
  const seen: Seen = {
    method: request.method ?? '',
    target: request.url ?? '',
    headers: headerPairs(request),
    body: Buffer.concat(parts).toString('latin1'),
  };
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(seen));
}
