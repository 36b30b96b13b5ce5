import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openShell, type Shell } from './golden.ts';

let shell: Shell;
let gate: Server;
let answer: { status: number; body: string };
let questions: string[];

beforeEach(async () => {
  shell = openShell();
  shell.run('certgate init && certgate issue worker/etl-1');
  questions = [];
  answer = { status: 200, body: '{"revision":7,"cut":{"connections":2,"requests":1,"tunnels":1}}' };
  gate = createServer((request, response) => {
    let body = '';
    request.on('data', (part: Buffer) => {
      body += part.toString();
    });
    request.on('end', () => {
      questions.push(`${request.method} ${request.url} ${body}`);
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
    });
  });
  gate.listen(join(shell.dir, 'state', 'control.sock'));
  await once(gate, 'listening');
});

afterEach(() => {
  gate.close();
  gate.closeAllConnections();
});

test('lock has the running gate act at once and says what this lock cut', async () => {
  const { stdout, stderr, status } = await shell.certgate('lock', 'identity', 'worker/etl-1', '--reason', 'odd');
  expect(questions).toEqual([
    expect.stringMatching(/^POST \/records\/apply \{"causes":\["locked identity worker\/etl-1 \d+"\]\}$/),
  ]);
  expect(stdout).toBe('worker/etl-1  locked until it is unlocked: odd\n');
  expect(stderr).toMatch(
    /^the gate on this machine has cut 2 connections, 1 request in flight, 1 WebSocket \(\d+ ms\)\n$/,
  );
  expect(status).toBe(0);
});

test('unlock has the running gate let in again at once, and asks nothing of it where nothing was locked', async () => {
  await shell.certgate('unlock', 'all');
  expect(questions).toEqual([]);
  await shell.certgate('lock', 'all', '--reason', 'moving');
  const { stdout, stderr } = await shell.certgate('unlock', 'all');
  expect(questions.at(-1)).toBe('POST /records/apply {"causes":[]}');
  expect(stdout).toBe('everyone  unlocked\n');
  expect(stderr).toMatch(/^the gate on this machine has applied it \(\d+ ms\)\n$/);
});

test.each([
  ['lock', ['lock', 'all', '--reason', 'moving'], 'the lock is recorded, but the gate did not confirm it', 'everyone'],
  ['unlock', ['unlock', 'all'], 'the end of the lock is recorded, but the gate did not confirm it', ''],
])(
  'a gate that does not confirm a %s is an error, but it is on record, and that is said',
  async (_what, words, said, locked) => {
    if (words[0] === 'unlock') await shell.certgate('lock', 'all', '--reason', 'moving');
    answer = { status: 503, body: '{"detail":"the store cannot be read"}' };
    const { stderr, status } = await shell.certgate(...words);
    expect(stderr).toContain(said);
    expect(stderr).toContain('[CG_GATE_ANSWER]');
    expect(status).toBe(7);
    const { stdout } = await shell.certgate('locks');
    expect(stdout).toContain(locked);
    expect(stdout === '').toBe(locked === '');
  },
);

test('health says how many locks stand, and that everyone is locked, and is well all the same', async () => {
  const health = { status: 'ok', store: true, audit: true, upstream: true, connections: 0, metrics: {} };
  for (const [locks, said] of [
    [{ standing: 0, everyone: false }, '0 connections'],
    [{ standing: 1, everyone: false }, '0 connections, 1 lock'],
    [{ standing: 2, everyone: true }, '0 connections, everyone is locked'],
  ] as const) {
    answer = { status: 200, body: JSON.stringify({ ...health, locks }) };
    const { stdout, status } = await shell.certgate('health');
    expect([stdout, status]).toEqual([`ok: store ok, record ok, upstream ok, ${said}\n`, 0]);
  }
});
