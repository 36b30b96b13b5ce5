// A plain TCP relay that can be taken away and put back on the same port: a server that is gone for exactly as long as
// a test wants, which no real restart allows.

import { connect, createServer, type Server, type Socket } from 'node:net';
import { freePort } from './ports.ts';

export interface Relay {
  readonly url: string;
  /** Closes every connection and refuses new ones. */
  away(): Promise<void>;
  back(): Promise<void>;
}

/** A relay to `http://127.0.0.1:PORT`. */
export async function startRelay(to: string): Promise<Relay> {
  const port = await freePort();
  const target = Number(new URL(to).port);
  const sockets = new Set<Socket>();
  let server: Server | null = null;
  const join = (near: Socket): void => {
    const far = connect({ host: '127.0.0.1', port: target });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  };
  const relay: Relay = {
    url: `http://127.0.0.1:${port}`,
    away: async () => {
      const closing = server;
      server = null;
      const closed = new Promise((resolve) => (closing === null ? resolve(null) : closing.close(resolve)));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
    back: async () => {
      const opening = createServer({ allowHalfOpen: false }, join);
      await new Promise<void>((resolve, reject) => {
        opening.once('error', reject);
        opening.listen(port, '127.0.0.1', resolve);
      });
      server = opening;
    },
  };
  await relay.back();
  return relay;
}
