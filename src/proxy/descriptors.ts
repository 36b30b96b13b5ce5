// How many descriptors this process may have open, and how many of them clients may take: half, less what the process itself
// needs, because each request and each WebSocket may need a connection to the upstream as well. Where they run out, Node
// accepts and closes further clients without a word, and those inside find none left for upstream or for the records.

import { readFileSync } from 'node:fs';
import type { Server } from 'node:net';

/** For the store, the record, the log, the listener, and Node's own. */
const OWN = 128;
/** Where the system does not say: what macOS gives a process. */
const UNKNOWN = 10_240;
const MOST = 1_000_000;

/** The soft limit in the text of /proc/PID/limits (Linux); Node raises it to the hard one when it starts. */
export function openFilesIn(text: string): number {
  const soft = /^Max open files\s+(\S+)/m.exec(text)?.[1];
  if (soft === 'unlimited') return MOST;
  return soft !== undefined && /^\d+$/.test(soft) ? Math.min(Number(soft), MOST) : UNKNOWN;
}

/** Connections of clients that a process with `descriptors` may have. */
export function connectionsFor(descriptors: number): number {
  return Math.max(16, Math.floor((descriptors - OWN) / 2));
}

/** The same, for this process. */
export function mostConnections(): number {
  try {
    return connectionsFor(openFilesIn(readFileSync('/proc/self/limits', 'utf8')));
  } catch {
    return connectionsFor(UNKNOWN);
  }
}

/** Lets `server` have no more connections than that; `refused` is called for each that is turned away, with the number. */
export function limitToDescriptors(server: Server, refused: (most: number) => void): void {
  const most = mostConnections();
  server.maxConnections = most;
  server.on('drop', () => refused(most));
}
