// The soak's upstream: the tests' echo, with answers whose every byte is known to both ends, and some that break off.
// The bytes are slices of one pattern, so that neither side has to keep or send what it expects.

import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Echo, startEcho } from '../../test/e2e/harness/echo.ts';

const PATTERN = randomBytes(4 * 1024 * 1024);
/** The longest body that is asked for or sent. */
export const LONGEST = 1024 * 1024;

export function slice(offset: number, length: number): Buffer {
  return PATTERN.subarray(offset, offset + length);
}

export function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Offset and length of a random slice, at most `most` bytes long. */
export function randomSlice(most: number): { readonly offset: number; readonly length: number } {
  const length = Math.floor(Math.random() ** 3 * most);
  return { offset: Math.floor(Math.random() * (PATTERN.length - length)), length };
}

/**
 * Targets under /api/soak/: `bytes?from&length&framing` with framing length, chunked or close; `broken` the same, cut off
 * half-way; `digest` answers the SHA-256 of what it was sent; `status?code`. Everything else is echo's.
 */
export async function startUpstream(): Promise<Echo> {
  return await startEcho({
    answer,
    webSocket: (socket) => {
      socket.on('ping', (data) => socket.pong(data));
      socket.on('message', (data: Buffer, binary) => socket.send(data, { binary }));
    },
  });
}

function answer(request: IncomingMessage, response: ServerResponse): boolean {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const number = (name: string): number => Number(url.searchParams.get(name));
  response.on('error', () => {});
  switch (url.pathname) {
    case '/api/soak/bytes':
    case '/api/soak/broken': {
      const body = slice(number('from'), number('length'));
      const framing = url.searchParams.get('framing');
      if (framing === 'close') {
        // A body that ends with its connection: not what node:http writes by itself.
        response.socket?.write('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n');
        if (url.pathname.endsWith('bytes')) response.socket?.end(body);
        else response.socket?.write(body.subarray(0, body.length >> 1), () => response.socket?.resetAndDestroy());
        return true;
      }
      response.writeHead(200, framing === 'length' ? { 'content-length': body.length } : {});
      if (url.pathname.endsWith('bytes')) response.end(body);
      else response.write(body.subarray(0, body.length >> 1), () => response.socket?.destroy());
      return true;
    }
    case '/api/soak/digest':
      void digestOf(request).then(
        (text) => response.end(text),
        () => response.destroy(),
      );
      return true;
    case '/api/soak/status':
      response.writeHead(number('code'));
      response.end();
      return true;
    default:
      return false;
  }
}

async function digestOf(request: IncomingMessage): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of request as AsyncIterable<Buffer>) hash.update(part);
  return hash.digest('hex');
}
