// What concerns all connections of a listener at once: binding it, the deadlines of each, and the end of all.

import { lstatSync, unlinkSync } from 'node:fs';
import { connect, type Server, type Socket } from 'node:net';
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

/** Binds `server`. CG_LISTEN names the address and what is in the way. */
export async function bind(
  server: Server,
  where: { readonly host: string; readonly port: number } | { readonly path: string },
): Promise<void> {
  if ('path' in where) await removeStale(where.path);
  await new Promise<void>((resolve, reject) => {
    const failed = (error: Error): void => {
      const address = 'path' in where ? where.path : `${where.host}:${where.port}`;
      reject(new CertgateError('CG_LISTEN', { address, reason: error.message }, { cause: error }));
    };
    server.once('error', failed);
    // The file of a unix socket is made within listen(): nobody else's from its first moment.
    const before = 'path' in where ? process.umask(0o177) : null;
    server.listen({ ...where, backlog: BACKLOG }, () => {
      server.off('error', failed);
      // An accept that fails (no file descriptors left) is not the end of the listener.
      server.on('error', () => {});
      resolve();
    });
    if (before !== null) process.umask(before);
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
