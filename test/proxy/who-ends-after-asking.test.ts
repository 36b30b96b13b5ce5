// A client that asks for several things and ends its direction (RFC 9112 §9.3.2, §9.6): each request that came whole before
// the end is answered, in order, then this side ends too. nginx (proxy_ignore_client_abort) and HAProxy do the same; uvicorn and
// nginx by itself take the end for a client that has left. What the end cut short is never spoken upstream.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { ACCEPTED, GET, ok, proxyBetween, UPGRADE_LINES } from './between.ts';
import { ownCertificate } from './own-certificate.ts';
import { answer, peerOf, type RawPeer } from './plain-proxy.ts';

const between = proxyBetween();
const post = (target: string, body: string): string =>
  `POST ${target} HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const chunks = (target: string): string =>
  `POST ${target} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`;
const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`;

/** Answers each request of a connection with its target, as soon as `may` lets it; answers the targets so far. */
function echo(peer: RawPeer, may: Promise<void> = Promise.resolve()): string[] {
  const heard: string[] = [];
  const look = (): void => {
    const all = [...peer.received().matchAll(/(?:GET|POST) (\/\S+) HTTP/g)].map(([, target]) => target ?? '');
    for (const target of all.slice(heard.length)) {
      heard.push(target);
      void may.then(() => peer.send(ok(`<${target}>`)));
    }
  };
  peer.socket.on('data', look);
  look();
  return heard;
}

const bodies = (text: string): string[] => [...text.matchAll(/<(\S+?)>/g)].map(([, target]) => target ?? '');

const BIG = 'x'.repeat(200_000);

describe.each(['plain', 'TLS'])('over %s, a client that asks and ends', (way) => {
  async function client(): Promise<RawPeer> {
    if (way === 'TLS') await between.restart({ tls: await ownCertificate() });
    const where = { host: '127.0.0.1', port: between.proxy.port, allowHalfOpen: true };
    const socket: Socket =
      way === 'plain' ? connect(where) : connectTls({ ...where, rejectUnauthorized: false } as object);
    await once(socket, way === 'plain' ? 'connect' : 'secureConnect');
    return peerOf(socket);
  }

  it('gets all its answers in order, the last with "Connection: close", then our end', async () => {
    const peer = await client();
    const targets = Array.from({ length: 60 }, (_, i) => `/n${i}`);
    peer.socket.end(targets.map((t, i) => [get(t), post(t, 'GET / HTTP/1.1'), chunks(t)][i % 3]).join(''));
    const heard = echo(await between.upstream.accept());
    const { text, inOrder } = await peer.ended();
    expect(bodies(text)).toEqual(targets);
    expect(heard).toEqual(targets);
    expect(inOrder).toBe(true);
    const heads = text.toLowerCase().split('http/1.1 200').slice(1);
    expect(heads.map((head) => head.includes('connection: close'))).toEqual(targets.map((_, i) => i === 59));
    expect(between.proxy.outcomes.map(({ ending }) => ending)).toEqual(targets.map(() => 'complete'));
  });

  it('gets them though it reads them late', async () => {
    const peer = await client();
    peer.socket.pause();
    peer.socket.end(GET.repeat(50));
    const up = await between.upstream.accept();
    let asked = 0;
    const look = (): void => {
      const all = up.received().split('\r\n\r\n').length - 1;
      for (; asked < all; asked++) up.send(ok(BIG));
    };
    up.socket.on('data', look);
    look();
    // Until nothing moves: what is left waits for this client.
    for (let before = -1; before !== asked || asked === 0; ) {
      before = asked;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    peer.socket.resume();
    const { text, inOrder } = await peer.ended();
    expect(text.split(BIG)).toHaveLength(51);
    expect(inOrder).toBe(true);
  });

  it.each([
    ['a head', 'POST /cut HTTP/1.1\r\nHost: h\r\nContent-Le'],
    ['a body', post('/cut', 'x'.repeat(100)).slice(0, -1)],
    ['a body in chunks', chunks('/cut').slice(0, -1)],
  ])('within %s gets the answers before it, and upstream never gets the rest', async (_what, cut) => {
    const peer = await client();
    peer.socket.end(get('/a') + get('/b') + cut);
    const up = await between.upstream.accept();
    const heard = echo(up);
    const { text, inOrder } = await peer.ended();
    expect(bodies(text)).toEqual(['/a', '/b']);
    expect(inOrder).toBe(true);
    const asked = heard.filter((target) => target !== '/cut');
    expect(asked).toEqual(['/a', '/b']);
    expect(up.received()).not.toContain('x'.repeat(100));
    expect(up.received()).not.toContain('\r\n0\r\n\r\n');
    const [first, second, ...more] = between.proxy.outcomes.map(({ ending }) => ending);
    expect([first, second]).toEqual(['complete', 'complete']);
    // Where the end is not seen before the request is begun.
    expect(more.filter((ending) => ending !== 'client-gone')).toEqual([]);
    // The end came with the requests: then it is.
    if (way === 'TLS') expect([heard, more]).toEqual([['/a', '/b'], []]);
  });
});

it('gets the answers that are our own too, where each waits for its record', async () => {
  let recorded: Array<() => void> = [];
  await between.restart({
    decide: ({ target }) => ({
      ...answer(403, `<${target}>`),
      recorded: new Promise((resolve) => {
        recorded.push(resolve);
      }),
    }),
  });
  const socket = connect({ host: '127.0.0.1', port: between.proxy.port, allowHalfOpen: true });
  const peer = peerOf(socket);
  socket.end(get('/a') + get('/b') + get('/c'));
  const { promise, resolve } = Promise.withResolvers<void>();
  peer.socket.on('end', resolve);
  const timer = setInterval(() => {
    for (const act of recorded.splice(0)) act();
  }, 1);
  await promise;
  clearInterval(timer);
  recorded = [];
  expect(bodies((await peer.ended()).text)).toEqual(['/a', '/b', '/c']);
});

it('an opening of a WebSocket and then the end reaches upstream as an end, so that no tunnel outlives who left it', async () => {
  const socket = connect({ host: '127.0.0.1', port: between.proxy.port, allowHalfOpen: true });
  const peer = peerOf(socket);
  socket.end(`GET /ws HTTP/1.1\r\n${UPGRADE_LINES}\r\n`);
  const up = await between.upstream.accept();
  await up.until('\r\n\r\n');
  while ([...between.proxy.set.members].some(({ socket: theirs }) => !theirs.readableEnded))
    await new Promise(setImmediate);
  up.send(`${ACCEPTED}one`);
  expect((await up.ended()).inOrder).toBe(true);
  up.send('two');
  up.socket.end();
  expect((await peer.ended()).text.endsWith('onetwo')).toBe(true);
});
