import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hookWords, openHook } from '../../src/cli/renewal-hook.ts';
import { openLog } from '../../src/observe/log.ts';

test('a command is split at spaces, and needs no shell', () => {
  expect(hookWords({ exec: ' nginx  -s reload ' })).toEqual(['nginx', '-s', 'reload']);
  expect(hookWords({ execShell: 'kill -HUP $(cat a)' })).toEqual(['/bin/sh', '-c', 'kill -HUP $(cat a)']);
  expect(hookWords({})).toBeNull();
});

test.each(["sh -c 'a b'", 'kill $(cat a)', 'a; b', 'a > b', 'a | b', 'a *'])(
  '%s is refused, and --exec-shell is named with it',
  (exec) => expect(() => hookWords({ exec })).toThrow('only a shell understands'),
);

test.each([{ exec: '  ' }, { execShell: '' }, { exec: 'a', execShell: 'b' }])('%j is refused', (flags) =>
  expect(() => hookWords(flags)).toThrow(expect.objectContaining({ code: 'CG_USAGE' })),
);

function keptLog() {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>);
  return { lines, log: openLog({ level: 'info', destination: { write } }) };
}

/** A hook that fails until it was run `good` times, and the serials that it was run for. */
function failing(good: number, retryMs: number | null) {
  const record = join(mkdtempSync(join(tmpdir(), 'certgate-hook-')), 'record');
  const words = ['/bin/sh', '-c', `echo "$CERTGATE_SERIAL" >> "${record}"; test $(wc -l < "${record}") -ge ${good}`];
  const { lines, log } = keptLog();
  const hook = openHook({ words, timeoutMs: 20_000, env: { PATH: '/usr/bin:/bin' }, log, retryMs });
  return { hook, lines, runs: () => readFileSync(record, 'utf8').trimEnd().split('\n') };
}

test('what failed is run again, later each time, until it succeeds', async () => {
  const { hook, lines, runs } = failing(3, 20);
  await hook.run('a');
  await expect.poll(() => lines.at(-1)?.['msg'], { timeout: 20_000 }).toBe('hook ended');
  expect(runs()).toEqual(['a', 'a', 'a']);
  expect(lines.map((line) => line['delayMs'])).toEqual([20, 40, undefined]);
  await hook.stop();
});

test('a renewal takes the place of what would be run again, and a stop ends it', async () => {
  const { hook, lines, runs } = failing(99, 3_000_000);
  await hook.run('a');
  await hook.run('b');
  await hook.stop();
  await hook.run('c');
  expect(runs()).toEqual(['a', 'b', 'c']);
  expect(lines.map((line) => line['delayMs'])).toEqual([3_000_000, 3_600_000, null]);
});

test('what the system does not take for a command has failed, as any other that fails', async () => {
  const { lines, log } = keptLog();
  // Longer than Linux takes one argument: spawn throws.
  const words = ['/bin/true', 'a'.repeat(200_000)];
  const hook = openHook({ words, timeoutMs: 20_000, env: {}, log, retryMs: null });
  await hook.run('a');
  expect(hook.failures).toBe(1);
  expect(lines.map((line) => line['reason'])).toEqual([expect.stringContaining('E2BIG')]);
});
