// An exchange of which one side breaks, lies or says nothing: nobody takes half for whole, and nothing is asked twice.

import { describe, expect, it } from 'vitest';
import { ACCEPTED, GET, ok, proxyBetween, UPGRADE_LINES } from './between.ts';
import { answer, connectRaw } from './plain-proxy.ts';

const between = proxyBetween();

describe('when something breaks', () => {
  it('shows a body that breaks off upstream as broken', async () => {
    const { client, up } = await between.ask(GET);
    up.send('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf');
    await client.until('half');
    up.socket.destroy();
    const { text } = await client.ended();
    expect(text.endsWith('half')).toBe(true);
    expect(between.proxy.outcomes[0]?.ending).toBe('upstream-failed');
  });

  it('never sends a POST twice when a kept upstream connection dies under it', async () => {
    const { client, up } = await between.ask(GET);
    up.send(ok('one'));
    await client.until('one');
    client.send('POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi');
    await up.until('hi');
    up.socket.destroy();
    expect(await client.until('502')).toContain('"detail"');
    expect(between.upstream.accepted).toBe(1);
  });

  it('sends a GET once more when a kept upstream connection dies under it, and only once', async () => {
    const { client, up } = await between.ask(GET);
    up.send(ok('one'));
    await client.until('one');
    client.send(GET);
    await up.until((text) => text.split('GET').length === 3);
    up.socket.destroy();
    const second = await between.upstream.accept();
    await second.until('GET');
    second.socket.destroy();
    await client.until('502');
    expect(between.upstream.accepted).toBe(2);
  });

  it('answers 503 when upstream cannot be reached', async () => {
    between.upstream.close();
    const client = await connectRaw(between.proxy.port);
    client.send(GET);
    expect(await client.until('\r\n\r\n')).toContain('HTTP/1.1 503 ');
  });

  it('does not take what upstream says unasked for anyone else’s answer', async () => {
    const { client, up } = await between.ask(GET);
    up.send(`${ok('one')}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil`);
    await client.until('one');
    client.send(GET);
    const next = await between.upstream.accept();
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
    const { client, up } = await between.ask(GET);
    up.send(bytes);
    expect(await client.until('\r\n\r\n')).toContain('HTTP/1.1 502 ');
  });

  it('ends the upstream request when the client is gone', async () => {
    const { client, up } = await between.ask(GET);
    client.socket.resetAndDestroy();
    await up.ended();
    expect(between.proxy.outcomes[0]?.ending).toBe('client-gone');
  });

  it('answers a client that has ended its own direction after the request', async () => {
    const client = await connectRaw(between.proxy.port);
    client.send(GET);
    client.socket.end();
    const up = await between.upstream.accept();
    await up.until('\r\n\r\n');
    up.send(ok('late'));
    expect((await client.ended()).text).toContain('late');
  });

  it.each(['ends', 'resets'])(
    'tells once of a request that is taken and whose client %s within its body',
    async (how) => {
      await between.restart({ decide: () => ({ kind: 'take', most: 100, answer: async () => answer(200, 'taken') }) });
      const client = await connectRaw(between.proxy.port);
      client.send('POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\nhalf');
      await client.until('100 Continue');
      if (how === 'ends') client.socket.end();
      else client.socket.resetAndDestroy();
      while (between.proxy.set.members.size > 0) await new Promise((resolve) => setImmediate(resolve));
      expect(between.proxy.outcomes.map(({ status, ending }) => [status, ending])).toEqual([[0, 'client-gone']]);
    },
  );

  it('drops a request whose body ends too soon', async () => {
    const client = await connectRaw(between.proxy.port);
    client.send('POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf');
    const up = await between.upstream.accept();
    await up.until('half');
    client.socket.end();
    await up.ended();
    await client.ended();
    expect(client.received()).toBe('');
    expect(between.proxy.outcomes[0]?.ending).toBe('client-gone');
  });

  it('refuses a malformed chunk with 400 and breaks the upstream request off', async () => {
    const client = await connectRaw(between.proxy.port);
    client.send('POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
    const up = await between.upstream.accept();
    await up.until('abc');
    client.send('3;ext\r\nabc\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n');
    expect(await client.until('\r\n\r\n')).toContain('HTTP/1.1 400 ');
    await up.ended();
    expect(between.upstream.accepted).toBe(1);
    expect(up.received()).not.toContain('smuggled');
  });

  it('passes an early answer on, then closes, because the rest of the body is not a request', async () => {
    const client = await connectRaw(between.proxy.port);
    client.send('POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\npart');
    const up = await between.upstream.accept();
    await up.until('part');
    up.send('HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n');
    const { text } = await client.ended();
    expect(text).toContain('413');
    expect(text).toContain('connection: close');
  });
});

describe('deadlines', () => {
  const startWith = async (limits: { head?: number; idle?: number; stall?: number }): Promise<number> => {
    await between.restart({ limits });
    return between.proxy.port;
  };

  it('answers 502 when upstream says nothing', async () => {
    const client = await connectRaw(await startWith({ stall: 50 }));
    client.send(GET);
    await between.upstream.accept();
    expect(await client.until('\r\n\r\n')).toContain('HTTP/1.1 502 ');
  });

  it('breaks an answer off that stops in the middle', async () => {
    const client = await connectRaw(await startWith({ stall: 50 }));
    client.send(GET);
    const up = await between.upstream.accept();
    await up.until('\r\n\r\n');
    up.send('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf');
    expect((await client.ended()).text.endsWith('half')).toBe(true);
    expect(between.proxy.outcomes[0]?.ending).toBe('cut');
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
    client.send(`GET /ws HTTP/1.1\r\n${UPGRADE_LINES}\r\n`);
    const up = await between.upstream.accept();
    await up.until('\r\n\r\n');
    up.send(ACCEPTED);
    await client.until('101');
    for (const member of between.proxy.set.members) member.sweep(performance.now() + 86_400_000);
    up.send('still here');
    await client.until('still here');
  });
});
