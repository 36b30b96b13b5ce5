// One exchange after another, as they are meant to go: bodies, framing, interim answers, records, a fault of our own.

import { describe, expect, it } from 'vitest';
import { ACCEPTED, GET, ok, proxyBetween, UPGRADE_LINES } from './between.ts';
import { answer, connectRaw } from './plain-proxy.ts';

const between = proxyBetween();

describe('one exchange after another', () => {
  it('passes a request and its answer and keeps both connections', async () => {
    const { client, up } = await between.ask(GET);
    up.send(ok('one'));
    await client.until('one');
    client.send(GET);
    await up.until((text) => text.split('GET /x').length === 3);
    up.send(ok('two'));
    await client.until('two');
    expect(between.upstream.accepted).toBe(1);
    expect(between.proxy.outcomes.map((o) => o.ending)).toEqual(['complete', 'complete']);
  });

  it('answers pipelined requests in order, one upstream request at a time', async () => {
    const client = await connectRaw(between.proxy.port);
    client.send('GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n');
    const up = await between.upstream.accept();
    const first = await up.until('\r\n\r\n');
    expect(first).not.toContain('/2');
    up.send(ok('one'));
    await up.until('GET /2');
    up.send(ok('two'));
    expect(await client.until('two')).toMatch(/one.*two/s);
  });

  it('streams a chunked body up and a chunked answer down, byte for byte', async () => {
    const client = await connectRaw(between.proxy.port);
    client.send('POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel');
    const up = await between.upstream.accept();
    await up.until('hel');
    client.send('lo\r\n0\r\n\r\n');
    expect(await up.until('\r\n0\r\n\r\n')).toContain('transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n');
    up.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
    await client.until('abc');
    up.send('0\r\n\r\n');
    expect(await client.until('\r\n0\r\n\r\n')).toContain('transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n');
  });

  it('takes no body for HEAD, 204 and 304, whatever length they announce', async () => {
    const client = await connectRaw(between.proxy.port);
    client.send(GET);
    const up = await between.upstream.accept();
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
    expect(between.upstream.accepted).toBe(1);
  });

  it('asks nothing more by a connection that answered HEAD, because upstream may send a body nevertheless', async () => {
    const client = await connectRaw(between.proxy.port);
    client.send('HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n');
    const up = await between.upstream.accept();
    await up.until('HEAD');
    up.send('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n');
    await client.until('content-length: 5');
    client.send(GET);
    await (await between.upstream.accept()).until('GET');
    expect(up.received()).not.toContain('GET');
  });

  it('passes 100 Continue on only to a client that waits for it', async () => {
    const client = await connectRaw(between.proxy.port);
    client.send('POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n');
    const up = await between.upstream.accept();
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
    const { client, up } = await between.ask(GET);
    up.send('HTTP/1.1 200 OK\r\n\r\nhello');
    up.socket.end();
    expect(await client.until('\r\n0\r\n\r\n')).toContain('5\r\nhello\r\n0\r\n\r\n');
  });
});

describe('records before answers', () => {
  it('holds the answer back until the record is durable', async () => {
    let durable: () => void = () => {};
    await between.restart({
      recorded: () =>
        new Promise((resolve) => {
          durable = resolve;
        }),
    });
    const { client, up } = await between.ask(GET);
    up.send(ok('done'));
    up.socket.end();
    expect(client.received()).toBe('');
    durable();
    await client.until('done');
  });

  it.each([
    ['a whole answer that ends with its connection', 'HTTP/1.1 200 OK\r\n\r\ndone', 'done\r\n0\r\n\r\n', 'complete'],
    ['half an answer', 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf', 'half', 'upstream-failed'],
    [
      'half an answer in chunks',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf',
      'half',
      'upstream-failed',
    ],
    ['a WebSocket that is over', `${ACCEPTED}bye`, 'bye', 'complete'],
  ])('sees the end of %s that came before the record was durable', async (_what, sent, seen, ending) => {
    let durable: () => void = () => {};
    await between.restart({
      recorded: () =>
        new Promise((resolve) => {
          durable = resolve;
        }),
    });
    const { client, up } = await between.ask(`GET /x HTTP/1.1\r\n${UPGRADE_LINES}\r\n`);
    up.send(sent);
    up.socket.end();
    // Time for both to come.
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(client.received()).toBe('');
    durable();
    expect((await client.ended()).text.endsWith(seen)).toBe(true);
    client.socket.end();
    while (between.proxy.outcomes.length === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(between.proxy.outcomes[0]?.ending).toBe(ending);
  });

  it('gives 503 in place of an answer whose record failed', async () => {
    await between.restart({ recorded: () => Promise.reject(new Error('disk full')) });
    const client = await connectRaw(between.proxy.port);
    client.send(GET);
    expect(await client.until('\r\n\r\n')).toContain('HTTP/1.1 503 ');
  });
});

describe('a fault of our own', () => {
  it('ends the connection that met it, is told, and leaves the others alone', async () => {
    await between.restart({
      decide: (head) => {
        if (head.target === '/fault') throw new Error('a bug');
        return null;
      },
    });
    const other = await connectRaw(between.proxy.port);
    other.send(GET);
    const up = await between.upstream.accept();
    await up.until('\r\n\r\n');
    const client = await connectRaw(between.proxy.port);
    client.send('GET /fault HTTP/1.1\r\nHost: h\r\n\r\n');
    await client.ended();
    expect(between.proxy.faults).toEqual([new Error('a bug')]);
    up.send(ok('fine'));
    await other.until('fine');
  });
});

describe('a fault of our own after a record', () => {
  it.each(['an answer of upstream', 'an answer of our own'])(
    'ends the connection of %s, and not the process',
    async (whose) => {
      let durable: () => void = () => {};
      const recorded = (): Promise<void> =>
        new Promise((resolve) => {
          durable = resolve;
        });
      await between.restart(
        whose === 'an answer of upstream'
          ? { recorded }
          : { decide: () => ({ ...answer(403, 'no'), recorded: recorded() }) },
      );
      const client = await connectRaw(between.proxy.port);
      client.send(GET);
      if (whose === 'an answer of upstream') {
        const up = await between.upstream.accept();
        await up.until('\r\n\r\n');
        up.send(ok('done'));
        up.socket.end();
      } else while (between.proxy.outcomes.length === 0) await new Promise((resolve) => setImmediate(resolve));
      const bug = (): never => {
        throw new Error('a bug');
      };
      // One is met when the outcome is told, the other when the answer is written.
      if (whose === 'an answer of upstream') between.proxy.outcomes.push = bug;
      else for (const { socket } of between.proxy.set.members) socket.write = bug;
      durable();
      await client.ended();
      expect(between.proxy.faults).toEqual([new Error('a bug')]);
    },
  );
});
