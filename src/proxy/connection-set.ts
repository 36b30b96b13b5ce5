// What concerns all connections of a listener at once: binding it, the deadlines of each, and the end of all.

import { fstatSync, lstatSync, unlinkSync } from 'node:fs';
import { type AddressInfo, connect, type Server, type Socket } from 'node:net';
import { CertgateError, NO_SOCKET, systemCode } from '../errors.ts';
import { ClientConnection } from './client-connection.ts';
import type { Handler, Limits, Verdict } from './contract.ts';
import type { ConnectionSet } from './open-connections.ts';
import type { UpstreamPool } from './upstream-pool.ts';

/**
 * Connections that may wait to be accepted, as far as the system lets (net.core.somaxconn). Past it the system drops what
 * it has already told the client is open, and each of the two finds out seconds or minutes later.
 */
const BACKLOG = 4096;
/** Deadlines are held to within this, ms. */
const SWEEP_INTERVAL = 250;

/** Serves `socket` until it ends; the connection is in `set.members` meanwhile. */
export function serveClient(
  socket: Socket,
  handler: Handler<Verdict>,
  pool: UpstreamPool,
  limits: Limits,
  set: ConnectionSet,
): ClientConnection {
  return new ClientConnection(socket, handler, pool, limits, set);
}

/** Keeps the set's clock and every connection's deadline; `also` runs with it. Answers how to stop. */
export function sweepConnections(set: ConnectionSet, also: () => void): () => void {
  const timer = setInterval(() => {
    set.now = performance.now();
    for (const connection of set.members) connection.sweep(set.now);
    also();
  }, SWEEP_INTERVAL);
  timer.unref();
  return () => clearInterval(timer);
}

/**
 * Ends every connection: the idle ones now, the others after their answer; tunnels, which have no end of their own, when
 * no answer is under way any more; whatever is left after `ms`, or when `hurry` is aborted.
 */
export async function drainConnections(set: ConnectionSet, ms: number, hurry?: AbortSignal): Promise<void> {
  set.draining = true;
  for (const connection of set.members) connection.drain();
  const end = performance.now() + ms;
  while (set.members.size > 0 && performance.now() < end && hurry?.aborted !== true) {
    const members = [...set.members];
    if (members.every(({ work }) => work.requests === 0)) {
      for (const member of members) if (member.work.tunnels > 0) member.cut('this side is stopping');
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  for (const connection of [...set.members]) connection.cut('the drain time is over');
}

/** A socket that is bound already, passed to this process by who started it. */
export interface PassedSocket {
  readonly fd: number;
  /** As messages call it. */
  readonly name: string;
}

export interface TcpAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * Has `server` listen for TCP, and answers where: `host` as it was asked for, or as what was passed is bound. CG_LISTEN,
 * CG_PASSED_SOCKET.
 */
export async function bindTcp(server: Server, where: TcpAddress | PassedSocket): Promise<TcpAddress> {
  const bound = await bind(server, where);
  if (!('fd' in where)) return { host: where.host, port: bound?.port ?? where.port };
  if (bound !== null) return { host: bound.address, port: bound.port };
  server.close();
  throw unusable(where, 'is a unix socket, and this listens for TCP');
}

/**
 * Has `server` listen, and answers where it is bound; null for a unix socket. CG_LISTEN names the address and what is in the
 * way, CG_PASSED_SOCKET what is wrong with what was passed.
 */
export async function bind(
  server: Server,
  where: TcpAddress | { readonly path: string } | PassedSocket,
): Promise<AddressInfo | null> {
  if ('path' in where) await removeStale(where.path);
  if ('fd' in where) refuseNoSocket(where);
  await new Promise<void>((resolve, reject) => {
    const failed = (error: Error): void => {
      if ('fd' in where) {
        reject(unusable(where, `cannot be listened on: ${error.message}`));
        return;
      }
      const address = 'path' in where ? where.path : `${where.host}:${where.port}`;
      reject(new CertgateError('CG_LISTEN', { address, reason: error.message }, { cause: error }));
    };
    const listening = (): void => {
      server.off('error', failed);
      // An accept that fails (no file descriptors left) is not the end of the listener.
      server.on('error', () => {});
      resolve();
    };
    server.once('error', failed);
    // The file of a unix socket is made within listen(): nobody else's from its first moment.
    const before = 'path' in where ? process.umask(0o177) : null;
    // Of a descriptor, Node takes no `backlog` among the options: it would cut what systemd has set to 511.
    if ('fd' in where) server.listen({ fd: where.fd }, BACKLOG, listening);
    else server.listen({ ...where, backlog: BACKLOG }, listening);
    if (before !== null) process.umask(before);
  });
  const bound = server.address();
  return typeof bound === 'object' ? bound : null;
}

/** Before Node takes hold of it: it would close what it can't listen on, and that might be a file or pipe of its own. */
function refuseNoSocket(passed: PassedSocket): void {
  let isSocket: boolean;
  try {
    isSocket = fstatSync(passed.fd).isSocket();
  } catch {
    throw unusable(passed, 'is closed');
  }
  if (!isSocket) throw unusable(passed, 'is no socket');
}

function unusable({ fd, name }: PassedSocket, problem: string): CertgateError {
  return new CertgateError('CG_PASSED_SOCKET', {
    name,
    problem: `descriptor ${fd} ${problem}`,
    remedy: 'ListenStream= in the .socket unit, with an address of the kind meant here, and no Accept=yes',
  });
}

/** How a connection to a unix socket fails where nobody listens; the last is a file that is none. */
const NOBODY_THERE: ReadonlySet<string> = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTSOCK']);

/** Removes the file of a unix socket on which nobody answers any more; one that answers stays. CG_LISTEN for what is no socket. */
export async function removeStale(path: string): Promise<'free' | 'taken'> {
  const answers = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // Who is stopped, or has too many waiting, refuses with EAGAIN; whose it is who may not connect, EACCES.
    socket.once('error', (error) => resolve(!NOBODY_THERE.has(systemCode(error))));
  });
  if (answers) return 'taken';
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there?.isSocket() === false) throw new CertgateError('CG_LISTEN', { address: path, reason: NO_SOCKET });
  if (there !== undefined) unlinkSync(path);
  return 'free';
}
