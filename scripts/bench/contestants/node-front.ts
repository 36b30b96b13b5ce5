// The mutual-TLS front that the Node contestants share, written the straightforward way and kindly: the certificate is
// read once per connection, and a pino line is written per request to stdout. What passes a request on is theirs.
// usage: node X-server.ts SERVER_CHAIN SERVER_KEY TRUST_BUNDLE PORT UPSTREAM_PORT log|no-log

import { Agent, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { pino } from 'pino';
import { mutualTls } from './node-tls-options.ts';

export interface Passing {
  readonly web: (request: IncomingMessage, response: ServerResponse) => void;
  readonly upgrade: (request: IncomingMessage, socket: Socket, head: Buffer) => void;
}

/** Connections to the upstream are kept alive, more of them than any work has. */
export const upstreamAgent = (): Agent => new Agent({ keepAlive: true, maxFreeSockets: 1024 });

/** Serves until its parent goes. `passTo` gets the upstream's URL. */
export function serveFront(passTo: (upstream: string) => Passing): void {
  const [chain = '', key = '', bundle = '', port = '', upstreamPort = '', log = ''] = process.argv.slice(2);
  const accessLog = pino({ enabled: log === 'log' });
  const passing = passTo(`http://127.0.0.1:${upstreamPort}`);
  const identities = new WeakMap<Socket, string>();
  const server = createServer({
    ...mutualTls(chain, key, bundle),
    // as nginx and HAProxy are told, too
    keepAliveTimeout: 75_000,
  });
  const identify = (request: IncomingMessage): string => {
    const identity = request.socket instanceof TLSSocket ? identities.get(request.socket) : undefined;
    request.headers['x-client'] = identity ?? 'unknown';
    return identity ?? 'unknown';
  };
  server.on('secureConnection', (socket) => {
    const name = socket.getPeerCertificate().subject.CN;
    identities.set(socket, (Array.isArray(name) ? name[0] : name) ?? 'unknown');
  });
  server.on('request', (request, response) => {
    const beganAt = performance.now();
    const identity = identify(request);
    response.on('finish', () => {
      const { method, url } = request;
      const status = response.statusCode;
      accessLog.info({ method, url, status, identity, ms: performance.now() - beganAt }, 'request');
    });
    passing.web(request, response);
  });
  server.on('upgrade', (request, socket: Socket, head) => {
    const identity = identify(request);
    accessLog.info({ method: request.method, url: request.url, identity }, 'upgrade');
    socket.setNoDelay(true);
    passing.upgrade(request, socket, head);
  });
  server.listen(Number(port), '127.0.0.1');
  process.on('SIGTERM', () => process.exit(0));
  process.on('disconnect', () => process.exit(0));
}
