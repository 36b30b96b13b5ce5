// A real Prefect server, and Prefect's own programs and clients in Python. Each server has its own home, its own
// SQLite file and its own loopback port; nothing is read from or written to the user's own Prefect.

import { constants } from 'node:fs';
import { access, cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { eventually } from './eventually.ts';
import { freePort } from './ports.ts';
import { cleanEnvironment, finish, type Running, start } from './processes.ts';

export interface PrefectOptions {
  readonly port?: number;
  /** A home to use again; without it a new one, removed by `stop`. */
  readonly home?: string;
  /** A home to start from: its migrated database is copied, which halves the time to start. */
  readonly template?: string;
  readonly authString?: string;
  readonly csrf?: boolean;
  readonly env?: NodeJS.ProcessEnv;
}

export interface PrefectServer {
  /** `http://127.0.0.1:PORT`, without a slash. */
  readonly url: string;
  readonly port: number;
  readonly home: string;
  readonly running: Running;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

const QUIET = {
  DO_NOT_TRACK: '1',
  NO_COLOR: '1',
  PREFECT_LOGGING_COLORS: 'false',
  PYTHONUNBUFFERED: '1',
};
const SERVER = {
  PREFECT_SERVER_ANALYTICS_ENABLED: 'false',
  PREFECT_UI_ENABLED: 'true',
  // /logs/out is there, but silent, until both are on.
  PREFECT_SERVER_LOGS_STREAM_OUT_ENABLED: 'true',
  PREFECT_SERVER_LOGS_STREAM_PUBLISHING_ENABLED: 'true',
  // Task runs and events are persisted after 1 s instead of 5 s: less waiting.
  PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL: '1',
  PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL: '1',
};
/** A cold start with every migration takes 14 s on two cores. */
const START_BOUND_MS = 180_000;
const PYTHON = join(import.meta.dirname, '..', 'python');

/** The folder of Prefect's programs: CERTGATE_TEST_PREFECT, or what scripts/setup installs into the checkout. */
export async function prefectPrograms(): Promise<string> {
  const folder = process.env['CERTGATE_TEST_PREFECT'] ?? resolve(import.meta.dirname, '../../../.cache/prefect/bin');
  try {
    await access(join(folder, 'prefect'), constants.X_OK);
  } catch {
    throw new Error(`no Prefect in ${folder}: run ./scripts/setup, or name its bin folder in CERTGATE_TEST_PREFECT`);
  }
  return folder;
}

/** Starts `prefect server start` and waits until it answers. */
export async function startPrefect(options: PrefectOptions = {}): Promise<PrefectServer> {
  const programs = await prefectPrograms();
  const port = options.port ?? (await freePort());
  const home = options.home ?? (await mkdtemp(join(tmpdir(), 'certgate-e2e-prefect-')));
  if (options.template !== undefined && options.home === undefined)
    await cp(options.template, home, { recursive: true });
  const url = `http://127.0.0.1:${port}`;
  const env = cleanEnvironment({
    ...QUIET,
    ...SERVER,
    PREFECT_HOME: home,
    ...(options.authString === undefined ? {} : { PREFECT_SERVER_API_AUTH_STRING: options.authString }),
    ...(options.csrf === true ? { PREFECT_SERVER_CSRF_PROTECTION_ENABLED: 'true' } : {}),
    ...options.env,
  });
  const running = start(join(programs, 'prefect'), ['server', 'start', '--host', '127.0.0.1', '--port', `${port}`], {
    env,
  });
  const ended = running.exited.then((exit) => {
    throw new Error(`prefect server ended (${exit.code ?? exit.signal}): ${running.stderr().slice(-4000)}`);
  });
  ended.catch(() => {});
  const ready = eventually(
    `prefect server on ${url}`,
    async () =>
      (await fetch(`${url}${options.env?.['PREFECT_SERVER_API_BASE_PATH'] ?? '/api'}/health`)).ok ? true : undefined,
    START_BOUND_MS,
  );
  ready.catch(() => {});
  await Promise.race([ready, ended]);
  return {
    url,
    port,
    home,
    running,
    stop: async (signal) => {
      await running.stop(signal);
      if (options.home === undefined) await rm(home, { recursive: true, force: true });
    },
  };
}

/** The environment of a Prefect client that talks to `url` (`http://127.0.0.1:PORT`), with a home of its own. */
export function clientEnvironment(url: string | null, home: string, extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  return cleanEnvironment({
    ...QUIET,
    PREFECT_HOME: home,
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: 'false',
    ...(url === null ? {} : { PREFECT_API_URL: `${url}/api` }),
    ...extra,
  });
}

/** The path of one of the drivers in test/e2e/python, or of another by its absolute path without `.py`. */
export function driver(name: string): string {
  return resolve(PYTHON, `${name}.py`);
}

/**
 * Runs a driver of test/e2e/python with Prefect's own clients, and answers what it printed as its last line of JSON.
 * Fails with what it wrote to stderr when its exit code is not 0.
 */
export async function python<T>(
  name: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  boundMs = 120_000,
): Promise<T> {
  const programs = await prefectPrograms();
  const ran = await finish(join(programs, 'python'), [driver(name), ...args], { env, cwd: PYTHON, boundMs });
  if (ran.code !== 0) {
    throw new Error(
      `${name}.py ended with ${ran.code ?? ran.signal}\n${ran.stdout.slice(-2000)}\n${ran.stderr.slice(-6000)}`,
    );
  }
  return JSON.parse(ran.stdout.trimEnd().split('\n').at(-1) ?? '') as T;
}
