import { expect, test } from 'vitest';
import { cut, playedGate } from './played-gate.ts';

const gate = playedGate();

test('lock has the running gate act at once and says what this lock cut', async () => {
  gate.answers(200, cut(2, 1, 1));
  const { stdout, stderr, status } = await gate.shell.certgate('lock', 'identity', 'worker/etl-1', '--reason', 'odd');
  expect(gate.questions).toEqual([
    expect.stringMatching(/^POST \/records\/apply \{"causes":\["locked identity worker\/etl-1 \d+"\]\}$/),
  ]);
  expect(stdout).toBe('worker/etl-1  locked until it is unlocked: odd\n');
  expect(stderr).toMatch(
    /^the gate on this machine has cut 2 connections, 1 request in flight, 1 WebSocket \(\d+ ms\)\n$/,
  );
  expect(status).toBe(0);
});

test('unlock has the running gate let in again at once, and asks nothing of it where nothing was locked', async () => {
  await gate.shell.certgate('unlock', 'all');
  expect(gate.questions).toEqual([]);
  await gate.shell.certgate('lock', 'all', '--reason', 'moving');
  const { stdout, stderr } = await gate.shell.certgate('unlock', 'all');
  expect(gate.questions.at(-1)).toBe('POST /records/apply {"causes":[]}');
  expect(stdout).toBe('everyone  unlocked\n');
  expect(stderr).toMatch(/^the gate on this machine has applied it \(\d+ ms\)\n$/);
});

test.each([
  ['lock', ['lock', 'all', '--reason', 'moving'], 'the lock is recorded, but the gate did not confirm it', 'everyone'],
  ['unlock', ['unlock', 'all'], 'the end of the lock is recorded, but the gate did not confirm it', ''],
])(
  'a gate that does not confirm a %s is an error, but it is on record, and that is said',
  async (_what, words, said, locked) => {
    if (words[0] === 'unlock') await gate.shell.certgate('lock', 'all', '--reason', 'moving');
    gate.answers(503, { detail: 'the store cannot be read' });
    const { stderr, status } = await gate.shell.certgate(...words);
    expect(stderr).toContain(said);
    expect(stderr).toContain('[CG_GATE_ANSWER]');
    expect(status).toBe(7);
    const { stdout } = await gate.shell.certgate('locks');
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
    gate.answers(200, { ...health, locks });
    const { stdout, status } = await gate.shell.certgate('health');
    expect([stdout, status]).toEqual([`ok: store ok, record ok, upstream ok, ${said}\n`, 0]);
  }
});
