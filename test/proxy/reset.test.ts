// A connection that is reset has ended for its client too, and not after all that the operating system still holds for it:
// over TLS and without, in the middle of an answer, while it is ending already, and when it is idle.

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createRoot, derToPem } from '../../src/pki/certificates.ts';
import { generateKey, privateKeyToPem } from '../../src/pki/keys.ts';
import { type PlainProxy, portOf, startPlainProxy } from './plain-proxy.ts';

const LENGTH = 100_000_000;
const BODY = Buffer.alloc(LENGTH, 'x');

let upstream: Server;
let proxy: PlainProxy;

async function tlsFiles() {
  const key = await generateKey();
  const now = Date.now();
  const valid = { notBefore: new Date(now - 60_000), notAfter: new Date(now + 3_600_000) };
  const der = await createRoot({ commonName: 'test', key, ...valid });
  return { key: privateKeyToPem(key.privateKey), cert: derToPem(der, 'CERTIFICATE') };
}

/** Until nothing moves any more: a bound would be a guess about this machine's socket buffers. */
async function settled(value: () => number): Promise<void> {
  for (let before = -1; before !== value() || before === 0; ) {
    before = value();
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

describe.each(['with TLS', 'without TLS'])('%s, a connection that is reset', (how) => {
  beforeEach(async () => {
    upstream = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (bytes) => {
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${bytes.includes('/large') ? LENGTH : 2}\r\n\r\n`);
        socket.write(bytes.includes('/large') ? BODY : 'ok');
      });
    });
    upstream.listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    proxy = await startPlainProxy(portOf(upstream), how === 'with TLS' ? { tls: await tlsFiles() } : {});
  });
  afterEach(async () => {
    await proxy.close();
    upstream.close();
  });

  async function ask(target: string): Promise<Socket> {
    const to = { port: proxy.port, host: '127.0.0.1' };
    const client = how === 'with TLS' ? connectTls({ ...to, rejectUnauthorized: false }) : connect(to);
    await once(client, how === 'with TLS' ? 'secureConnect' : 'connect');
    client.write(`GET ${target} HTTP/1.1\r\nhost: h\r\n\r\n`);
    return client;
  }
  /** What the client reads from now on, and the error that ends it. */
  async function restOf(client: Socket): Promise<{ bytes: number; code: string }> {
    let bytes = 0;
    client.on('data', (part) => {
      bytes += part.length;
    });
    client.resume();
    const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
    return { bytes, code: error.code ?? '' };
  }
  const member = () => [...proxy.set.members][0];
  const reset = (): void => member()?.reset('for the test');

  it('gives its client nothing of what was still on its way to it', async () => {
    const client = await ask('/large');
    client.pause();
    await settled(() => member()?.socket.bytesWritten ?? 0);
    const { bytesWritten = 0, writableLength = 0 } = member()?.socket ?? {};
    reset();
    await settled(() => proxy.outcomes.length);
    const rest = await restOf(client);
    expect(rest.code).toBe('ECONNRESET');
    // What lay on the sender's side is gone.
    expect(rest.bytes).toBeLessThan(bytesWritten - writableLength);
    expect(proxy.outcomes.map(({ ending, problem }) => [ending, problem])).toEqual([['cut', 'for the test']]);
    expect(proxy.set.members.size).toBe(0);
  });

  it('ends when it is idle, and nothing more is read from it', async () => {
    const client = await ask('/small');
    await once(client, 'data');
    const rest = restOf(client);
    client.write('GET /small HTTP/1.1\r\nhost: h\r\n\r\n');
    reset();
    expect((await rest).code).toBe('ECONNRESET');
    await settled(() => 1 + proxy.set.members.size);
    expect(proxy.set.members.size).toBe(0);
    expect(proxy.outcomes.length).toBe(1);
  });

  it('ends although its own end was already on its way behind bytes that nobody reads', async () => {
    const client = await ask('/large');
    client.pause();
    await settled(() => member()?.socket.bytesWritten ?? 0);
    member()?.socket.end();
    reset();
    await settled(() => 1 + proxy.set.members.size);
    expect(proxy.set.members.size).toBe(0);
    client.destroy();
  });
});
