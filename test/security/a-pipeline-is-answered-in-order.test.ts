// A hundred requests in one write (RFC 9112 §9.3.2): each has its answer, in their order, and what is refused in the midst of
// them is refused alone, unless nothing behind it can be told apart any more: then nothing behind it is ever spoken upstream.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { openScene, type Scene, statusesOf } from './attack.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(async () => await scene.close());

const MANY = 100;
const get = (i: number, lines = ''): string => `GET /api/n${i} HTTP/1.1\r\nHost: gate.test\r\n${lines}\r\n`;
const post = (i: number, lines: string, body: string): string =>
  `POST /api/n${i} HTTP/1.1\r\nHost: gate.test\r\n${lines}\r\n${body}`;

/** Sends requests 0 to 99, of which number 50 is `odd`; how they were answered, and which upstream heard of. */
async function pipelined(odd: string, cut: number): Promise<{ statuses: number[]; heard: string[] }> {
  const one = (i: number): string =>
    i === 50
      ? odd
      : i % 3 === 0
        ? post(i, 'Content-Length: 5\r\n', 'GET /')
        : i % 3 === 1
          ? get(i)
          : post(i, 'Transfer-Encoding: chunked\r\n', '5\r\nGET /\r\n0\r\n\r\n');
  const text = Array.from({ length: MANY }, (_, i) => one(i)).join('');
  const client = await scene.gate.connect();
  for (let at = 0; at < text.length; at += cut) client.send(text.slice(at, at + cut));
  const all = client.until((answers) => statusesOf(answers).length === MANY);
  const ended = client.ended().then(({ text: answers }) => answers);
  const answers = await Promise.race([all, ended]);
  void Promise.allSettled([all, ended]);
  client.socket.destroy();
  return { statuses: statusesOf(answers), heard: scene.upstream.take().map(({ target }) => target) };
}

const targets = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `/api/n${from + i}`);
const times = (count: number, status: number): number[] => Array.from({ length: count }, () => status);

test.each([1_000_000, 1_000, 7])('with nothing odd among them, in writes of %i', async (cut) => {
  const { statuses, heard } = await pipelined(get(50), cut);
  expect(statuses).toEqual(times(MANY, 200));
  expect(heard).toEqual(targets(0, MANY));
});

test.each([1_000_000, 1_000])('with one in the midst that is refused for what it is, in writes of %i', async (cut) => {
  const { statuses, heard } = await pipelined(get(50, 'Origin: https://evil.test\r\n'), cut);
  expect(statuses).toEqual([...times(50, 200), 403, ...times(MANY - 51, 200)]);
  expect(heard).toEqual([...targets(0, 50), ...targets(51, MANY)]);
});

test.each<[string, string, number]>([
  ['can be read in two ways', post(50, 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'), 400],
  ['is of HTTP/1.0', 'GET /api/n50 HTTP/1.0\r\nHost: gate.test\r\n\r\n', 505],
  ['has a body and is refused', post(50, 'Origin: https://evil.test\r\nContent-Length: 5\r\n', 'GET /'), 403],
  ['opens a WebSocket that is none', get(50, 'Connection: Upgrade\r\nUpgrade: websocket\r\n'), 400],
  ['says that it is the last', get(50, 'Connection: close\r\n'), 200],
])('with one that %s, nothing behind it is spoken upstream', async (_what, odd, status) => {
  const { statuses, heard } = await pipelined(odd, 1_000_000);
  expect(statuses).toEqual([...times(50, 200), status]);
  expect(heard).toEqual(targets(0, status === 200 ? 51 : 50));
});
