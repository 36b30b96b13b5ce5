// Reads bytes as node:http does, with llhttp: a real server, a connection in memory.

import { createServer, type IncomingMessage, request as openRequest, type Server } from 'node:http';
import { type Duplex, duplexPair } from 'node:stream';
import type { AnswerParser, Parser, Seen, SeenAnswer, SeenRequest } from './seen.ts';

function headersOf(request: IncomingMessage): Array<readonly [string, string]> {
  const headers: Array<readonly [string, string]> = [];
  for (let i = 0; i + 1 < request.rawHeaders.length; i += 2) {
    headers.push([(request.rawHeaders[i] ?? '').toLowerCase(), request.rawHeaders[i + 1] ?? '']);
  }
  return headers;
}

function seenRequest(request: IncomingMessage, body: string): SeenRequest {
  return { method: request.method ?? '', target: request.url ?? '', headers: headersOf(request), body };
}

/** A parser that is llhttp as node:http sets it up; its strictness is Node's default. */
export function llhttpParser(): Parser {
  return async (pieces) => {
    const requests: SeenRequest[] = [];
    let refused: string | null = null;
    let rest: string | null = null;
    const server: Server = createServer({
      maxHeaderSize: 65_536,
      insecureHTTPParser: false,
      keepAliveTimeout: 0,
      requestTimeout: 0,
      shouldUpgradeCallback: (request) => request.headers.upgrade?.toLowerCase() === 'websocket',
    });
    const [client, end] = duplexPair();
    server.on('request', (request, response) => {
      let body = '';
      request.setEncoding('latin1').on('data', (text: string) => {
        body += text;
      });
      request.on('end', () => {
        requests.push(seenRequest(request, body));
        response.end();
      });
      request.on('error', () => {});
      response.on('error', () => {});
    });
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      requests.push(seenRequest(request, ''));
      rest = head.toString('latin1');
      socket.on('data', (more: Buffer) => {
        rest += more.toString('latin1');
      });
      socket.on('end', () => socket.end());
    });
    server.on('clientError', (error: Error & { code?: string }, socket: Duplex) => {
      // The end of input within a message is no fault of the bytes that came.
      refused ??= `${error.code}: ${error.message}`;
      socket.destroy();
    });
    const closed = new Promise<void>((resolve) => end.once('close', () => resolve()));
    server.emit('connection', end);
    client.on('error', () => {});
    client.resume();
    for (const piece of pieces) {
      if (end.destroyed) break;
      client.write(piece);
      // Each piece is parsed on its own.
      await new Promise((resolve) => setImmediate(resolve));
    }
    client.end();
    await closed;
    const seen: Seen = { requests, refused, rest };
    return seen;
  };
}

/** llhttp as node:http's client sets it up. It reads one answer, and an interim one or what follows it not at all. */
export function llhttpAnswerParser(): AnswerParser {
  return async ([method = 'GET'], pieces) => {
    const [near, far] = duplexPair();
    far.on('error', () => {}).resume();
    near.on('error', () => {});
    const answers: SeenAnswer[] = [];
    let refused: string | null = null;
    await new Promise<void>((resolve) => {
      const request = openRequest({ method, createConnection: () => near, maxHeaderSize: 65_536 });
      request.on('error', (error: Error & { code?: string }) => {
        refused ??= `${error.code}: ${error.message}`;
        resolve();
      });
      request.on('close', resolve);
      request.on('response', (response) => {
        let body = '';
        response.setEncoding('latin1').on('data', (text: string) => {
          body += text;
        });
        response.on('error', () => {});
        response.on('end', () => {
          if (response.complete) answers.push({ status: response.statusCode ?? 0, headers: headersOf(response), body });
          resolve();
        });
      });
      request.end();
      const feed = async (): Promise<void> => {
        for (const piece of pieces) {
          if (far.destroyed || near.destroyed) break;
          far.write(piece);
          await new Promise((done) => setImmediate(done));
        }
        far.end();
      };
      void feed();
    });
    near.destroy();
    far.destroy();
    return { answers, refused };
  };
}
