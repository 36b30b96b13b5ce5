import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { addAll, HOUR, newRecord } from '../store/fixture.ts';
import { cut, playedGate } from './played-gate.ts';

const gate = playedGate();

test('revoke asks the running gate to act and says what was cut', async () => {
  gate.answers(200, cut(2, 1, 3));
  const { stdout, stderr, status } = await gate.shell.certgate('revoke', 'worker/etl-1');
  expect(gate.questions).toEqual([expect.stringMatching(/^POST \/records\/apply /)]);
  expect(stdout).toMatch(/^worker\/etl-1 {2}[0-9a-f]+ {2}revoked: unspecified\n$/);
  expect(stderr).toMatch(
    /^the gate on this machine has cut 2 connections, 1 request in flight, 3 WebSockets \(\d+ ms\)\n$/,
  );
  expect(status).toBe(0);
});

test('revoke again asks for nothing of what was cut the first time', async () => {
  const { stdout } = await gate.shell.certgate('revoke', 'worker/etl-1');
  const serial = /[0-9a-f]{32}/.exec(stdout)?.[0];
  await gate.shell.certgate('revoke', 'worker/etl-1');
  expect(gate.questions.map((one) => one.replace(/^.*apply /, ''))).toEqual([
    JSON.stringify({ causes: [`revoked ${serial}`] }),
    JSON.stringify({ causes: [] }),
  ]);
});

test('revoke says so when nothing was open', async () => {
  gate.answers(200, cut(0, 0, 0));
  const { stderr } = await gate.shell.certgate('revoke', 'worker/etl-1');
  expect(stderr).toMatch(/^the gate on this machine has applied it \(\d+ ms\): nothing of it is open any more\n$/);
});

test.each([
  [1, '1 worker process did not answer and was ended, with all connections there'],
  [2, '2 worker processes did not answer and were ended, with all connections there'],
])('revoke says that %i worker processes were ended that did not confirm', async (workersEnded, words) => {
  const took = String.raw`\(\d+ ms\)`;
  gate.answers(200, { ...cut(0, 0, 0), workersEnded });
  const nothing = await gate.shell.certgate('revoke', 'worker/etl-1');
  expect(nothing.stderr).toMatch(new RegExp(`has applied it ${took}: nothing of it is open any more; ${words}\n$`));
  expect(nothing.status).toBe(0);
  gate.answers(200, { ...cut(1, 0, 0), workersEnded });
  const { stderr } = await gate.shell.certgate('revoke', 'worker/etl-1');
  expect(stderr).toMatch(new RegExp(`has cut 1 connection, .* ${took}; ${words}\n$`));
});

test('revoke takes what has ended and may still be renewed, and nothing else that has ended', async () => {
  gate.answers(200, cut(0, 0, 0));
  const { dir } = gate.shell;
  const store = openSqliteStore(join(dir, 'state', 'certgate.db'));
  const [within, past] = [26, 100].map((hours) => newRecord({ issuedAt: Date.now() - hours * HOUR }));
  await addAll(
    store,
    [within, past].flatMap((one) => one ?? []),
  );
  await store.close();
  gate.shell.run("sed -i 's/#grace: 0s/grace: 3d/' certgate.yaml");
  const { stdout } = await gate.shell.certgate('revoke', 'worker/etl-1');
  expect(stdout.match(/revoked: unspecified/g)).toHaveLength(2);
  expect(stdout).toContain(within?.serial);
});

test('revoke says that keyCompromise took the place of a lesser reason, and that no other does', async () => {
  gate.answers(200, cut(0, 0, 0));
  await gate.shell.certgate('revoke', 'worker/etl-1', '--reason', 'superseded');
  const said = async (reason: string) =>
    (await gate.shell.certgate('revoke', 'worker/etl-1', '--reason', reason)).stdout;
  const already = /^worker\/etl-1 {2}[0-9a-f]+ {2}was revoked already, \d{4}-\S+Z: /;
  expect(await said('cessationOfOperation')).toMatch(new RegExp(`${already.source}superseded\n$`));
  expect(await said('keyCompromise')).toMatch(
    new RegExp(`${already.source}superseded; the reason is keyCompromise now\n$`),
  );
  expect(await said('keyCompromise')).toMatch(new RegExp(`${already.source}keyCompromise\n$`));
  const { stdout } = await gate.shell.certgate('revoke', 'worker/etl-1', '--json');
  expect(JSON.parse(stdout)).toMatchObject({ revoked: [{ reason: 'keyCompromise' }] });
});

test('revoke prints what was cut as JSON too', async () => {
  gate.answers(200, cut(1, 0, 0));
  const { stdout } = await gate.shell.certgate('revoke', 'worker/etl-1', '--json');
  const { revoked, gate: told } = JSON.parse(stdout) as { revoked: unknown[]; gate: unknown };
  expect(revoked).toHaveLength(1);
  expect(told).toMatchObject({ revision: 7, cut: { connections: 1, requests: 0, tunnels: 0 } });
});

test('a gate that does not confirm is an error, but the revocation is on record, and that is said', async () => {
  gate.answers(500, { detail: 'the store cannot be read' });
  const { stdout, stderr, status } = await gate.shell.certgate('revoke', 'worker/etl-1');
  expect(stdout).toContain('revoked: unspecified');
  expect(stderr).toContain('the revocation is recorded, but the gate did not confirm it');
  expect(stderr).toContain('[CG_GATE_ANSWER]');
  expect(status).not.toBe(0);
  expect(gate.shell.run('certgate list --state revoked').stdout).toContain('worker/etl-1');
});
