// One proxy between a test's raw client and its raw upstream, for each test of a file; and what both say by heart.

import { afterEach, beforeEach } from 'vitest';
import {
  connectRaw,
  type PlainProxy,
  type PlainProxyOptions,
  type RawPeer,
  type RawUpstream,
  startPlainProxy,
  startRawUpstream,
} from './plain-proxy.ts';

export const GET = 'GET /x HTTP/1.1\r\nHost: h\r\n\r\n';
/** The key of RFC 6455 §1.3's example, and an answer that accepts it. */
export const UPGRADE_LINES =
  'Host: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n';
export const ACCEPTED =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';
export const ok = (body: string, more = ''): string =>
  `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n${more}\r\n${body}`;

export interface Between {
  readonly upstream: RawUpstream;
  readonly proxy: PlainProxy;
  /** A new client, which has sent `text`, and the upstream's end of it, which has a whole head. */
  ask(text: string): Promise<{ readonly client: RawPeer; readonly up: RawPeer }>;
  /** Another proxy in its place, with these options. */
  restart(options: PlainProxyOptions): Promise<void>;
}

/** For one test file: an upstream and a proxy before it, new for every test. */
export function proxyBetween(): Between {
  let upstream: RawUpstream;
  let proxy: PlainProxy;
  beforeEach(async () => {
    upstream = await startRawUpstream();
    proxy = await startPlainProxy(upstream.port);
  });
  afterEach(async () => {
    await proxy.close();
    upstream.close();
  });
  return {
    get upstream() {
      return upstream;
    },
    get proxy() {
      return proxy;
    },
    async ask(text) {
      const client = await connectRaw(proxy.port);
      client.send(text);
      const up = await upstream.accept();
      await up.until('\r\n\r\n');
      return { client, up };
    },
    async restart(options) {
      await proxy.close();
      proxy = await startPlainProxy(upstream.port, options);
    },
  };
}
