import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createNetServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openShell } from './golden.ts';

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createNetServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

test('the three commands that init prints work when they are pasted, one after another', async () => {
  const shell = openShell();
  const prefect = createServer((request, response) => {
    response.end(`${request.method} ${request.url} by ${String(request.headers['x-certgate-identity'])}`);
  }).listen(0, '127.0.0.1');
  await once(prefect, 'listening');
  // What `prefect` is here: it asks the API that it was pointed at, as the real one does.
  const script =
    '#!/bin/sh\nexec node -e \'fetch(process.env.PREFECT_API_URL + "/health").then((r) => r.text()).then(console.log)\'\n';
  writeFileSync(join(shell.dir, '..', 'bin', 'prefect'), script, { mode: 0o755 });
  const env = {
    ...shell.env,
    CERTGATE_SERVE_LISTEN: `127.0.0.1:${await freePort()}`,
    CERTGATE_SERVE_UPSTREAM: `http://127.0.0.1:${(prefect.address() as AddressInfo).port}`,
  };
  const paste = (line: string) => spawn('/bin/sh', ['-c', `exec ${line}`], { cwd: shell.dir, env });
  const ended = async (line: string) => {
    const child = paste(line);
    let written = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        written += text;
      });
    }
    await once(child, 'close');
    return { written, status: child.exitCode };
  };

  const init = await ended('certgate init --dir "a folder"');
  expect(init.status).toBe(0);
  const commands = init.written.split('\n').flatMap((line) => /^ {2}(certgate .*)$/.exec(line)?.slice(1) ?? []);
  expect(commands.map((line) => line.split(' ')[1])).toEqual(['issue', 'serve', 'run']);
  const [issue = '', serve = '', run = ''] = commands;

  expect(await ended(issue)).toMatchObject({ status: 0 });
  const gate = paste(serve);
  try {
    let log = '';
    await new Promise<void>((resolve, reject) => {
      gate.once('exit', () => reject(new Error(`the gate ended: ${log}`)));
      gate.stderr.setEncoding('utf8').on('data', (text: string) => {
        log += text;
        if (log.includes('"listening"')) resolve();
      });
    });
    expect(await ended(run)).toEqual({ written: 'GET /api/health by worker/etl-1\n', status: 0 });
  } finally {
    gate.removeAllListeners('exit');
    gate.kill('SIGTERM');
    await once(gate, 'close');
    prefect.close();
  }
  expect(gate.exitCode).toBe(0);
});

test.each([
  ['certgate init --name gate.example,192.0.2.7', 'https://gate.example:8443'],
  ['certgate init --name 2001:db8::7 --name gate.example', 'https://[2001:db8::7]:8443'],
  ['CERTGATE_SERVE_NAMES=gate.example,gate certgate init', 'https://gate.example:8443'],
])('%s has the worker go to the first of the names', (line, gate) => {
  expect(openShell().run(line).stderr).toContain(`certgate run --gate ${gate} --identity`);
});
