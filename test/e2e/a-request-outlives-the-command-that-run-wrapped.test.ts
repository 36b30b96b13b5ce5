import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { answersHalf } from './harness/echo.ts';
import { eventually, within } from './harness/eventually.ts';
import { certgateCommand, gateUrl, type House, type Serving } from './harness/house.ts';
import { cleanEnvironment, start } from './harness/processes.ts';
import { echo, house } from './harness/scenario.ts';

let home: House;
let gate: Serving;
let identity: string;
/** Called with each request for /api/slow, whose answer is then the test's to give. */
let arrived: (response: ServerResponse) => void = () => {};

beforeAll(async () => {
  home = await house();
  identity = await home.issue('worker/etl-1');
  const upstream = await echo({
    answer: answersHalf('first ', (response) => arrived(response)),
  });
  gate = await home.serve({ upstream: upstream.url });
}, 60_000);

const GRANDCHILD = `
  const answer = await fetch(process.env.PREFECT_API_URL + '/slow');
  const text = await answer.text().catch(() => 'broken off');
  process.getBuiltinModule('node:fs').writeFileSync(process.env.SAID, text);`.replaceAll('\n', ' ');

/** A command that leaves a process behind, with a request in flight, and ends with 5; resolves when it has ended. */
async function leaveRequestBehind(name: string, flags: readonly string[]) {
  const file = (what: string): string => join(home.dir, `${name}-${what}`);
  const request = new Promise<ServerResponse>((resolve) => {
    arrived = resolve;
  });
  const command = `"$NODE" -e "$GRANDCHILD" >/dev/null 2>&1 & echo "$PREFECT_API_URL"
    until [ -e "$GO" ]; do sleep 0.05; done; exit 5`;
  const [program, args] = certgateCommand([
    ...['run', '--gate', gateUrl(gate), '--identity', identity, ...flags, '--', 'sh', '-c', command],
  ]);
  const env = cleanEnvironment({ NODE: process.execPath, GRANDCHILD, SAID: file('said'), GO: file('go') });
  const running = start(program, args, { env });
  const url = await running.line((line) => line.startsWith('http://'));
  const response = await within('the request arrives', request);
  writeFileSync(file('go'), '');
  const said = async (): Promise<string> =>
    await eventually('the process left behind has its answer', () =>
      existsSync(file('said')) ? readFileSync(file('said'), 'utf8') || undefined : undefined,
    );
  return { running, url, response, said };
}

test('certgate run lets a request finish that its command left in flight, and ends with the command’s exit code', async () => {
  const { running, url, response, said } = await leaveRequestBehind('finishes', []);
  // The sidecar takes no more connections: the command has ended, and the drain has begun.
  await eventually('new connections are refused', async () => {
    try {
      await fetch(url);
      return undefined;
    } catch {
      return true;
    }
  });
  response.end('and last');
  expect(await said()).toBe('first and last');
  expect(await within('certgate run ends', running.exited)).toEqual({ code: 5, signal: null });
});

test('a request that outlasts the drain is cut, and never looks whole', async () => {
  const { running, said } = await leaveRequestBehind('is-cut', ['--drain', '300ms']);
  expect(await within('certgate run ends', running.exited)).toEqual({ code: 5, signal: null });
  expect(await said()).toBe('broken off');
});
