// Upstream is not trusted with framing either. What it answers is one answer to the client who asked, whole or visibly
// broken; it can't split one answer into two, answer before it is asked, or leave bytes behind that another client takes
// for its own (RFC 9112 §6.3, §9.2, §9.3). A request that is not safe is never sent twice.

import { describe, expect, test } from 'vitest';
import type { RawPeer } from '../proxy/plain-proxy.ts';
import { statusesOf } from './attack.ts';
import { gateBeforeRawUpstream } from './raw-upstream.ts';

const scene = gateBeforeRawUpstream();
const get = (target: string, method = 'GET'): string => `${method} ${target} HTTP/1.1\r\nHost: gate.test\r\n\r\n`;
const ok = (body: string, lines = ''): string =>
  `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n${lines}\r\n${body}`;
const EVIL = ok('evil');

/** Asks once and answers with `bytes`; what the client had, and the connection that it came by. */
async function asked(bytes: string, request = get('/api/one')): Promise<{ client: RawPeer; up: RawPeer }> {
  const client = await scene.gate.connect();
  client.send(request);
  const up = await scene.upstream.accept();
  await up.until('\r\n\r\n');
  up.send(Buffer.from(bytes, 'latin1'));
  return { client, up };
}

/** Another client's request after that one; it must not see a word of what upstream said before it was asked. */
async function nextIsClean(up: RawPeer, sameConnection: boolean): Promise<void> {
  const other = await scene.gate.connect();
  other.send(get('/api/two'));
  const by = sameConnection ? up : await scene.upstream.accept();
  await by.until('/api/two');
  by.send(ok('two'));
  const text = await other.until('two');
  expect(text).not.toContain('evil');
  expect(statusesOf(text)).toEqual([200]);
  if (!sameConnection) expect(up.received()).not.toContain('/api/two');
}

describe('refused with 502, and the connection to upstream dropped', () => {
  test.each<[string, string]>([
    ['a length and chunks', 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nevil'],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncontent-length: 4\r\n\r\nevil'],
    ['a signed length', 'HTTP/1.1 200 OK\r\ncontent-length: +4\r\n\r\nevil'],
    ['a length in hex', 'HTTP/1.1 200 OK\r\ncontent-length: 0x4\r\n\r\nevil'],
    ['a negative length', 'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nevil'],
    ['another transfer coding', 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    ['a chunk extension', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4;a=b\r\nevil\r\n0\r\n\r\n'],
    ['a trailer', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nset-cookie: evil\r\n\r\n'],
    ['a chunk that ends in LF', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nevil\n0\r\n\r\n'],
    ['LF in a header line (response splitting)', `HTTP/1.1 200 OK\r\nlocation: /\n\n${EVIL}`],
    ['CR in a header line (response splitting)', 'HTTP/1.1 200 OK\r\nlocation: /\rset-cookie: evil\r\n\r\n'],
    ['a NUL in a header line', 'HTTP/1.1 200 OK\r\nlocation: /\0evil\r\n\r\n'],
    ['a folded line', 'HTTP/1.1 200 OK\r\nx-a: b\r\n evil\r\n\r\n'],
    ['a blank before a colon', 'HTTP/1.1 200 OK\r\ncontent-length : 4\r\n\r\nevil'],
    ['LF line ends', 'HTTP/1.1 200 OK\ncontent-length: 4\n\nevil'],
    ['another protocol', 'SSH-2.0-evil\r\n\r\n'],
    ['HTTP/0.9', '<html>evil</html>\r\n\r\n'],
    ['HTTP/2.0', 'HTTP/2.0 200 OK\r\ncontent-length: 4\r\n\r\nevil'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\ncontent-length: 4\r\n\r\nevil'],
    ['a status of 099', 'HTTP/1.1 099 OK\r\ncontent-length: 4\r\n\r\nevil'],
    ['an empty line in front', `\r\n${EVIL}`],
    ['a switch of protocols that nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: evil\r\n\r\nevil'],
    ['an interim answer in HTTP/1.0', `HTTP/1.0 100 Continue\r\n\r\n${EVIL}`],
    ['a storm of interim answers', 'HTTP/1.1 103 Early Hints\r\nlink: evil\r\n\r\n'.repeat(17) + EVIL],
    ['a head without an end', `HTTP/1.1 200 OK\r\nx-a: ${'evil'.repeat(8_192)}`],
    ['101 header lines', `HTTP/1.1 200 OK\r\n${'x-a: evil\r\n'.repeat(101)}\r\n`],
  ])('%s', async (_what, bytes) => {
    const { client, up } = await asked(bytes);
    const text = await client.until('"detail"');
    expect(statusesOf(text)).toEqual([502]);
    expect(text).not.toContain('evil');
    await up.ended();
    await nextIsClean(up, false);
  });
});

describe('bytes behind an answer are nobody’s', () => {
  test.each<[string, string, string]>([
    ['a second answer', ok('one') + EVIL, 'one'],
    ['a body longer than its length', `${ok('one')}evil`, 'one'],
    [
      'a second answer behind chunks',
      `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n${EVIL}`,
      '0\r\n\r\n',
    ],
    ['a body to 204', `HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\nevil`, '204'],
    ['a body to 304', `HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\nevil`, '304'],
    ['an answer of HTTP/1.0', `HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\none`, 'one'],
    ['an answer that says close', ok('one', 'connection: close\r\n'), 'one'],
  ])('%s', async (_what, bytes, whole) => {
    const { client, up } = await asked(bytes);
    const text = await client.until(whole);
    expect(statusesOf(text)).toHaveLength(1);
    await nextIsClean(up, false);
    expect(client.received()).not.toContain('evil');
  });

  test.each<[string, string]>([
    ['in one piece', 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil'],
    ['later', 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n'],
  ])('a body to HEAD, sent %s', async (_when, bytes) => {
    const { client, up } = await asked(bytes, get('/api/one', 'HEAD'));
    expect(await client.until('\r\n\r\n')).toContain('content-length: 4\r\n');
    up.send('evil');
    await nextIsClean(up, false);
    expect(client.received()).not.toContain('evil');
  });

  test('an answer before it is asked, on a connection that waits, ends that connection', async () => {
    const { client, up } = await asked(ok('one'));
    await client.until('one');
    up.send(EVIL);
    await up.ended();
    await nextIsClean(up, false);
  });

  test('a timely answer leaves the connection for the next client', async () => {
    const { client, up } = await asked(ok('one'));
    await client.until('one');
    await nextIsClean(up, true);
    expect(scene.upstream.accepted).toBe(1);
  });
});

describe('early and interim answers', () => {
  const POST = 'POST /api/flows/filter HTTP/1.1\r\nHost: gate.test\r\nContent-Length: 100\r\n\r\n';

  test.each(['', 'Expect: 100-continue\r\n'])(
    'an answer before the whole request ends both connections: the rest of the body is nobody’s request (%j)',
    async (lines) => {
      const request = POST.replace('Content-Length', `${lines}Content-Length`);
      const { client, up } = await asked('HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n', request);
      // More than the body may have: a request begins in it and another behind it.
      client.send(get('/api/smuggled').repeat(9));
      const { text } = await client.ended();
      expect(statusesOf(text)).toEqual([401]);
      expect(text).toMatch(/^connection: close\r$/im);
      await up.ended();
      const received = up.received();
      expect(received.length - received.indexOf('\r\n\r\n') - 4).toBeLessThanOrEqual(100);
      await nextIsClean(up, false);
    },
  );

  test('100 Continue goes to who waits for it, other interim answers to nobody', async () => {
    const request = POST.replace('Content-Length: 100', 'Expect: 100-continue\r\nContent-Length: 4');
    const { client, up } = await asked(
      'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\nx-evil: 1\r\n\r\n',
      request,
    );
    expect(await client.until('100 Continue')).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    client.send('body');
    await up.until('body');
    up.send(`HTTP/1.1 103 Early Hints\r\nlink: evil\r\n\r\n${ok('done')}`);
    expect(statusesOf(await client.until('done'))).toEqual([100, 200]);
    await nextIsClean(up, true);
  });
});

describe('where an answer ends', () => {
  test('with its connection, it reaches the client in chunks, so that its end shows', async () => {
    const { client, up } = await asked('HTTP/1.1 200 OK\r\n\r\npart');
    await client.until('part');
    up.socket.end();
    expect(await client.until('\r\n0\r\n\r\n')).toMatch(/transfer-encoding: chunked\r\n.*\r\n4\r\npart\r\n0\r\n\r\n$/s);
  });

  test('one of HTTP/1.0 that ends with its connection is no different', async () => {
    const { client, up } = await asked('HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n\r\npart');
    up.socket.end();
    expect(await client.until('\r\n0\r\n\r\n')).toContain('transfer-encoding: chunked\r\n');
  });

  test.each<[string, string]>([
    ['a length', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'],
    ['chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
    ['neither, cut with RST', 'HTTP/1.1 200 OK\r\n\r\nhalf'],
  ])('too soon, by %s, the client sees a broken body and never a whole one', async (what, bytes) => {
    const { client, up } = await asked(bytes);
    await client.until('half');
    if (what.includes('RST')) up.socket.resetAndDestroy();
    else up.socket.end();
    const { text } = await client.ended();
    expect(text.endsWith('half') || text.endsWith('half\r\n')).toBe(true);
  });
});

describe('a kept connection that dies under a request', () => {
  async function dies(request: string): Promise<{ client: RawPeer; up: RawPeer }> {
    const { client, up } = await asked(ok('one'));
    await client.until('one');
    client.send(request);
    await up.until((text) => text.includes('/api/two') && text.endsWith('\r\n\r\n'));
    up.socket.resetAndDestroy();
    return { client, up };
  }

  test.each(['POST', 'PUT', 'PATCH', 'DELETE'])('%s is never sent twice', async (method) => {
    const { client } = await dies(get('/api/two', method));
    expect(statusesOf(await client.until('"detail"'))).toEqual([200, 502]);
    expect(scene.upstream.accepted).toBe(1);
  });

  test.each(['GET', 'HEAD', 'OPTIONS'])(
    '%s is sent once more, on a fresh connection, and then no more',
    async (method) => {
      const { client } = await dies(get('/api/two', method));
      const second = await scene.upstream.accept();
      await second.until('/api/two');
      second.socket.resetAndDestroy();
      await client.until(' 502 ');
      expect(scene.upstream.accepted).toBe(2);
    },
  );

  test('a GET with a body is not sent twice either', async () => {
    const { client, up } = await asked(ok('one'));
    await client.until('one');
    client.send('GET /api/two HTTP/1.1\r\nHost: gate.test\r\nContent-Length: 2\r\n\r\nhi');
    await up.until('hi');
    up.socket.resetAndDestroy();
    await client.until(' 502 ');
    expect(scene.upstream.accepted).toBe(1);
  });

  test('nor a GET whose answer had begun', async () => {
    const { client, up } = await asked(ok('one'));
    await client.until('one');
    client.send(get('/api/two'));
    await up.until('/api/two');
    up.send('HTTP/1.1 2');
    await new Promise((resolve) => setImmediate(resolve));
    up.socket.end();
    await client.until(' 502 ');
    expect(scene.upstream.accepted).toBe(1);
  });
});
