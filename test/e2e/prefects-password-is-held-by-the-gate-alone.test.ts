import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
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
  const [fromFile, fromEnvironment, without] = await Promise.all([
    home.serve({ upstream: prefect.url, flags: ['--auth-string-file', file] }),
    home.serve({ upstream: prefect.url, env: { CERTGATE_SERVE_AUTH_STRING: PASSWORD } }),
    home.serve({ upstream: prefect.url }),
  ]);
  const [one, two, three] = await Promise.all([
    home.connect(fromFile, identity),
    home.connect(fromEnvironment, identity),
    home.connect(without, identity),
  ]);
  const env = (url: string, extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv =>
    clientEnvironment(url, join(temporary, 'client'), extra);

  // No password at all, and then a wrong one: the gate's own stands in both.
  const works = {
    events: { received: 25, same: true, unconfirmedBeforeCheckpoint: 5, unconfirmedAfterCheckpoint: 0 },
    logs: 'a line',
    task: 42,
    channel: { status: 'healthy', reason: null, workerId: false },
  };
  expect(await python('sockets', ['password-file'], env(one.url))).toEqual({ ...works, authString: false });
  expect(
    await python('sockets', ['password-environment'], env(two.url, { PREFECT_API_AUTH_STRING: 'prefect:wrong' })),
  ).toEqual({ ...works, authString: true });

  // The server does ask for it, and a gate that holds none passes on what the client says.
  const ask = async (url: string, authorization?: string): Promise<number> =>
    (await fetch(`${url}/api/admin/version`, authorization === undefined ? {} : { headers: { authorization } })).status;
  expect(await ask(prefect.url)).toBe(401);
  expect(await ask(three.url)).toBe(401);
  expect(await ask(three.url, `Basic ${Buffer.from(PASSWORD).toString('base64')}`)).toBe(200);
  expect(await ask(one.url)).toBe(200);
  expect(await ask(one.url, 'Basic d3Jvbmc6d3Jvbmc=')).toBe(200);
  expect(await ask(two.url, 'Bearer something else')).toBe(200);

  // And it is nowhere in what a gate says.
  for (const gate of [fromFile, fromEnvironment]) {
    expect(gate.running.stderr() + gate.running.stdout()).not.toContain('pass-word');
  }
}, 240_000);
