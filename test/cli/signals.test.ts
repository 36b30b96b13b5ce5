import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const SIGNALS = fileURLToPath(new URL('../../src/cli/signals.ts', import.meta.url));

/** Runs a program that may say `stop` and `kill(signal)`, which resolves when the signal has been heard. */
function run(body: string): { readonly said: string; readonly signal: string | null; readonly code: number | null } {
  const program = `
    import { hearStop } from ${JSON.stringify(SIGNALS)};
    import { setTimeout as pause } from 'node:timers/promises';
    const serving = setInterval(() => {}, 60_000);
    const stop = hearStop();
    const kill = async (signal) => {
      const heard = new Promise((resolve) => process.once(signal, resolve));
      process.kill(process.pid, signal);
      await heard;
    };
    ${body}
    clearInterval(serving);`;
  const { stdout, stderr, signal, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return { said: stdout, signal, code: status };
}

test('a signal that comes before a process has begun to serve is one to finish by', () => {
  const ran = run(`
    await kill('SIGTERM');
    await stop.until(async (signal, hurry) => console.log(signal, hurry.aborted));
    console.log('finished');`);
  expect(ran).toEqual({ said: 'SIGTERM false\nfinished\n', signal: null, code: 0 });
});

test('a second signal hurries what finishes', () => {
  const ran = run(`
    await kill('SIGINT');
    await stop.until(async (signal, hurry) => {
      await kill('SIGTERM');
      console.log(signal, hurry.aborted);
    });`);
  expect(ran).toEqual({ said: 'SIGINT true\n', signal: null, code: 0 });
});

test('a second signal ends a process whose start hangs', () => {
  const ran = run(`
    await kill('SIGTERM');
    process.kill(process.pid, 'SIGINT');
    await pause(60_000);`);
  expect(ran).toEqual({ said: '', signal: 'SIGINT', code: null });
});
