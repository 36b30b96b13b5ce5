// The control socket of a running gate: a unix socket in its state folder (0600, the folder 0700), for the CLI on the
// same machine. It answers what a person at the machine may know and triggers what the gate does by itself anyway; it
// can't issue, grant or switch anything off. Whoever can open it could read the store as well.

import { createServer, type Socket } from 'node:net';
import { CertgateError, reasonOf } from '../errors.ts';
import { readRequestHead } from '../http1/request.ts';
import { writeOwnAnswer } from '../http1/write.ts';
import { asciiJson } from '../observe/ascii-json.ts';
import { type BodyTaking, type TakenBody, takeBody } from '../proxy/body-taking.ts';
import { removeStale } from '../proxy/connection-set.ts';
import { listenPrivately } from './private-socket.ts';

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
const HEAD = { headBytes: 8_192, headerLines: 50 } as const;
/** For a whole question, and to take the answer to it, ms. */
const PATIENCE = 5_000;
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
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    serveOne(socket, routes);
  });
  await listenPrivately(server, path);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

interface Reply {
  readonly status: number;
  readonly body: unknown;
}

/** One question of a connection, and its answer. */
function serveOne(socket: Socket, routes: ControlRoutes): void {
  let bytes: Buffer = Buffer.alloc(0);
  let taking: BodyTaking | null = null;
  const giveUp = (): NodeJS.Timeout => setTimeout(() => socket.destroy(), PATIENCE).unref();
  let patience = giveUp();
  socket.once('close', () => clearTimeout(patience));
  socket.on('error', () => {});

  const end = ({ status, body }: Reply): void => {
    clearTimeout(patience);
    patience = giveUp();
    socket.end(writeOwnAnswer(status, { type: 'application/json', text: asciiJson(body) }, true, true, ''), 'latin1');
  };
  const answerTo = (name: string, body: TakenBody): void => {
    clearTimeout(patience);
    socket.off('data', read).resume();
    answer(routes, name, body).then(end, () => socket.destroy());
  };
  socket.on('data', read);

  function read(part: Buffer): void {
    if (taking !== null) {
      taking.add(part);
      return;
    }
    bytes = Buffer.concat([bytes, part]);
    const head = readRequestHead(bytes, 0, HEAD);
    if (head === null) return;
    if (!head.ok) {
      socket.off('data', read).resume();
      end({ status: head.status, body: { detail: head.reason } });
      return;
    }
    if (head.expectsContinue) socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
    taking = takeBody(head.bodyLength, MOST_BODY_BYTES, (body) => answerTo(`${head.method} ${head.target}`, body));
    taking.add(bytes.subarray(head.size));
  }
}

async function answer(routes: ControlRoutes, name: string, body: TakenBody): Promise<Reply> {
  const route = Object.hasOwn(routes, name) ? routes[name] : undefined;
  if (route === undefined) return { status: 404, body: { detail: 'no such question' } };
  if (body === 'too long') return { status: 413, body: { detail: `a question may have ${MOST_BODY_BYTES} bytes` } };
  if (body === 'malformed') return { status: 400, body: { detail: 'the body has a malformed chunk' } };
  try {
    return { status: 200, body: await route(body.length === 0 ? null : JSON.parse(body.toString('utf8'))) };
  } catch (error) {
    return { status: 503, body: { detail: reasonOf(error) } };
  }
}
