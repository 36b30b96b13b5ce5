import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  answer,
  connectRaw,
  type PlainProxy,
  type RawUpstream,
  startPlainProxy,
  startRawUpstream,
} from './plain-proxy.ts';

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

const GET = 'GET /x HTTP/1.1\r\nHost: h\r\n\r\n';
/** RFC 6455 §1.3: the answer to the key of its example. */
const ACCEPTED =
  'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';
const ok = (body: string, more = ''): string =>
  `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n${more}\r\n${body}`;

describe('one exchange after another', () => {
  it('passes a request and its answer and keeps both connections', async () => {
    const client = await connectRaw(proxy.port);
    client.send(GET);
    const up = await upstream.accept();
    await up.until('\r\n\r\n');
    up.send(ok('one'));
    await client.until('one');
    client.send(GET);
    await up.until((text) => text.split('GET /x').length === 3);
    up.send(ok('two'));
    await client.until('two');
    expect(upstream.accepted).toBe(1);
    expect(proxy.outcomes.map((o) => o.ending)).toEqual(['complete', 'complete']);
  });

  it('answers pipelined requests in order, one upstream request at a time', async () => {
    const client = await connectRaw(proxy.port);
    client.send('GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n');
    const up = await upstream.accept();
    const first = await up.until('\r\n\r\n');
    expect(first).not.toContain('/2');
    up.send(ok('one'));
    await up.until('GET /2');
    up.send(ok('two'));
    expect(await client.until('two')).toMatch(/one.*two/s);
  });

  it('streams a chunked body up and a chunked answer down, byte for byte', async () => {
    const client = await connectRaw(proxy.port);
    client.send('POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel');
    const up = await upstream.accept();
    await up.until('hel');
    client.send('lo\r\n0\r\n\r\n');
    expect(await up.until('0\r\n\r\n')).toContain('transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n');
    up.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
    await client.until('abc');
    up.send('0\r\n\r\n');
    expect(await client.until('0\r\n\r\n')).toContain('transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n');
  });

  it('takes no body for HEAD, 204 and 304, whatever length they announce', async () => {
    const client = await connectRaw(proxy.port);
    client.send(GET);
    const up = await upstream.accept();
    await up.until('GET');
    up.send('HTTP/1.1 204 No Content\r\n\r\n');
    await client.until('204');
    client.send('GET /y HTTP/1.1\r\nHost: h\r\n\r\n');
    await up.until('/y');
    up.send('HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n');
    await client.until('304');
    client.send('HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n');
    await up.until('HEAD');
    up.send('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n');
    await client.until('content-length: 5');
    expect(upstream.accepted).toBe(1);
  });

  it('asks nothing more by a connection that answered HEAD, because upstream may send a body nevertheless', async () => {
    const client = await connectRaw(proxy.port);
    client.send('HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n');
    const up = await upstream.accept();
    await up.until('HEAD');
    up.send('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n');
    await client.until('content-length: 5');
    client.send(GET);
    await (await upstream.accept()).until('GET');
    expect(up.received()).not.toContain('GET');
  });

  it('passes 100 Continue on only to a client that waits for it', async () => {
    const client = await connectRaw(proxy.port);
    client.send('POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n');
    const up = await upstream.accept();
    await up.until('expect: 100-continue');
    up.send('HTTP/1.1 100 Continue\r\n\r\n');
    await client.until('100 Continue');
    client.send('hi');
    await up.until('hi');
    up.send('HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n');
    up.send(ok('done'));
    expect(await client.until('done')).not.toContain('103');
  });

  it('frames an answer that ends with its connection in chunks, so that its end can be told from a break', async () => {
    const client = await connectRaw(proxy.port);
    client.send(GET);
    const up = await upstream.accept();
    await up.until('\r\n\r\n');
    up.send('HTTP/1.1 200 OK\r\n\r\nhello');
    up.socket.end();
    expect(await client.until('0\r\n\r\n')).toContain('5\r\nhello\r\n0\r\n\r\n');
  });
});

describe('when something breaks', () => {
  it('shows a body that breaks off upstream as broken', async () => {
    const client = await connectRaw(proxy.port);
    client.send(GET);
    const up = await upstream.accept();
    await up.until('\r\n\r\n');
    up.send('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf');
    await client.until('half');
    up.socket.destroy();
    const { text } = await client.ended();
    expect(text.endsWith('half')).toBe(true);
    expect(proxy.outcomes[0]?.ending).toBe('upstream-failed');
  });

  it('never sends a POST twice when a kept upstream connection dies under it', async () => {
    const client = await connectRaw(proxy.port);
    client.send(GET);
    const up = await upstream.accept();
    await up.until('\r\n\r\n');
    up.send(ok('one'));
    await client.until('one');
    client.send('POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi');
    await up.until('hi');
    up.socket.destroy();
    expect(await client.until('502')).toContain('"detail"');
    expect(upstream.accepted).toBe(1);
  });

  it('sends a GET once more when a kept upstream connection dies under it, and only once', async () => {
    const client = await connectRaw(proxy.port);
    client.send(GET);
    const up = await upstream.accept();
    await up.until('\r\n\r\n');
    up.send(ok('one'));
    await client.until('one');
    client.send(GET);
    await up.until((text) => text.split('GET').length === 3);
    up.socket.destroy();
    const second = await upstream.accept();
    await second.until('GET');
    second.socket.destroy();
    await client.until('502');
    expect(upstream.accepted).toBe(2);
  });

  it('answers 503 when upstream cannot be reached', async () => {
    upstream.close();
    const client = await connectRaw(proxy.port);
    client.send(GET);
    expect(await client.until('\r\n\r\n')).toContain('HTTP/1.1 503 ');
  });

  it('does not take what upstream says unasked for anyone else’s answer', async () => {
    const client = await connectRaw(proxy.port);
    client.send(GET);
    const up = await upstream.accept();
    await up.until('\r\n\r\n');
    up.send(`${ok('one')}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil`);
    await client.until('one');
    client.send(GET);
    const next = await upstream.accept();
    await next.until('GET');
    next.send(ok('two'));
    expect(await client.until('two')).not.toContain('evil');
  });

  it.each([
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['no status line', 'hello\r\n\r\n'],
    ['a bare line feed in its head', 'HTTP/1.1 200 OK\r\nx: y\nz: w\r\n\r\n'],
    ['an upgrade nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n'],
    ['a storm of interim answers', `${'HTTP/1.1 103 Hints\r\n\r\n'.repeat(40)}HTTP/1.1 200 OK\r\n\r\n`],
  ])('answers 502 when upstream answers with %s', async (_what, bytes) => {
    const client = await connectRaw(proxy.port);
    client.send(GET);
    const up = await upstream.accept();
    await up.until('\r\n\r\n');
    up.send(bytes);
    expect(await client.until('\r\n\r\n')).toContain('HTTP/1.1 502 ');
  });

  it('ends the upstream request when the client is gone', async () => {
    const client = await connectRaw(proxy.port);
    client.send(GET);
    const up = await upstream.accept();
    await up.until('\r\n\r\n');
    client.socket.resetAndDestroy();
    await up.ended();
    expect(proxy.outcomes[0]?.ending).toBe('client-gone');
  });

  it('answers a client that has ended its own direction after the request', async () => {
    const client = await connectRaw(proxy.port);
    client.send(GET);
    client.socket.end();
    const up = await upstream.accept();
    await up.until('\r\n\r\n');
    up.send(ok('late'));
    expect((await client.ended()).text).toContain('late');
  });

  it('drops a request whose body ends too soon', async () => {
    const client = await connectRaw(proxy.port);
    client.send('POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf');
    const up = await upstream.accept();
    await up.until('half');
    client.socket.end();
    await up.ended();
    await client.ended();
    expect(client.received()).toBe('');
    expect(proxy.outcomes[0]?.ending).toBe('client-gone');
  });

  it('refuses a malformed chunk with 400 and breaks the upstream request off', async () => {
    const client = await connectRaw(proxy.port);
    client.send('POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
    const up = await upstream.accept();
    await up.until('abc');
    client.send('3;ext\r\nabc\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n');
    expect(await client.until('\r\n\r\n')).toContain('HTTP/1.1 400 ');
    await up.ended();
    expect(upstream.accepted).toBe(1);
    expect(up.received()).not.toContain('smuggled');
  });

  it('passes an early answer on, then closes, because the rest of the body is not a request', async () => {
    const client = await connectRaw(proxy.port);
    client.send('POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\npart');
    const up = await upstream.accept();
    await up.until('part');
    up.send('HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n');
    const { text } = await client.ended();
    expect(text).toContain('413');
    expect(text).toContain('connection: close');
  });
});

describe('deadlines', () => {
  const startWith = async (limits: { head?: number; idle?: number; stall?: number }): Promise<number> => {
    await proxy.close();
    proxy = await startPlainProxy(upstream.port, { limits });
    return proxy.port;
  };

  it('answers 502 when upstream says nothing', async () => {
    const client = await connectRaw(await startWith({ stall: 50 }));
    client.send(GET);
    await upstream.accept();
    expect(await client.until('\r\n\r\n')).toContain('HTTP/1.1 502 ');
  });

  it('breaks an answer off that stops in the middle', async () => {
    const client = await connectRaw(await startWith({ stall: 50 }));
    client.send(GET);
    const up = await upstream.accept();
    await up.until('\r\n\r\n');
    up.send('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf');
    expect((await client.ended()).text.endsWith('half')).toBe(true);
    expect(proxy.outcomes[0]?.ending).toBe('cut');
  });

  it('answers 408 to a head that does not come to its end', async () => {
    const client = await connectRaw(await startWith({ head: 50 }));
    client.send('GET /x HTTP/1.1\r\nHost:');
    expect((await client.ended()).text).toContain('HTTP/1.1 408 ');
  });

  it('ends a connection that says nothing', async () => {
    const client = await connectRaw(await startWith({ head: 50, idle: 50 }));
    expect(await client.ended()).toEqual({ text: '', inOrder: true });
  });

  it('leaves a tunnel alone however long it is silent', async () => {
    const client = await connectRaw(await startWith({ stall: 50 }));
    client.send(
      'GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
    );
    const up = await upstream.accept();
    await up.until('\r\n\r\n');
    up.send(ACCEPTED);
    await client.until('101');
    for (const member of proxy.set.members) member.sweep(performance.now() + 86_400_000);
    up.send('still here');
    await client.until('still here');
  });
});

describe('a fault of our own', () => {
  it('ends the connection that met it, is told, and leaves the others alone', async () => {
    await proxy.close();
    proxy = await startPlainProxy(upstream.port, {
      decide: (head) => {
        if (head.target === '/fault') throw new Error('a bug');
        return null;
      },
    });
    const other = await connectRaw(proxy.port);
    other.send(GET);
    const up = await upstream.accept();
    await up.until('\r\n\r\n');
    const client = await connectRaw(proxy.port);
    client.send('GET /fault HTTP/1.1\r\nHost: h\r\n\r\n');
    await client.ended();
    expect(proxy.faults).toEqual([new Error('a bug')]);
    up.send(ok('fine'));
    await other.until('fine');
  });
});

describe('a fault of our own after a record', () => {
  it.each(['an answer of upstream', 'an answer of our own'])(
    'ends the connection of %s, and not the process',
    async (whose) => {
      await proxy.close();
      let durable: () => void = () => {};
      const recorded = (): Promise<void> =>
        new Promise((resolve) => {
          durable = resolve;
        });
      proxy = await startPlainProxy(
        upstream.port,
        whose === 'an answer of upstream'
          ? { recorded }
          : { decide: () => ({ ...answer(403, 'no'), recorded: recorded() }) },
      );
      const client = await connectRaw(proxy.port);
      client.send(GET);
      if (whose === 'an answer of upstream') {
        const up = await upstream.accept();
        await up.until('\r\n\r\n');
        up.send(ok('done'));
        up.socket.end();
      } else while (proxy.outcomes.length === 0) await new Promise((resolve) => setImmediate(resolve));
      const bug = (): never => {
        throw new Error('a bug');
      };
      // One is met when the outcome is told, the other when the answer is written.
      if (whose === 'an answer of upstream') proxy.outcomes.push = bug;
      else for (const { socket } of proxy.set.members) socket.write = bug;
      durable();
      await client.ended();
      expect(proxy.faults).toEqual([new Error('a bug')]);
    },
  );
});

describe('records before answers', () => {
  it('holds the answer back until the record is durable', async () => {
    await proxy.close();
    let durable: () => void = () => {};
    proxy = await startPlainProxy(upstream.port, {
      recorded: () =>
        new Promise((resolve) => {
          durable = resolve;
        }),
    });
    const client = await connectRaw(proxy.port);
    client.send(GET);
    const up = await upstream.accept();
    await up.until('\r\n\r\n');
    up.send(ok('done'));
    up.socket.end();
    expect(client.received()).toBe('');
    durable();
    await client.until('done');
  });

  it('gives 503 in place of an answer whose record failed', async () => {
    await proxy.close();
    proxy = await startPlainProxy(upstream.port, { recorded: () => Promise.reject(new Error('disk full')) });
    const client = await connectRaw(proxy.port);
    client.send(GET);
    expect(await client.until('\r\n\r\n')).toContain('HTTP/1.1 503 ');
  });
});

describe('upgrades', () => {
  const UPGRADE =
    'GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: prefect\r\n\r\n';

  it('tunnels both ways after 101, what was sent ahead included', async () => {
    const client = await connectRaw(proxy.port);
    client.send(`${UPGRADE}early`);
    const up = await upstream.accept();
    expect(await up.until('\r\n\r\n')).not.toContain('early');
    up.send(`${ACCEPTED}hello`);
    await client.until('hello');
    await up.until('early');
    client.send('more');
    await up.until('more');
    up.socket.end();
    await client.ended();
    client.socket.end();
    await up.ended();
  });

  it('speaks nothing more upstream after a refused upgrade', async () => {
    const client = await connectRaw(proxy.port);
    client.send(`${UPGRADE}GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n`);
    const up = await upstream.accept();
    await up.until('\r\n\r\n');
    up.send('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n');
    const { text } = await client.ended();
    expect(text).toContain('403');
    expect(up.received()).not.toContain('smuggled');
    expect(upstream.accepted).toBe(1);
  });

  it('completes an upgrade while upstream is down and closes it with 1012', async () => {
    upstream.close();
    const client = await connectRaw(proxy.port);
    client.send(UPGRADE);
    const { text } = await client.ended();
    expect(text).toContain('HTTP/1.1 101 ');
    expect(text).toContain('sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
    expect(text).toContain('sec-websocket-protocol: prefect');
    const frame = Buffer.from(text.slice(text.indexOf('\r\n\r\n') + 4), 'latin1');
    expect(frame[0]).toBe(0x88);
    expect(frame.readUInt16BE(2)).toBe(1012);
  });

  it.each([502, 503, 504])('closes an upgrade that upstream answers with %i by 1012 too', async (status) => {
    const client = await connectRaw(proxy.port);
    client.send(UPGRADE);
    const up = await upstream.accept();
    await up.until('\r\n\r\n');
    up.send(`HTTP/1.1 ${status} Not Now\r\ncontent-length: 0\r\n\r\n`);
    const { text } = await client.ended();
    expect(text).toContain('HTTP/1.1 101 ');
    expect(Buffer.from(text.slice(text.indexOf('\r\n\r\n') + 4), 'latin1').readUInt16BE(2)).toBe(1012);
  });

  it('refuses a WebSocket opening that is none', async () => {
    const client = await connectRaw(proxy.port);
    client.send(UPGRADE.replace('Version: 13', 'Version: 8'));
    expect((await client.ended()).text).toContain('HTTP/1.1 400 ');
    expect(upstream.accepted).toBe(0);
  });

  it('ignores an upgrade to anything else', async () => {
    const client = await connectRaw(proxy.port);
    client.send(
      'GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n',
    );
    const up = await upstream.accept();
    const head = await up.until('\r\n\r\n');
    expect(head.toLowerCase()).not.toMatch(/upgrade|http2/);
    up.send(ok('plain'));
    await client.until('plain');
  });
});
