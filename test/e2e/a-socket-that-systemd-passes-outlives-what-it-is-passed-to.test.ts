import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { binaryFrom } from '../inbound/proxy-header.ts';
import { eventually, within } from './harness/eventually.ts';
import { certgateCommand, credentialsIn, type House, type LogLine, logOf } from './harness/house.ts';
import { driver, prefectPrograms } from './harness/prefect.ts';
import { cleanEnvironment, type Running, start } from './harness/processes.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls } from './harness/wire.ts';

interface Passed {
  readonly kind?: 'tcp' | 'unix' | 'udp';
  readonly at?: string;
  readonly times?: number;
  readonly env?: NodeJS.ProcessEnv;
}

/** What stands in for systemd, where it has bound its socket, and the process that it has started last. */
async function passing(home: House, args: readonly string[], passed: Passed = {}) {
  const { kind = 'tcp', at = '127.0.0.1', times = 1, env = {} } = passed;
  const [program, words] = certgateCommand([...args, '--config', home.config, '--listen', 'systemd:gate']);
  const command = [driver('passes_a_socket'), kind, at, String(times), program, ...words];
  const options = { env: cleanEnvironment({ NO_COLOR: '1', ...env }), cwd: home.dir };
  const running = start(join(await prefectPrograms(), 'python'), command, options);
  const where = await running.line((line) => /^\d+$/.test(line) || line === at);
  const children = `/proc/${running.pid}/task/${running.pid}/children`;
  return { running, port: Number(where), child: () => Number(readFileSync(children, 'utf8')) };
}

const listening = (running: Running, times: number): Promise<LogLine> =>
  eventually(`it listens, the ${times}. time`, () => {
    const said = logOf(running.stderr()).filter(({ msg }) => msg === 'listening');
    return said.length === times ? said.at(-1) : undefined;
  });

const socketsOf = (pid: number): string[] =>
  readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));

test.each([
  ['one process', '1', {}],
  ['two workers behind a balancer', '2', { CERTGATE_SERVE_PROXY_PROTOCOL_FROM: '127.0.0.1' }],
])('a restart of a gate with %s refuses no connection: who comes meanwhile waits', async (_case, workers, env) => {
  const home = await house();
  const upstream = await echo();
  const credentials = await credentialsIn(await home.issue('worker/etl-1'));
  const args = ['serve', '--upstream', upstream.url, '--workers', workers, '--drain', '5s'];
  const { running, port, child } = await passing(home, args, { times: 2, env });
  expect(await listening(running, 1)).toMatchObject({ address: `127.0.0.1:${port}` });
  const first = child();
  const open = () =>
    openTls(port, credentials, 'CERTGATE_SERVE_PROXY_PROTOCOL_FROM' in env ? { before: binaryFrom('192.0.2.1') } : {});
  const before = await open();
  expect((await ask(before, get('/api/hello'))).status).toBe(200);

  // What was passed is this process's alone.
  const passed = readlinkSync(`/proc/${first}/fd/3`);
  expect(socketsOf(running.pid)).toContain(passed);
  const helpers = logOf(running.stderr()).filter(({ msg }) => msg === 'worker started');
  expect(helpers.length).toBe(workers === '1' ? 0 : 2);
  for (const { pid } of helpers) {
    expect(socketsOf(Number(pid))).not.toContain(passed);
    expect(readFileSync(`/proc/${String(pid)}/environ`, 'utf8')).not.toContain('LISTEN_');
  }

  process.kill(first, 'SIGTERM');
  await within('the idle connection ends', before.ended);
  // The gate that has ended takes it no more; the one that has not begun does not know of it.
  const meanwhile = await open();
  expect((await ask(meanwhile, get('/api/hello'))).status).toBe(200);
  await listening(running, 2);
  expect(child()).not.toBe(first);
  process.kill(child(), 'SIGTERM');
  expect(await within('both have ended', running.exited)).toEqual({ code: 0, signal: null });
});

/** As many wait for a process that is stopped as the system lets, and no more. */
const mostWaiting = Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8'));

test.skipIf(mostWaiting < 600)(
  'who comes while a gate does not take connections waits, 600 of them at least',
  async () => {
    const home = await house();
    const { running, port, child } = await passing(home, [
      'serve',
      '--upstream',
      'http://127.0.0.1:1',
      '--drain',
      '0s',
    ]);
    await listening(running, 1);
    process.kill(child(), 'SIGSTOP');
    const waiting = Array.from({ length: 600 }, () => connect(port, '127.0.0.1'));
    await within('all wait', Promise.all(waiting.map((socket) => once(socket, 'connect'))));
    for (const socket of waiting) socket.destroy();
    process.kill(child(), 'SIGCONT');
    process.kill(child(), 'SIGTERM');
    expect(await within('it has ended', running.exited)).toEqual({ code: 0, signal: null });
  },
);

test('a sidecar serves on what is passed to it, on loopback or a file, and leaves the file', async () => {
  const home = await house();
  const gate = await home.serve({ upstream: (await echo()).url });
  const identity = await home.issue('worker/etl-1');
  const args = ['connect', '--gate', `https://127.0.0.1:${gate.port}`, '--identity', identity];

  const tcp = await passing(home, args);
  expect(await listening(tcp.running, 1)).toMatchObject({ address: `http://127.0.0.1:${tcp.port}` });
  expect((await fetch(`http://127.0.0.1:${tcp.port}/api/hello`)).status).toBe(200);
  process.kill(tcp.child(), 'SIGTERM');
  expect(await within('it has ended', tcp.running.exited)).toEqual({ code: 0, signal: null });

  const socketPath = join(home.dir, 'passed.sock');
  const unix = await passing(home, args, { kind: 'unix', at: socketPath, times: 2 });
  const { mode, ino } = statSync(socketPath);
  for (const time of [1, 2]) {
    expect(await listening(unix.running, time)).toMatchObject({ address: 'systemd:gate' });
    const status = await new Promise((resolve, reject) => {
      const asked = request({ socketPath, path: '/api/hello', agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
      asked.on('error', reject).end();
    });
    expect(status).toBe(200);
    process.kill(unix.child(), 'SIGTERM');
    if (time === 2) await within('it has ended', unix.running.exited);
    expect(statSync(socketPath)).toMatchObject({ mode, ino });
  }
});

test('what is passed and cannot be served on is refused, with what to do', async () => {
  const home = await house();
  const identity = await home.issue('worker/etl-1');
  const serve = ['serve', '--upstream', 'http://127.0.0.1:1'];
  const sidecar = ['connect', '--gate', 'https://127.0.0.1:1', '--identity', identity];
  const refused = async (args: readonly string[], passed: Passed, code: number): Promise<string> => {
    const { running } = await passing(home, args, passed);
    expect(await within('it has ended', running.exited), running.stderr()).toEqual({ code, signal: null });
    return running.stderr();
  };
  const listenStream = 'hint: ListenStream= in the .socket unit';
  const datagrams = await refused(serve, { kind: 'udp' }, 7);
  expect(datagrams).toContain(
    'error: cannot listen on systemd:gate: descriptor 3 cannot be listened on: listen EINVAL',
  );
  expect(datagrams).toContain(listenStream);
  const file = await refused(serve, { kind: 'unix', at: join(home.dir, 'a.sock') }, 7);
  expect(file).toContain('systemd:gate: descriptor 3 is a unix socket, and this listens for TCP [CG_PASSED_SOCKET]');
  expect(file).toContain(listenStream);
  expect(await refused(sidecar, { kind: 'udp' }, 7)).toContain('descriptor 3 cannot be listened on');

  const everywhere = await refused(sidecar, { at: '0.0.0.0' }, 5);
  expect(everywhere).toMatch(/error: 0\.0\.0\.0:\d+ \(systemd:gate\) is not a loopback address/);
  const { running, child } = await passing(home, [...sidecar, '--unsafe-listen'], { at: '0.0.0.0' });
  await listening(running, 1);
  process.kill(child(), 'SIGTERM');
  expect(await within('it has ended', running.exited)).toEqual({ code: 0, signal: null });
});

test('a gate that was passed no socket says so and how one is passed', async () => {
  const home = await house();
  const { stderr } = await home.certgate(['serve', '--config', home.config, '--listen', 'systemd:gate'], 7);
  expect(stderr).toContain('error: cannot listen on systemd:gate: systemd has passed no socket to this process');
  expect(stderr).toContain('hint: start the .socket unit that passes one (docs/deploy.md)');
});
