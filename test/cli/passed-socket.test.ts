import { expect, test } from 'vitest';
import { passedSocket } from '../../src/cli/passed-socket.ts';
import { CertgateError } from '../../src/errors.ts';

const PID = 7;
const env = (names: string | undefined, fds: string, pid = String(PID)): NodeJS.ProcessEnv => ({
  LISTEN_PID: pid,
  LISTEN_FDS: fds,
  ...(names === undefined ? {} : { LISTEN_FDNAMES: names }),
});
const passed = (name: string, ...given: Parameters<typeof env>) => passedSocket(`systemd:${name}`, env(...given), PID);
const refusal = (name: string, ...given: Parameters<typeof env>): string => {
  try {
    return `descriptor ${passed(name, ...given).fd}`;
  } catch (error) {
    return error instanceof CertgateError && error.code === 'CG_PASSED_SOCKET'
      ? `${error.message} → ${error.hint}`
      : '';
  }
};

test('the socket of that name is found by its place', () => {
  expect(passed('gate', 'gate', '1')).toEqual({ fd: 3, name: 'systemd:gate' });
  expect(passed('gate', 'metrics::gate', '3')).toMatchObject({ fd: 5 });
  expect(passed('certgate.socket', 'a:certgate.socket', '2')).toMatchObject({ fd: 4 });
  expect(passed('unknown', undefined, '1')).toMatchObject({ fd: 3 });
});

test('what is said of passed sockets is said to nobody whom this process starts', () => {
  for (const pid of [PID, 8]) {
    const given = { ...env('gate', '1'), LISTEN_PIDFDID: '12', PATH: '/bin' };
    try {
      passedSocket('systemd:gate', given, pid);
    } catch {}
    expect(given).toEqual({ PATH: '/bin' });
  }
});

test('where nothing was passed, that is told, and how something is', () => {
  expect(() => passedSocket('systemd:gate', {}, PID)).toThrow('systemd has passed no socket to this process');
  expect(() => passedSocket('systemd:gate', { LISTEN_PID: '7' }, PID)).toThrow('systemd has passed no socket');
});

test('what was passed to another process is not taken: descriptor 3 is something else here', () => {
  for (const pid of ['8', '', '07', '7 ', '-7', '7\n\u001b[31m']) {
    const said = refusal('gate', 'gate', '1', pid);
    expect(said, pid).toContain(`for process ${JSON.stringify(pid).slice(0, 3)}`);
    expect(said, pid).toContain('and this one is 7 (LISTEN_PID) → ExecStart= must start certgate itself');
    expect(said).not.toContain('\u001b');
  }
});

test('a number of sockets that is none is refused by its value', () => {
  for (const fds of ['', '0', '-1', '1e0', '0x1', '99999', ' 1', '٣']) {
    expect(refusal('gate', 'gate', fds), fds).toMatch(
      /^cannot listen on systemd:gate: LISTEN_FDS is ".*", not how many/,
    );
  }
});

test('another name, and one that several have, is refused with what there is', () => {
  expect(refusal('gate', 'web:metrics:web', '3')).toContain('what systemd has passed is called "web", "metrics" →');
  expect(refusal('gate', 'web:metrics', '2')).toContain('→ FileDescriptorName=gate in the .socket unit names it');
  expect(refusal('gate', 'gate', '2')).toBe('descriptor 3');
  expect(refusal('gate', 'gate:gate', '2')).toContain('systemd has passed 2 sockets of that name');
  // Names beyond those that were passed.
  expect(refusal('gate', 'web:gate', '1')).toContain('is called "web"');
});
