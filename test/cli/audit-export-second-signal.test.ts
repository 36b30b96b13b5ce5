import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, inject, onTestFinished, test } from 'vitest';
import { openShell } from './golden.ts';

test('a second signal ends an export whose collector does not answer', async () => {
  const shell = openShell();
  shell.run('certgate init');
  const collector = createServer(() => {});
  await once(collector.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => {
    collector.closeAllConnections();
    collector.close();
  });
  const to = `otlp+http://127.0.0.1:${(collector.address() as AddressInfo).port}/v1/logs`;
  const asked = once(collector, 'request');
  const child = spawn(process.execPath, [inject('certgate'), 'audit', 'export', '--to', to, '--follow'], {
    cwd: shell.dir,
    stdio: 'ignore',
  });
  const ended = once(child, 'exit');
  await asked;
  // Two kinds, because two of one kind can become one.
  child.kill('SIGTERM');
  child.kill('SIGINT');
  expect(await ended).toEqual([null, expect.stringMatching(/^SIG(?:TERM|INT)$/u)]);
});
