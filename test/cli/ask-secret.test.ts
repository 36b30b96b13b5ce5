import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, test } from 'vitest';
import { afterKey, type Line } from '../../src/cli/ask-secret.ts';
import { openShell } from './golden.ts';

const terminal = fileURLToPath(new URL('terminal.py', import.meta.url));
const python = spawnSync('python3', ['-c', 'import termios']).status === 0;

describe('a line typed without echo', () => {
  const START: Line = { typed: [], ended: null };
  test.each([
    ['abc\r', 'abc', 'answered'],
    ['abc\n', 'abc', 'answered'],
    ['pä😀\r', 'pä😀', 'answered'],
    ['abcx\x7f\r', 'abc', 'answered'],
    ['aä\b\b\b\r', '', 'answered'],
    ['wrong\x15right\r', 'right', 'answered'],
    ['abc\x04', 'abc', 'answered'],
    ['abc\x03', '', 'interrupted'],
    ['abc\rdef\r', 'abc', 'answered'],
    ['abc', 'abc', null],
  ] as const)('%j is %j, %s', (keys, typed, ended) => {
    const line = Array.from(keys).reduce(afterKey, START);
    expect([line.typed.join(''), line.ended]).toEqual([typed, ended]);
  });
});

/** Types `keys`, one entry a question, into `certgate export` on a terminal of its own. */
function typeInto(...keys: readonly string[]): {
  screen: string;
  status: number;
  echo: boolean;
  opened: (password: string) => boolean;
} {
  const shell = openShell();
  shell.run('certgate init && certgate issue user/alice');
  const ran = spawnSync('python3', [terminal, JSON.stringify(keys), 'certgate', 'export', 'user-alice'], {
    cwd: shell.dir,
    env: shell.env,
    encoding: 'utf8',
    timeout: 240_000,
  });
  const ended = JSON.parse(ran.stdout) as { screen: string; status: number; echo: boolean };
  const opened = (password: string): boolean =>
    shell.run(`openssl pkcs12 -in user-alice.p12 -passin 'pass:${password}' -noout`).status === 0;
  return { ...ended, opened };
}

describe('certgate export on a terminal', () => {
  beforeEach((context) => {
    if (python) return;
    process.stderr.write(`skipped: ${context.task.name}: no python3 here\n`);
    context.skip('no python3 here');
  });

  test('asks twice, shows nothing of the answer, and gives the terminal back as it was', () => {
    const { screen, status, echo, opened } = typeInto('süß es\r', 'süß es\r');
    expect(screen).toContain('password for the file: \r\nthe same again: \r\n');
    expect(screen).not.toContain('ß');
    expect([status, echo]).toEqual([0, true]);
    expect(opened('süß es')).toBe(true);
  });

  test('refuses two answers that differ, and writes nothing', () => {
    const { screen, status, opened } = typeInto('one\r', 'two\r');
    expect(screen).toContain('the two passwords are not the same [CG_PASSWORD]');
    expect(status).toBe(2);
    expect(opened('one')).toBe(false);
  });

  test('is ended by Ctrl-C like any program, with the terminal as it was', () => {
    const { screen, status, echo } = typeInto('secr\x03');
    expect(screen).not.toContain('secr');
    expect([status, echo]).toEqual([-2, true]);
  });
});
