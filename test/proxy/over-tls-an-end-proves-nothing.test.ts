// To the gate a sidecar speaks TLS, and whoever is on the way can end the connection beneath it at any byte (RFC 8446 §6.1,
// truncation). Node tells that end from a proper one to nobody, so an answer that only its end completes is never whole.

import type { Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import { bind } from '../../src/proxy/connection-set.ts';
import { GET } from './between.ts';
import { ownCertificate } from './own-certificate.ts';
import { connectRaw, portOf, startPlainProxy } from './plain-proxy.ts';

async function answered(text: string, end: (tls: TLSSocket, tcp: Socket) => void): Promise<string> {
  const server = createServer({ ...(await ownCertificate()), allowHalfOpen: true });
  let tcp: Socket | null = null;
  server.on('connection', (socket: Socket) => {
    tcp = socket;
  });
  server.on('secureConnection', (socket) => {
    socket.on('error', () => {});
    socket.on('data', () => {
      socket.write(text, () => {
        if (tcp !== null) end(socket, tcp);
      });
    });
  });
  await bind(server, { host: '127.0.0.1', port: 0 });
  const proxy = await startPlainProxy(portOf(server), { upstreamTls: true });
  try {
    const client = await connectRaw(proxy.port);
    client.send(GET.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
    return (await client.ended()).text;
  } finally {
    await proxy.close();
    server.close();
  }
}

const ENDS: ReadonlyArray<[string, (tls: TLSSocket, tcp: Socket) => void]> = [
  ['in order', (tls) => void tls.end()],
  ['beneath TLS', (_tls, tcp) => void tcp.end()],
  ['by a reset', (_tls, tcp) => void tcp.resetAndDestroy()],
];

test.each(ENDS)('an answer without a length that ends %s is broken', async (_how, end) => {
  const text = await answered('HTTP/1.1 200 OK\r\n\r\nhalf', end);
  expect(text).not.toContain('\r\n0\r\n\r\n');
});

test.each(ENDS)(
  'one with a length is whole by its length, and the end that comes %s is nothing to it',
  async (_, end) => {
    expect(
      await answered('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfull', (tls, tcp) => {
        setTimeout(end, 50, tls, tcp);
      }).then((text) => text.slice(-8)),
    ).toBe('\r\n\r\nfull');
  },
);

test('what breaks TLS upstream ends the exchange at once', async () => {
  const text = await answered('HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf', (_tls, tcp) => {
    // A record that nobody encrypted.
    tcp.write(Buffer.concat([Buffer.from([23, 3, 3, 0, 40]), Buffer.alloc(40)]));
  });
  expect(text.endsWith('half')).toBe(true);
});
