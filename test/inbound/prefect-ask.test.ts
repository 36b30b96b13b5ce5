// What the gate asks Prefect by itself: the questions for one client are not in the way of those for another.

import { createServer } from 'node:http';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { openAsker, type PrefectAsker } from '../../src/inbound/prefect-ask.ts';
import { portOf } from '../proxy/plain-proxy.ts';

const reached: string[] = [];
let status = 200;
let answer = '{"a":1}';
const server = createServer((request, response) => {
  reached.push(request.url ?? '');
  setImmediate(() => response.writeHead(status, { 'content-type': 'application/json' }).end(answer));
});
let asker: PrefectAsker;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  asker = openAsker({ upstream: { host: '127.0.0.1', port: portOf(server) }, apiPath: '/api' }, null, 10_000);
});
beforeEach(() => {
  reached.splice(0);
  status = 200;
  answer = '{"a":1}';
});
afterAll(() => {
  asker.close();
  server.close();
});

const question = (path: string) => ({ method: 'GET', path, body: null }) as const;

test('who has one to ask does not wait for who has many', async () => {
  const many = Array.from({ length: 200 }, async (_, n) => await asker.ask(question(`/many/${n}`), 'worker/many'));
  expect(await asker.ask(question('/one'), 'worker/one')).toEqual({ a: 1 });
  // Those that had a connection go first.
  expect(reached.indexOf('/api/one')).toBeLessThan(20);
  await Promise.all(many);
  expect(reached).toHaveLength(201);
});

test('and a question that fails leaves its turn to the next', async () => {
  status = 500;
  const failing = Array.from({ length: 20 }, async (_, n) => {
    const said = asker.ask(question(`/failing/${n}`), 'worker/many');
    return await said.then(
      () => 'answered',
      () => 'failed',
    );
  });
  expect(new Set(await Promise.all(failing))).toEqual(new Set(['failed']));
  status = 200;
  expect(await asker.ask(question('/after'), 'worker/many')).toEqual({ a: 1 });
});

test('of an answer only what is wanted is looked at', async () => {
  answer = '{"parameters":[}]{,"a":1}';
  await expect(asker.ask(question('/whole'))).rejects.toThrow(SyntaxError);
  answer = '{"parameters":{"a":[2]},"a":1,"b":3}';
  expect(await asker.ask({ ...question('/some'), wants: new Set(['b', 'c']) })).toEqual({ b: 3 });
  expect(await asker.ask({ ...question('/some'), wants: new Set() })).toEqual({});
  answer = 'oops';
  await expect(asker.ask({ ...question('/some'), wants: new Set() })).rejects.toThrow(SyntaxError);
});
