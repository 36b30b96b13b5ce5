import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Serving } from './harness/house.ts';
import { clientEnvironment, python } from './harness/prefect.ts';
import { folder, house, ownPrefect } from './harness/scenario.ts';

const PASSWORD = 'prefect:a pass-word, with "quotes" and 100 % more';

test('the gate holds the Prefect server’s password, from a file or the environment: clients need none, over HTTP and all five WebSockets, and a wrong one of theirs does no harm', async () => {
  const home = await house();
  const [prefect, identity, temporary] = await Promise.all([
    ownPrefect({ authString: PASSWORD }),
    home.issue('worker/etl-1'),
    folder(),
  ]);
  const file = join(temporary, 'auth-string');
  await writeFile(file, `${PASSWORD}\n`, { mode: 0o600 });
  const env = (url: string, extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv =>
    clientEnvironment(url, join(temporary, 'client'), extra);

  const ask = async (url: string, authorization?: string): Promise<number> =>
    (await fetch(`${url}/api/admin/version`, authorization === undefined ? {} : { headers: { authorization } })).status;
  const works = {
    events: { received: 25, same: true, unconfirmedBeforeCheckpoint: 5, unconfirmedAfterCheckpoint: 0 },
    logs: 'a line',
    task: 42,
    channel: { status: 'healthy', reason: null, workerId: false },
  };
  const nowhereSaid = (gate: Serving): void => {
    expect(gate.running.stderr() + gate.running.stdout()).not.toContain('pass-word');
  };

  // From a file; the client has no password at all.
  const fromFile = await home.serve({ upstream: prefect.url, flags: ['--auth-string-file', file] });
  const one = await home.connect(fromFile, identity);
  expect(await python('sockets', ['password-file'], env(one.url))).toEqual({ ...works, authString: false });
  expect(await ask(one.url)).toBe(200);
  expect(await ask(one.url, 'Basic d3Jvbmc6d3Jvbmc=')).toBe(200);
  nowhereSaid(fromFile);
  await fromFile.stop();

  // From the environment; the client has a wrong one, and the gate's own stands.
  const fromEnvironment = await home.serve({
    upstream: prefect.url,
    env: { CERTGATE_SERVE_AUTH_STRING: PASSWORD },
  });
  const two = await home.connect(fromEnvironment, identity);
  expect(
    await python('sockets', ['password-environment'], env(two.url, { PREFECT_API_AUTH_STRING: 'prefect:wrong' })),
  ).toEqual({ ...works, authString: true });
  expect(await ask(two.url, 'Bearer something else')).toBe(200);
  nowhereSaid(fromEnvironment);
  await fromEnvironment.stop();

  // The server does ask for it, and a gate that holds none passes on what the client says.
  const three = await home.connect(await home.serve({ upstream: prefect.url }), identity);
  expect(await ask(prefect.url)).toBe(401);
  expect(await ask(three.url)).toBe(401);
  expect(await ask(three.url, `Basic ${Buffer.from(PASSWORD).toString('base64')}`)).toBe(200);
}, 300_000);
