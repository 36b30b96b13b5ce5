import { ChildProcess } from 'node:child_process';
import { expect, onTestFinished, test, vi } from 'vitest';
import { runToEnd } from '../../src/cli/run.ts';

test('a command that no signal can be sent to, as sudo, is run to its end all the same', async () => {
  const kill = vi.spyOn(ChildProcess.prototype, 'kill').mockImplementation(function (this: ChildProcess) {
    // As Node does for EPERM.
    this.emit('error', Object.assign(new Error('kill EPERM'), { code: 'EPERM', syscall: 'kill' }));
    return false;
  });
  onTestFinished(() => kill.mockRestore());
  const ended = runToEnd([process.execPath, '-e', 'setTimeout(() => process.exit(7), 300)'], process.env);
  process.emit('SIGUSR2');
  expect(kill).toHaveBeenCalled();
  expect(await ended).toBe(7);
});

test('a command that is not there is said to be that', async () => {
  await expect(runToEnd(['certgate-no-such-command'], process.env)).rejects.toThrow('there is no such command');
});
