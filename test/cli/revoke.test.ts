import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
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
  mkdirSync(join(shell.dir, 'state'), { recursive: true });
  questions = [];
  gate = createServer((request, response) => {
    questions.push(`${request.method} ${request.url}`);
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
  });
  gate.listen(join(shell.dir, 'state', 'control.sock'));
  await once(gate, 'listening');
});

afterEach(() => {
  gate.close();
  gate.closeAllConnections();
});

test('revoke asks the running gate to act and says what was cut', async () => {
  answer = { status: 200, body: '{"revision":7,"cut":{"connections":2,"requests":1,"tunnels":3}}' };
  const { stdout, stderr, status } = await shell.certgate('revoke', 'worker/etl-1');
  expect(questions).toEqual(['POST /records/apply']);
  expect(stdout).toMatch(/^worker\/etl-1 {2}[0-9a-f]+ {2}revoked: unspecified\n$/);
  expect(stderr).toMatch(
    /^the gate on this machine has cut 2 connections, 1 request in flight, 3 WebSockets \(\d+ ms\)\n$/,
  );
  expect(status).toBe(0);
});

test('revoke says so when nothing was open', async () => {
  answer = { status: 200, body: '{"revision":7,"cut":{"connections":0,"requests":0,"tunnels":0}}' };
  const { stderr } = await shell.certgate('revoke', 'worker/etl-1');
  expect(stderr).toMatch(/^the gate on this machine has applied it \(\d+ ms\): nothing of it is open any more\n$/);
});

test('revoke says that keyCompromise took the place of a lesser reason, and that no other does', async () => {
  answer = { status: 200, body: '{"revision":7,"cut":{"connections":0,"requests":0,"tunnels":0}}' };
  await shell.certgate('revoke', 'worker/etl-1', '--reason', 'superseded');
  const said = async (reason: string) => (await shell.certgate('revoke', 'worker/etl-1', '--reason', reason)).stdout;
  const already = /^worker\/etl-1 {2}[0-9a-f]+ {2}was revoked already, \d{4}-\S+Z: /;
  expect(await said('cessationOfOperation')).toMatch(new RegExp(`${already.source}superseded\n$`));
  expect(await said('keyCompromise')).toMatch(
    new RegExp(`${already.source}superseded; the reason is keyCompromise now\n$`),
  );
  expect(await said('keyCompromise')).toMatch(new RegExp(`${already.source}keyCompromise\n$`));
  const { stdout } = await shell.certgate('revoke', 'worker/etl-1', '--json');
  expect(JSON.parse(stdout)).toMatchObject({ revoked: [{ reason: 'keyCompromise' }] });
});

test('revoke prints what was cut as JSON too', async () => {
  answer = { status: 200, body: '{"revision":7,"cut":{"connections":1,"requests":0,"tunnels":0}}' };
  const { stdout } = await shell.certgate('revoke', 'worker/etl-1', '--json');
  const { revoked, gate: told } = JSON.parse(stdout) as { revoked: unknown[]; gate: unknown };
  expect(revoked).toHaveLength(1);
  expect(told).toMatchObject({ revision: 7, cut: { connections: 1, requests: 0, tunnels: 0 } });
});

test('a gate that does not confirm is an error, but the revocation is on record, and that is said', async () => {
  answer = { status: 500, body: '{"detail":"the store cannot be read"}' };
  const { stdout, stderr, status } = await shell.certgate('revoke', 'worker/etl-1');
  expect(stdout).toContain('revoked: unspecified');
  expect(stderr).toContain('the revocation is recorded, but the gate did not confirm it');
  expect(stderr).toContain('[CG_GATE_ANSWER]');
  expect(status).not.toBe(0);
  expect(shell.run('certgate list --state revoked').stdout).toContain('worker/etl-1');
});
