// The smallest HTTP/1.1 client: sends a request target exactly as given, which node:http would not, and reads the answer.

import { connect, type Socket } from 'node:net';

/** What the echo server's ASGI scope held; bytes as latin1. */
export interface Scope {
  readonly path: string;
  readonly rawPath: string;
  readonly query: string;
}

export interface RawClient {
  /** The scope for one target; null when the server refused the request. One at a time. */
  scopeOf(target: string): Promise<Scope | null>;
  close(): void;
}

/** A client that keeps its connection until the server closes it. */
export function rawHttp(port: number): RawClient {
  let socket: Socket | null = null;
  return {
    async scopeOf(target) {
      const open = socket ?? connect(port, '127.0.0.1');
      socket = null;
      const answer = await exchange(open, `GET ${target} HTTP/1.1\r\nHost: echo.test\r\n\r\n`);
      if (answer.status === 200) {
        socket = open;
        return JSON.parse(answer.body) as Scope;
      }
      open.destroy();
      return null;
    },
    close() {
      socket?.destroy();
    },
  };
}

/** A client that upgrades to WebSocket, once a connection. */
export function rawWebSocket(port: number): RawClient {
  return {
    async scopeOf(target) {
      const socket = connect(port, '127.0.0.1');
      const key = Buffer.alloc(16, 7).toString('base64');
      const head =
        `GET ${target} HTTP/1.1\r\nHost: echo.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`;
      const answer = await exchange(socket, head);
      socket.destroy();
      const scope = /^x-scope: *(.*)$/im.exec(answer.head)?.[1];
      return scope === undefined ? null : (JSON.parse(Buffer.from(scope, 'base64').toString()) as Scope);
    },
    close() {},
  };
}

interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

function exchange(socket: Socket, request: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let text = '';
    const settle = (act: () => void): void => {
      socket.off('data', onData).off('close', onClose).off('error', onError);
      act();
    };
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end === -1) return;
      const head = text.slice(0, end);
      const length = Number(/^content-length: *(\d+)$/im.exec(head)?.[1] ?? 0);
      if (text.length < end + 4 + length) return;
      const body = Buffer.from(text.slice(end + 4, end + 4 + length), 'latin1').toString();
      settle(() => resolve({ status: Number(text.slice(9, 12)), head, body }));
    };
    const onClose = (): void => settle(() => resolve({ status: 0, head: '', body: '' }));
    const onError = (error: Error): void => settle(() => reject(error));
    socket.on('data', onData).on('close', onClose).on('error', onError);
    socket.write(Buffer.from(request, 'latin1'));
  });
}
