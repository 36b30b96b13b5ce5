// What is read from upstream lies in one buffer that all connections share. Each test streams patterns that tell every
// byte's place and owner, through several connections at once and past readers that stall, and compares every byte.

import { createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bind } from '../../src/proxy/connection-set.ts';
import { ownCertificate } from './own-certificate.ts';
import { type PlainProxy, portOf, startPlainProxy } from './plain-proxy.ts';

const SIZE = 6_000_000;
const CLIENTS = 6;

/** Byte `i` of owner `n`'s pattern; long primes, so that no shift by a buffer's length looks the same. */
function pattern(owner: number): Buffer {
  const bytes = Buffer.allocUnsafe(SIZE);
  for (let i = 0; i < SIZE; i++) bytes[i] = ((i * 2_654_435_761 + owner * 97 + (i >>> 16) * 31) >>> 5) & 0xff;
  return bytes;
}

const patterns = Array.from({ length: CLIENTS }, (_, owner) => pattern(owner));
let upstream: Server;
let proxy: PlainProxy;
const sockets = new Set<Socket>();

beforeAll(async () => {
  // Answers /N with pattern N: by length, in chunks, until it closes, or after an upgrade.
  upstream = createServer((socket) => {
    sockets.add(socket);
    let text = '';
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (!text.includes('\r\n\r\n')) return;
      const [, owner = '0', how = 'length'] = /^GET \/(\d)\/(\w+)/.exec(text) ?? [];
      text = '';
      const body = patterns[Number(owner)] ?? Buffer.alloc(0);
      if (how === 'length') {
        // The head in pieces: what has come of it is kept between reads.
        socket.write('HTTP/1.1 200 OK\r\ncontent-le');
        setImmediate(() => {
          socket.write(`ngth: ${SIZE}\r\n\r\n`);
          socket.write(body);
        });
      } else if (how === 'pieces') {
        // Small pieces to a reader that stalls: some are written while an earlier one still waits.
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${SIZE}\r\n\r\n`);
        const piece = (at: number): void => {
          if (at < SIZE) socket.write(body.subarray(at, at + 5_000), () => setImmediate(piece, at + 5_000));
        };
        piece(0);
      } else if (how === 'chunks') {
        socket.write(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${SIZE.toString(16)}\r\n`);
        socket.write(body);
        socket.write('\r\n0\r\n\r\n');
      } else if (how === 'close') {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        socket.end(body);
      } else {
        socket.write(
          'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n' +
            'sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n',
        );
        socket.end(body);
      }
    });
  });
  await bind(upstream, { host: '127.0.0.1', port: 0 });
  const tls = await ownCertificate();
  // Every answer waits a moment for its record, so that its beginning is kept too.
  const recorded = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
  proxy = await startPlainProxy(portOf(upstream), { tls, recorded });
}, 60_000);

afterAll(async () => {
  await proxy.close();
  for (const socket of sockets) socket.destroy();
  upstream.close();
});

const UPGRADE =
  'upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n' +
  'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

/** Everything that one client gets for its own pattern; it stalls now and then. */
function fetchSlowly(owner: number, how: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    const socket: TLSSocket = connectTls({ host: '127.0.0.1', port: proxy.port, rejectUnauthorized: false }, () => {
      socket.write(
        `GET /${owner}/${how} HTTP/1.1\r\nhost: h\r\n${how === 'upgrade' ? UPGRADE : 'connection: close\r\n'}\r\n`,
      );
    });
    socket.on('data', (bytes: Buffer) => {
      parts.push(bytes);
      if (parts.length !== 1 && parts.length % (20 + owner) !== 0) return;
      socket.pause();
      setTimeout(() => socket.resume(), parts.length === 1 ? 700 : 5);
    });
    socket.on('error', reject);
    socket.on('end', () => resolve(Buffer.concat(parts)));
  });
}

function bodyOf(answer: Buffer, how: string): Buffer {
  const body = answer.subarray(answer.indexOf('\r\n\r\n') + 4);
  if (how !== 'chunks' && how !== 'close') return body;
  const parts: Buffer[] = [];
  let at = 0;
  for (;;) {
    const line = body.indexOf('\r\n', at);
    const size = Number.parseInt(body.toString('latin1', at, line), 16);
    if (size === 0) return Buffer.concat(parts);
    parts.push(body.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
}

it.each(['length', 'pieces', 'chunks', 'close', 'upgrade'])(
  'every byte reaches its own slow reader (%s)',
  async (how) => {
    const answers = await Promise.all(patterns.map((_, owner) => fetchSlowly(owner, how)));
    answers.forEach((answer, owner) => {
      const body = bodyOf(answer, how);
      expect(body.length).toBe(SIZE);
      expect(Buffer.compare(body, patterns[owner] ?? Buffer.alloc(0))).toBe(0);
    });
  },
  120_000,
);
