// One request to the gate over a TLS connection of the caller's making, and its answer, whole: bounded in size and time,
// read by the same strict reader as everything else. The connection ends with it.
import type { TLSSocket } from 'node:tls';
import { readResponseHead } from '../http1/response.ts';
import { MOST_ANSWER_BYTES } from './wire.ts';

const LIMITS = { headBytes: 8_192, headerLines: 50 } as const;
/** For the connection and the answer, ms, where the request says nothing else. */
const PATIENCE = 20_000;

export interface GateRequest {
  readonly method: 'GET' | 'POST';
  readonly host: string;
  readonly path: string;
  /** Which version of what is asked for is known already: the answer may be 304. */
  readonly ifNoneMatch?: string;
  /** JSON. */
  readonly body?: string;
  /** For the connection and the answer, ms. */
  readonly patience?: number;
}

export interface GateAnswer {
  readonly status: number;
  readonly text: string;
  /** The header's value, by its name in lower case; null when there is none. */
  readonly header: (name: string) => string | null;
  /** What the gate asks to wait before the next try, ms; null when it asks for nothing. */
  readonly retryAfterMs: number | null;
}

/** Rejects with an Error when the gate can't be reached, is not who it should be, or answers what is no answer. */
export function askOnce(socket: TLSSocket, request: GateRequest): Promise<GateAnswer> {
  const { method, host, path, ifNoneMatch, body, patience = PATIENCE } = request;
  return new Promise((resolve, reject) => {
    let bytes: Buffer = Buffer.alloc(0);
    const fail = (reason: string): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(new Error(reason));
    };
    const timer = setTimeout(() => fail('no answer in time'), patience);
    const read = (): void => {
      const head = readResponseHead(bytes, 0, method, LIMITS);
      if (head === null) return;
      if (!head.ok) {
        fail(head.reason);
      } else if (head.bodyLength < 0 || head.bodyLength > MOST_ANSWER_BYTES) {
        fail(`the gate answered ${head.status} with a body of no announced length, or too long a one`);
      } else if (bytes.length >= head.size + head.bodyLength) {
        clearTimeout(timer);
        socket.destroy();
        const header = (name: string): string | null => head.values[head.names.indexOf(name)] ?? null;
        const seconds = Number(header('retry-after'));
        resolve({
          status: head.status,
          text: bytes.toString('utf8', head.size, head.size + head.bodyLength),
          header,
          retryAfterMs: seconds > 0 ? seconds * 1000 : null,
        });
      }
    };
    socket.on('error', (error: NodeJS.ErrnoException) => fail(error.message || (error.code ?? 'no connection')));
    socket.on('close', () => fail('the gate closed the connection'));
    socket.on('data', (part: Buffer) => {
      bytes = Buffer.concat([bytes, part]);
      if (bytes.length > MOST_ANSWER_BYTES + LIMITS.headBytes) fail('too long an answer');
      else read();
    });
    socket.once('secureConnect', () => {
      const framing =
        body === undefined ? '' : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n`;
      const known = ifNoneMatch === undefined ? '' : `if-none-match: "${ifNoneMatch}"\r\n`;
      socket.write(
        `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\n${known}${framing}connection: close\r\n\r\n${body ?? ''}`,
      );
    });
  });
}
