// Where a demo lives: one new folder in the system's temporary folder, readable by its owner only, and the environment
// of everything that runs in it. Nothing is read from or written to the user's own Prefect or certgate: their variables
// are taken out, HOME's profiles are not looked at.

import { chmod, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export const CHECKOUT = resolve(import.meta.dirname, '../..');
const MAIN = join(CHECKOUT, 'src/main.ts');
const PYTHON = join(CHECKOUT, '.cache/prefect/bin/python');

export interface Place {
  readonly dir: string;
  /** Log file of the process `name`. */
  log(name: string): string;
  readonly env: NodeJS.ProcessEnv;
  /** The command line of certgate with `args`, run from the sources. */
  certgate(...args: string[]): readonly [string, ...string[]];
  /** The command line of Prefect's own program. */
  prefect(...args: string[]): readonly [string, ...string[]];
  python(...args: string[]): readonly [string, ...string[]];
}

export async function makePlace(): Promise<Place> {
  const dir = await mkdtemp(join(tmpdir(), 'certgate-demo-'));
  for (const name of ['logs', 'tmp']) await mkdir(join(dir, name));
  // For the person who looks around afterwards: the two programs, by short names.
  await writeProgram(join(dir, 'certgate'), `exec ${quoted(process.execPath)} ${quoted(MAIN)}`);
  const home = `TMPDIR=${quoted(join(dir, 'tmp'))} PREFECT_HOME=${quoted(join(dir, 'prefect'))} PREFECT_SERVER_ANALYTICS_ENABLED=false`;
  await writeProgram(join(dir, 'prefect-cli'), `${home} exec ${quoted(PYTHON)} -m prefect`);
  return {
    dir,
    log: (name) => join(dir, 'logs', `${name}.log`),
    env: environment(dir),
    certgate: (...args) => [process.execPath, MAIN, ...args],
    prefect: (...args) => [PYTHON, '-m', 'prefect', ...args],
    python: (...args) => [PYTHON, ...args],
  };
}

async function writeProgram(path: string, command: string): Promise<void> {
  await writeFile(path, `#!/bin/sh\n${command} "$@"\n`);
  await chmod(path, 0o755);
}

function environment(dir: string): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (!/^(PREFECT_|CERTGATE_|PYTHONPATH$|PYTHONHOME$|NODE_OPTIONS$|npm_)/.test(name)) env[name] = value;
  }
  return {
    ...env,
    NO_COLOR: '1',
    DO_NOT_TRACK: '1',
    PYTHONUNBUFFERED: '1',
    PREFECT_HOME: join(dir, 'prefect'),
    // Prefect's runner makes /tmp/runner_storage, which may be another user's.
    TMPDIR: join(dir, 'tmp'),
    PREFECT_LOGGING_COLORS: 'false',
    PREFECT_SERVER_ANALYTICS_ENABLED: 'false',
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: 'false',
    // What was recorded is there to read after 1 s instead of 5.
    PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL: '1',
    PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL: '1',
    // A worker asks for work every 2 s instead of every 10: the demo is shorter.
    PREFECT_WORKER_QUERY_SECONDS: '2',
  };
}

/** `text` as one word of a POSIX shell. */
export function quoted(text: string): string {
  return /^[\w/.:=@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A loopback port that nothing listens on just now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done, fail) => server.once('error', fail).listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === 'string') throw new Error('no free port on 127.0.0.1');
  return address.port;
}
