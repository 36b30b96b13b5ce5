// Asks a CA over TLS, one request at a time on each connection, and frames its answers: Content-Length, or chunks that end
// with an empty one. Anything but a 200 is a failure.

import { connect, type SecureContext, type TLSSocket } from 'node:tls';
import { reasonOf } from '../processes.ts';

/** When an answer that begins with `bytes` is whole: its body; null before that. @throws for anything but a 200 */
export function bodyOf(bytes: Buffer): { readonly body: string; readonly close: boolean } | null {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const head = bytes.toString('latin1', 0, end + 2);
  const close = /\r\nconnection: *close\r\n/i.test(head);
  const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1];
  let body: string | null = null;
  if (length !== undefined) {
    if (bytes.length >= end + 4 + Number(length)) body = bytes.toString('utf8', end + 4, end + 4 + Number(length));
  } else if (bytes.subarray(-7).equals(Buffer.from('\r\n0\r\n\r\n'))) {
    body = unchunked(bytes.subarray(end + 4));
  }
  if (body === null) return null;
  if (!/^HTTP\/1\.1 20[01] /.test(head)) throw new Error(`answered ${head.split('\r\n', 1)[0]}: ${body.slice(0, 300)}`);
  return { body, close };
}

function unchunked(bytes: Buffer): string {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const line = bytes.indexOf('\r\n', at);
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16);
    if (!(size > 0)) return Buffer.concat(parts).toString('utf8');
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
}

export interface AskAll {
  readonly port: number;
  readonly context: SecureContext;
  readonly requests: readonly Buffer[];
  /** How many connections ask at once. */
  readonly connections: number;
  /** False for a connection for each request. */
  readonly keepAlive: boolean;
  /** The server's chain is verified; it was once, before anything was measured. */
  readonly verifies: boolean;
}

/** All requests asked, each once. @returns the bodies in the order of the requests, and ms each took */
export async function askAll(
  all: AskAll,
): Promise<{ readonly bodies: readonly string[]; readonly ms: readonly number[] }> {
  const { requests, connections, keepAlive } = all;
  const bodies: string[] = [];
  const ms: number[] = [];
  let next = 0;
  const askOver = (socket: TLSSocket): Promise<void> =>
    new Promise((resolve, reject) => {
      let at = -1;
      let began = performance.now();
      let bytes: Buffer = Buffer.alloc(0);
      const ask = (): void => {
        at = next++;
        const request = requests[at];
        if (request === undefined) {
          socket.end();
          resolve();
          return;
        }
        if (keepAlive) began = performance.now();
        socket.write(request);
      };
      socket.on('secureConnect', ask);
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('the connection was closed')));
      const take = (answer: NonNullable<ReturnType<typeof bodyOf>>): void => {
        bytes = Buffer.alloc(0);
        bodies[at] = answer.body;
        ms[at] = performance.now() - began;
        if (keepAlive && !answer.close) {
          ask();
          return;
        }
        socket.end();
        resolve();
      };
      socket.on('data', (part: Buffer) => {
        bytes = bytes.length === 0 ? part : Buffer.concat([bytes, part]);
        let answer: ReturnType<typeof bodyOf>;
        try {
          answer = bodyOf(bytes);
        } catch (error) {
          socket.destroy(new Error(reasonOf(error)));
          return;
        }
        if (answer !== null) take(answer);
      });
    });
  const worker = async (): Promise<void> => {
    while (next < requests.length) {
      const socket = connect({
        host: '127.0.0.1',
        port: all.port,
        servername: 'localhost',
        secureContext: all.context,
        rejectUnauthorized: all.verifies,
        ALPNProtocols: ['http/1.1'],
      });
      await askOver(socket);
    }
  };
  await Promise.all(Array.from({ length: connections }, worker));
  return { bodies, ms };
}
