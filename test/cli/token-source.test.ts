// Where a token comes from: what is said of a file that holds none, and what of a token other users of the machine can see.
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { CommandIo } from '../../src/cli/io.ts';
import { tokenFrom } from '../../src/cli/token-source.ts';
import { newToken, writeToken } from '../../src/enroll/token.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

test.each([
  ['run', '--token'],
  ['enroll', null],
])(
  'a token that %s has read from its command line is no longer there',
  async (command, flag) => {
    if (!existsSync('/proc/self/cmdline')) {
      process.stderr.write('skipped: there is no /proc here\n');
      return;
    }
    // Nobody answers there, and so it goes on trying.
    const token = writeToken(
      newToken({ subject: 'worker/etl-1', gate: 'https://127.0.0.1:1', rootFingerprint: 'ab'.repeat(32) }),
    );
    const cwd = mkdtempSync(join(tmpdir(), 'certgate-ps-'));
    const words = [command, ...(flag === null ? [token] : [flag, token, '--', 'true'])];
    const child = spawn(process.execPath, [main, ...words], { cwd, stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));
    const shown = (): string => readFileSync(`/proc/${child.pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
    await expect.poll(shown, { timeout: 20_000 }).not.toContain(token.slice(5, 60));
    expect(shown()).toContain(`certgate ${command}`);
  },
  30_000,
);

describe('a token file', () => {
  const place = (): { readonly file: string; readonly io: CommandIo } => {
    const cwd = mkdtempSync(join(tmpdir(), 'certgate-token-'));
    const io: CommandIo = {
      ...{ env: {}, cwd, isTerminal: false, program: 'certgate' },
      out: () => {},
      say: () => {},
      input: async () => Buffer.from('\n'),
      setExitCode: () => {},
    };
    return { file: join(cwd, 'token'), io };
  };
  const about = { subject: 'worker/etl-1', gate: 'https://gate.example:8443', rootFingerprint: 'ab'.repeat(32) };

  test.each([
    ['token', 'not a token: the file "token" is empty'],
    ['-', 'not a token: standard input is empty'],
  ])('that is empty, be it %s, is said to be', async (tokenFile, message) => {
    const { file, io } = place();
    writeFileSync(file, '\n', { mode: 0o600 });
    await expect(tokenFrom({ tokenFile }, io, () => {})).rejects.toThrow(message);
  });

  test.each([
    [0o644, 'users other than its owner can get at the token in token (mode 0644): chmod 600 token'],
    [0o600, ''],
  ])('with mode %o is taken, with a warning where others can read it', async (mode, warning) => {
    const { file, io } = place();
    writeFileSync(file, writeToken(newToken(about)));
    chmodSync(file, mode);
    const said: string[] = [];
    expect(await tokenFrom({ tokenFile: 'token' }, io, (words) => void said.push(words))).toMatchObject(about);
    expect(said.join()).toBe(warning);
  });
});
