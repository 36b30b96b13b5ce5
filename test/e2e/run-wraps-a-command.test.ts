import { beforeAll, describe, expect, test } from 'vitest';
import { eventually } from './harness/eventually.ts';
import type { House, Serving } from './harness/house.ts';
import { cleanEnvironment, finish, type Running, start } from './harness/processes.ts';
import { echo, house } from './harness/scenario.ts';

let home: House;
let gate: Serving;
let identity: string;

beforeAll(async () => {
  home = await house();
  identity = await home.issue('worker/etl-1');
  gate = await home.serve({ upstream: (await echo()).url });
}, 60_000);

const env = cleanEnvironment();
const node = (script: string): readonly string[] => [process.execPath, '-e', script];
const run = (script: string, extra: NodeJS.ProcessEnv = {}) =>
  finish(...home.run(gate, identity, node(script)), { env: { ...env, ...extra } });
const running = (script: string): Running => start(...home.run(gate, identity, node(script)), { env });

describe('certgate run', () => {
  test('gives its command a free port, PREFECT_API_URL and NO_PROXY, and the command’s own stdout and arguments', async () => {
    const script = `
      const answer = await fetch(process.env.PREFECT_API_URL + '/hello');
      console.log(JSON.stringify({ url: process.env.PREFECT_API_URL, proxy: process.env.NO_PROXY, other: process.env.OTHER,
        identity: (await answer.json()).headers.find(([name]) => name === 'x-certgate-identity')[1] }));`;
    const [one, two] = await Promise.all([
      run(script, { OTHER: 'kept' }),
      run(script, { NO_PROXY: 'internal.example' }),
    ]);
    expect([one.code, two.code], one.stderr + two.stderr).toEqual([0, 0]);
    const [first, second] = [JSON.parse(one.stdout), JSON.parse(two.stdout)] as Array<Record<string, string>>;
    expect(first?.['url']).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/api$/);
    expect(second?.['url']).not.toBe(first?.['url']);
    expect(first).toMatchObject({ identity: 'worker/etl-1', other: 'kept' });
    expect(first?.['proxy']?.split(',')).toEqual(expect.arrayContaining(['127.0.0.1', 'localhost']));
    expect(second?.['proxy']?.split(',')).toEqual(expect.arrayContaining(['internal.example', '127.0.0.1']));
  });

  test('ends with its command’s exit code', async () => {
    expect((await run('process.exit(0)')).code).toBe(0);
    expect((await run('process.exit(42)')).code).toBe(42);
  });

  test('ends with 128+n when its command was ended by signal n', async () => {
    expect((await run("process.kill(process.pid, 'SIGKILL')")).code).toBe(137);
  });

  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('passes %s on, and waits for its command', async (signal) => {
    const command = running(`
      process.on('${signal}', () => { console.log('got ${signal}'); process.exit(7); });
      setInterval(() => {}, 1000); console.log('ready');`);
    await command.line((line) => line === 'ready');
    command.signal(signal);
    expect(await command.exited).toEqual({ code: 7, signal: null });
    expect(command.stdout()).toContain(`got ${signal}`);
  });

  test('ends its sidecar with the command, and says when the command can’t be started', async () => {
    const ended = await run('console.log(process.env.PREFECT_API_URL)');
    await eventually('the sidecar’s port refuses', async () => {
      try {
        await fetch(`${ended.stdout.trim()}/hello`);
        return undefined;
      } catch {
        return true;
      }
    });
    // The second is below a file, of which Node has spawn throw.
    for (const program of ['/no/such/program', `${process.execPath}/program`]) {
      const missing = await finish(...home.run(gate, identity, [program]), { env });
      expect(missing.code).toBe(127);
      expect(missing.stderr).toContain(`cannot start ${program}`);
    }
  });
});
