// What upstream sends behind an answer is nobody's: not of the next request, though that waits here already and the same read
// of the operating system brings both. The connection is dropped, and the request goes by another.

import { once } from 'node:events';
import { connect, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, expect, test } from 'vitest';
import { bind } from '../../src/proxy/connection-set.ts';
import { READ_BUFFER } from '../../src/proxy/direct-io.ts';
import { ok } from './between.ts';
import { ownCertificate } from './own-certificate.ts';
import { type PlainProxy, peerOf, portOf, startPlainProxy } from './plain-proxy.ts';

let server: Server;
let proxy: PlainProxy;
afterEach(async () => {
  await proxy.close();
  server.close();
});

/** An answer of so many bytes in all. */
function whole(size: number): string {
  const body = size - ok('').length - String(size).length + 1;
  const text = ok('x'.repeat(body));
  if (text.length !== size) throw new Error(`${text.length} in place of ${size}`);
  return text;
}

/** What upstream sends as its answer to /first; every other gets its own target. */
async function start(secure: boolean, first: readonly string[]): Promise<void> {
  let connections = 0;
  const serve = (socket: Socket): void => {
    const number = ++connections;
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      for (const [, target] of bytes.toString('latin1').matchAll(/GET (\S+) /g)) {
        if (target === '/first') for (const part of first) socket.write(part);
        else socket.write(ok(`${target} by connection ${number}`));
      }
    });
  };
  const options = { allowHalfOpen: true, noDelay: true };
  server = secure
    ? createTlsServer({ ...options, ...(await ownCertificate()) }, serve)
    : createTcpServer(options, serve);
  await bind(server, { host: '127.0.0.1', port: 0 });
  proxy = await startPlainProxy(portOf(server), secure ? { upstreamTls: true } : {});
}

const EVIL = ok('evil');

test.each<[string, boolean, readonly string[]]>([
  ['in the same read', false, [ok('first') + EVIL]],
  ['behind a read that was full', false, [whole(READ_BUFFER.length) + EVIL]],
  ['in a TLS record of its own', true, [ok('first'), EVIL]],
  ['in many TLS records', true, [whole(40_000), EVIL, EVIL]],
])('%s', async (_where, secure, first) => {
  await start(secure, first);
  const socket = connect({ host: '127.0.0.1', port: proxy.port });
  await once(socket, 'connect');
  const client = peerOf(socket);
  client.send(['/first', '/second', '/third'].map((target) => `GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`).join(''));
  const text = await client.until('/third by connection');
  expect(text).not.toContain('evil');
  expect(text).toMatch(/\/second by connection 2[\s\S]*\/third by connection 2$/);
  expect(proxy.outcomes.map(({ ending }) => ending)).toEqual(['complete', 'complete', 'complete']);
  socket.destroy();
});
