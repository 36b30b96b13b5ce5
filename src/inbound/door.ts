// The door: accepts TCP connections, and resets at once those over a limit, before a handshake costs anything. What it
// lets in goes on to TLS in this process or in a worker. It reads and writes no byte.

import { createServer, type Server, type Socket } from 'node:net';
import type { LimitedLog } from '../observe/limited-log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { DoorCounts, DoorRefusal } from './door-counts.ts';

export interface DoorOptions {
  readonly counts: DoorCounts;
  readonly log: LimitedLog;
  readonly metrics: Metrics;
  /** Leaves what comes unread, for a process that only hands it on. */
  readonly pauseOnConnect?: boolean;
  /** Takes a connection over. It is counted, and must leave `counts` under `address` when it ends. */
  readonly letIn: (socket: Socket, address: string) => void;
}

/** A listener that is not bound yet. */
export function createDoor(options: DoorOptions): Server {
  const door = createServer({
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
    pauseOnConnect: options.pauseOnConnect === true,
  });
  door.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress;
    // It has gone already.
    if (address === undefined) {
      socket.destroy();
      return;
    }
    const refusal = options.counts.enter(address, performance.now());
    if (refusal === null) options.letIn(socket, address);
    else turnAway(socket, address, refusal, options);
  });
  return door;
}

/** Resets a connection, counts that and says so. */
export function turnAway(
  socket: Socket,
  address: string,
  code: DoorRefusal,
  { log, metrics }: Pick<DoorOptions, 'log' | 'metrics'>,
): void {
  if (code === 'CG_LIMIT_HANDSHAKES') metrics.limitedHandshakes++;
  else metrics.limitedConnections++;
  socket.on('error', () => {});
  socket.resetAndDestroy();
  log.say('warn', code, { address, code }, 'connection refused before its handshake');
}
