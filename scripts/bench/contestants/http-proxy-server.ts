// A mutual-TLS front with http-proxy, written the straightforward way and kindly: the certificate is read once per
// connection, upstream connections are kept alive, one pino line per request to stdout.
// usage: node http-proxy-server.ts SERVER_CHAIN SERVER_KEY TRUST_BUNDLE PORT UPSTREAM_PORT log|no-log

import { constants } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import httpProxy from 'http-proxy';
import { pino } from 'pino';

const [chain = '', key = '', bundle = '', port = '', upstreamPort = '', log = ''] = process.argv.slice(2);

const accessLog = pino({ enabled: log === 'log' });
const proxy = httpProxy.createProxyServer({
  target: `http://127.0.0.1:${upstreamPort}`,
  agent: new Agent({ keepAlive: true, maxFreeSockets: 1024 }),
});
proxy.on('error', (error, _request, response) => {
  if (response instanceof ServerResponse && !response.headersSent) response.writeHead(502).end(error.message);
  else response.destroy();
});

const identities = new WeakMap<Socket, string>();

const server = createServer({
  cert: readFileSync(chain),
  key: readFileSync(key),
  ca: readFileSync(bundle),
  requestCert: true,
  rejectUnauthorized: true,
  minVersion: 'TLSv1.3',
  secureOptions: constants.SSL_OP_NO_TICKET,
});
server.on('secureConnection', (socket) => {
  const name = socket.getPeerCertificate().subject.CN;
  identities.set(socket, (Array.isArray(name) ? name[0] : name) ?? 'unknown');
});
server.on('request', (request, response) => {
  const beganAt = performance.now();
  const identity = request.socket instanceof TLSSocket ? identities.get(request.socket) : undefined;
  request.headers['x-client'] = identity ?? 'unknown';
  response.on('finish', () => {
    const { method, url } = request;
    const status = response.statusCode;
    accessLog.info({ method, url, status, identity, ms: performance.now() - beganAt }, 'request');
  });
  proxy.web(request, response);
});
server.listen(Number(port), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
process.on('disconnect', () => process.exit(0));
