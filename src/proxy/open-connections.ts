// All connections of a listener, as far as they are dealt with alike (connection-set.ts).
import type { Socket } from 'node:net';

/** All connections of a listener, with the clock that their deadlines go by. */
export interface ConnectionSet {
  readonly members: Set<ServedConnection>;
  /** performance.now() of the last sweep: coarse, and free to read. */
  now: number;
  /** No further request is read; each connection ends after its present answer. */
  draining: boolean;
}

export interface ConnectionWork {
  readonly connections: number;
  readonly requests: number;
  readonly tunnels: number;
}

/** One connection of a listener, as far as all of them are dealt with alike. */
export interface ServedConnection {
  readonly socket: Socket;
  /** What is under way on it. */
  readonly work: ConnectionWork;
  /** Ends what has outstayed its limit by `now`. */
  sweep(now: number): void;
  /** Ends it as soon as it is idle: now, or after its present answer. */
  drain(): void;
  /** Ends it at once, in the middle of whatever is under way. */
  cut(reason: string): void;
  /** As `cut`, and the client gets not even what was already written. */
  reset(reason: string): void;
}

/** What is under way on all of them: gauges that are cheaper to count when asked for. */
export function openWork({ members }: ConnectionSet): { readonly requestsOpen: number; readonly tunnels: number } {
  const open = { requestsOpen: 0, tunnels: 0 };
  for (const { work } of members) {
    open.requestsOpen += work.requests;
    open.tunnels += work.tunnels;
  }
  return open;
}
