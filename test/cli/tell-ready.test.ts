import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { tellReady } from '../../src/cli/tell-ready.ts';
import type { Log } from '../../src/observe/log.ts';

/** A folder with a stand-in for systemd's program, which writes down how it was called, and then does `then`. */
async function machine(then = '') {
  const dir = await mkdtemp(join(tmpdir(), 'certgate-ready-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  const program = join(dir, 'systemd-notify');
  await writeFile(program, `#!/bin/sh\nprintf '%s ' "$NOTIFY_SOCKET" "$@" >> '${join(dir, 'called')}'\n${then}\n`);
  await chmod(program, 0o755);
  const warned: [{ readonly reason: string }, string][] = [];
  const log = { warn: (...words: [{ readonly reason: string }, string]) => void warned.push(words) } as unknown as Log;
  const called = async () => await readFile(join(dir, 'called'), 'utf8').catch(() => null);
  return { dir, warned, log, called };
}

test('systemd is told once that the program is ready, on the socket that it named', async () => {
  const { dir, log, warned, called } = await machine();
  await tellReady(log, { PATH: dir, NOTIFY_SOCKET: '/run/systemd/notify' });
  expect(await called()).toBe('/run/systemd/notify --ready ');
  expect(warned).toEqual([]);
});

test.each([undefined, ''])('nobody is told where no socket is named (%o)', async (socket) => {
  const { dir, log, called } = await machine();
  await tellReady(log, { PATH: dir, NOTIFY_SOCKET: socket });
  expect(await called()).toBeNull();
});

test('where systemd’s program fails, or is not there, the log says so and nothing ends', async () => {
  const { dir, log, warned } = await machine('echo no bus >&2; exit 1');
  await tellReady(log, { PATH: dir, NOTIFY_SOCKET: '/run/systemd/notify' });
  await tellReady(log, { PATH: join(dir, 'none'), NOTIFY_SOCKET: '/run/systemd/notify' });
  const sentence = 'could not notify systemd that this is ready';
  expect(warned.map(([, said]) => said)).toEqual([sentence, sentence]);
  expect(warned.map(([{ reason }]) => reason)).toEqual([
    expect.stringContaining('no bus'),
    expect.stringContaining('ENOENT'),
  ]);
});
