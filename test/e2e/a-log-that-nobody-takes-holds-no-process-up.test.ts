import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { eventually, within } from './harness/eventually.ts';
import { certgateCommand, type House, type Serving } from './harness/house.ts';
import { freePort } from './harness/ports.ts';
import { cleanEnvironment, type Running, start } from './harness/processes.ts';
import { atEnd, echo, house } from './harness/scenario.ts';

let home: House;
/** Whose gate is yet to be started. */
let other: House;
let upstream: string;
let gate: Serving;
let identity: string;
/** A pipe that is full, and whose reader has stopped. */
let fullPipe: string;

beforeAll(async () => {
  [home, other] = await Promise.all([house(), house()]);
  upstream = (await echo()).url;
  identity = await home.issue('worker/etl-1');
  gate = await home.serve({ upstream });
  fullPipe = join(home.dir, 'full-pipe');
  execFileSync('mkfifo', [fullPipe]);
  const reader = openSync(fullPipe, constants.O_RDWR | constants.O_NONBLOCK);
  atEnd(async () => closeSync(reader));
  for (const size of [65_536, 1]) {
    try {
      for (;;) writeSync(reader, Buffer.alloc(size));
    } catch {
      // Not one byte of this size fits any more.
    }
  }
}, 60_000);

/** Runs certgate with its stderr led somewhere by the shell. */
function withStderr(args: readonly string[], redirection: string): Running {
  const [program, words] = certgateCommand(args);
  return start('sh', ['-c', `exec "$@" ${redirection}`, 'sh', program, ...words], {
    env: cleanEnvironment(),
    cwd: home.dir,
  });
}

async function answers(port: number): Promise<void> {
  await eventually('the port answers', async () => {
    const socket = connect(port, '127.0.0.1');
    const open = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    });
    socket.destroy();
    return open ? true : undefined;
  });
}

describe.each([
  ['on a full disk', () => '2>/dev/full'],
  ['whose reader has stopped', () => `2>"${fullPipe}"`],
  ['that was closed', () => '2>&-'],
])('a log %s', (_, redirection) => {
  test('does not keep certgate serve from ending when it is told to', async () => {
    const port = await freePort();
    const args = ['--config', other.config, '--listen', `127.0.0.1:${port}`, '--upstream', upstream];
    const running = withStderr(['serve', ...args], redirection());
    await answers(port);
    running.signal('SIGTERM');
    expect(await within('it ends', running.exited)).toEqual({ code: 0, signal: null });
  });

  test('does not keep certgate connect from ending when it is told to', async () => {
    const port = await freePort();
    const args = ['--gate', `https://127.0.0.1:${gate.port}`, '--identity', identity, '--listen', `127.0.0.1:${port}`];
    const running = withStderr(['connect', ...args], redirection());
    await answers(port);
    running.signal('SIGTERM');
    expect(await within('it ends', running.exited)).toEqual({ code: 0, signal: null });
  });

  test('does not keep certgate run from ending with its command', async () => {
    const [, args] = home.run(gate, identity, ['sh', '-c', 'exit 3']);
    // At level debug it has something to say.
    const running = withStderr([...args.slice(1, -4), '--log-level', 'debug', ...args.slice(-4)], redirection());
    expect(await within('it ends', running.exited)).toEqual({ code: 3, signal: null });
  });
});
