// An upstream of raw bytes, for what no HTTP server would do: it accepts and says nothing, breaks off in mid-sentence,
// resets, reads nothing. What it does is the test's; a request's head is read for it.

import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { acceptKey } from '../../../src/proxy/websocket.ts';
import { atEnd } from './scenario.ts';

export interface Hostile {
  readonly url: string;
  /** Connections that are open. */
  readonly open: ReadonlySet<Socket>;
}

/** Calls `behave` with each connection and, at its first request, the request's head and what came behind it. */
export async function hostile(
  behave: (socket: Socket, head: string, rest: Buffer) => void,
  accepted: (socket: Socket) => void = () => {},
): Promise<Hostile> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    open.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => open.delete(socket));
    accepted(socket);
    let received = Buffer.alloc(0);
    const read = (bytes: Buffer): void => {
      received = Buffer.concat([received, bytes]);
      const end = received.indexOf('\r\n\r\n');
      if (end < 0) return;
      socket.off('data', read);
      behave(socket, received.toString('latin1', 0, end), received.subarray(end + 4));
    };
    socket.on('data', read);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(async () => {
    for (const socket of open) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, open };
}

/** Answers the opening of a WebSocket with the key of 16 zero bytes, which all these tests use. */
export const SWITCHED =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  `Sec-WebSocket-Accept: ${acceptKey('AAAAAAAAAAAAAAAAAAAAAA==')}\r\n\r\n`;
