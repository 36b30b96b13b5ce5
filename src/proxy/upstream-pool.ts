// Connections to upstream, kept for the next request. A connection serves one exchange at a time and is used again only
// when its last answer ended where it said it would. It is dropped before upstream would drop it (uvicorn: 5 s), and at
// once when upstream speaks without being asked: such bytes could otherwise become another client's answer.

import type { OnReadOpts, Socket } from 'node:net';
import { openResponseMemory } from '../http1/response.ts';
import { onRead } from './direct-io.ts';

/** The exchange that a connection works for. */
export interface UpstreamUser {
  /** `bytes` may be overwritten as soon as this returns: what is kept must be copied. */
  upstreamData(bytes: Buffer): void;
  upstreamDrain(): void;
  /** Upstream has ended its direction in order. */
  upstreamEnd(): void;
  /** The connection is gone; `problem` says why when it was not in order. */
  upstreamClosed(problem: string | null): void;
}

export interface UpstreamOptions {
  /** Opens a connection that reads by `onread`; the pool adds the listeners. */
  readonly connect: (onread: OnReadOpts) => Socket;
  /** The event that says the connection is ready: `connect`, or `secureConnect` over TLS. */
  readonly readyEvent: 'connect' | 'secureConnect';
  /** How long a connection may wait unused, ms. */
  readonly idle: number;
  /** How long opening one may take, ms. */
  readonly connectTimeout: number;
}

export class UpstreamConnection {
  readonly socket: Socket;
  user: UpstreamUser | null;
  /** Exchanges it has served before the present one. */
  served = 0;
  connected = false;
  idleSince = 0;
  /** Of the answers that came by it. */
  readonly memory = openResponseMemory();
  private problem: string | null = null;

  constructor(user: UpstreamUser, options: UpstreamOptions, gone: (c: UpstreamConnection) => void) {
    const socket = options.connect(
      onRead((bytes) => {
        if (this.user === null) this.socket.destroy();
        else this.user.upstreamData(bytes);
      }),
    );
    this.socket = socket;
    this.user = user;
    socket.setNoDelay(true);
    const timer = setTimeout(() => {
      this.problem = `no connection within ${options.connectTimeout} ms`;
      socket.destroy();
    }, options.connectTimeout);
    socket.once(options.readyEvent, () => {
      clearTimeout(timer);
      this.connected = true;
    });
    socket.on('drain', () => this.user?.upstreamDrain());
    socket.on('end', () => {
      if (this.user === null) socket.destroy();
      else this.user.upstreamEnd();
    });
    socket.on('error', (error: Error & { code?: string }) => {
      this.problem ??= error.code === undefined ? error.message : `${error.code}: ${error.message}`;
      // Node leaves one open that breaks TLS, as it has two ends of its own.
      socket.destroy();
    });
    socket.on('close', () => {
      clearTimeout(timer);
      gone(this);
      const left = this.user;
      this.user = null;
      left?.upstreamClosed(this.problem);
    });
  }
}

export interface UpstreamPool {
  /**
   * A connection for `user`: a kept one unless `fresh`, else one being opened (what is written to it waits). `now` is
   * performance.now().
   */
  acquire(user: UpstreamUser, fresh: boolean, now: number): UpstreamConnection;
  /** Gives a connection back whose answer was read to its end. */
  release(connection: UpstreamConnection, now: number): void;
  /** Drops kept connections so that the next request opens a new one (new credentials, a new upstream). */
  refresh(): void;
  /** Ends every connection, busy ones too. */
  close(): void;
  size(): { readonly open: number; readonly idle: number };
}

export function openUpstreamPool(options: UpstreamOptions): UpstreamPool {
  const all = new Set<UpstreamConnection>();
  let idle: UpstreamConnection[] = [];
  /** How many of those have gone, at most. */
  let goneIdle = 0;
  let generation = 0;
  const born = new WeakMap<UpstreamConnection, number>();

  const gone = (connection: UpstreamConnection): void => {
    all.delete(connection);
    // One that is gone is passed over; they are taken out together: upstream may end all of them at once.
    if (connection.user !== null || ++goneIdle * 2 <= idle.length) return;
    idle = idle.filter((other) => all.has(other));
    goneIdle = 0;
  };

  // The oldest are at the front: the pool takes from the end and lets the rest age.
  const sweep = setInterval(
    () => {
      const limit = performance.now() - options.idle;
      while (idle[0] !== undefined && idle[0].idleSince < limit) idle.shift()?.socket.destroy();
    },
    Math.max(50, options.idle / 8),
  );
  sweep.unref();

  return {
    acquire(user, fresh, now) {
      const limit = now - options.idle;
      while (!fresh && idle.length > 0) {
        const kept = idle.pop();
        if (kept === undefined || kept.socket.destroyed || kept.socket.readableEnded) continue;
        if (kept.idleSince < limit) {
          kept.socket.destroy();
          continue;
        }
        kept.user = user;
        return kept;
      }
      const connection = new UpstreamConnection(user, options, gone);
      born.set(connection, generation);
      all.add(connection);
      return connection;
    },
    release(connection, now) {
      connection.user = null;
      connection.served++;
      if (born.get(connection) !== generation || connection.socket.destroyed) {
        connection.socket.destroy();
        return;
      }
      connection.socket.resume();
      connection.idleSince = now;
      idle.push(connection);
    },
    refresh() {
      generation++;
      for (const connection of idle.splice(0)) connection.socket.destroy();
    },
    close() {
      clearInterval(sweep);
      for (const connection of all) connection.socket.destroy();
    },
    size: () => ({ open: all.size, idle: idle.filter((one) => all.has(one)).length }),
  };
}
