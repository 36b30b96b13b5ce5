// The control socket of a running gate: a unix socket in its state folder (0600, the folder 0700), for the CLI on the
// same machine. It answers what a person at the machine may know and triggers what the gate does by itself anyway; it
// can't issue, grant or switch anything off. Whoever can open it could read the store as well.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { CertgateError, reasonOf } from '../errors.ts';
import { removeStale } from '../proxy/connection-set.ts';
import { listenPrivately } from './private-socket.ts';

// Not imported: an import reads every export of node:http, and its WebSocket loads all of undici: 23 ms and 6 MB more.
const { createServer } = process.getBuiltinModule('node:http');

/** The answers to the control socket's questions, as JSON. */
export type ControlRoutes = Readonly<Record<string, (body: unknown) => Promise<unknown>>>;

export interface ControlServer {
  close(): Promise<void>;
}

/** The `causes` of a question's body (see `applyRecords`); none when it names none. */
export function causesIn(body: unknown): readonly string[] {
  if (typeof body !== 'object' || body === null || !('causes' in body) || !Array.isArray(body.causes)) return [];
  return body.causes.filter((cause) => typeof cause === 'string');
}

/** The longest body of a question, bytes. */
const MOST_BODY_BYTES = 16 * 1024 * 1024;
/** Longest path of a unix socket that Linux takes. */
const MOST_PATH_BYTES = 107;

/**
 * Serves `routes` (keys such as `GET /health`) on the socket at `path`. A socket that a dead gate left is replaced;
 * one that answers is another gate's: CG_GATE_RUNNING. CG_LISTEN when it can't be bound.
 */
export async function serveControl(path: string, routes: ControlRoutes): Promise<ControlServer> {
  if (Buffer.byteLength(path) > MOST_PATH_BYTES) {
    const reason = `the path of a unix socket may have ${MOST_PATH_BYTES} bytes, choose a shorter stateDir`;
    throw new CertgateError('CG_LISTEN', { address: path, reason });
  }
  if ((await removeStale(path)) === 'taken') throw new CertgateError('CG_GATE_RUNNING', { socket: path });
  const server = createServer({ requestTimeout: 5_000 }, (request, response) => void handle(routes, request, response));
  await listenPrivately(server, path);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function handle(routes: ControlRoutes, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const reply = (status: number, body: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
    response.end(JSON.stringify(body));
  };
  const name = `${request.method ?? ''} ${request.url ?? ''}`;
  const route = Object.hasOwn(routes, name) ? routes[name] : undefined;
  if (route === undefined) return reply(404, { detail: 'no such question' });
  try {
    return reply(200, await route(await bodyOf(request)));
  } catch (error) {
    return reply(503, { detail: reasonOf(error) });
  }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > MOST_BODY_BYTES) throw new RangeError(`a question may have ${MOST_BODY_BYTES} bytes`);
    parts.push(part);
  }
  return size === 0 ? null : JSON.parse(Buffer.concat(parts).toString('utf8'));
}
