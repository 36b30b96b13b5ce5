// What of a token on the command line other users of the machine can see.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
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
