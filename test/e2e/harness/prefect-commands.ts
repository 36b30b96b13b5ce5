// Prefect's own command line at the price of a fork for each command (python/many_commands.py), with its output as the person
// at the terminal sees it: both streams, in order.

import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { clientEnvironment, driver, prefectPrograms } from './prefect.ts';
import { start } from './processes.ts';

export interface Command {
  /** Exit code, once it has ended; negative for a signal. */
  readonly ended: Promise<number>;
  /** What it has written so far. */
  said(): string;
  signal(signal: 'SIGINT' | 'SIGTERM' | 'SIGKILL'): void;
}

export interface Request {
  /** Of the sidecar, `http://127.0.0.1:PORT`. */
  readonly url: string;
  readonly args: readonly string[];
  /** A Python script in place of `prefect`. */
  readonly script?: string;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

export interface Commands {
  start(request: Request): Command;
}

const NUMBER = { SIGINT: 2, SIGKILL: 9, SIGTERM: 15 } as const;

/** A process that has loaded Prefect; its commands keep their profiles and results in `dir`, and end with the test file. */
export async function loadCommands(dir: string): Promise<Commands> {
  const programs = await prefectPrograms();
  const home = join(dir, 'prefect-home');
  await mkdir(home, { recursive: true });
  const env = clientEnvironment(null, home, {
    COLUMNS: '400',
    PREFECT_WORKER_QUERY_SECONDS: '1',
    PREFECT_RUNNER_POLL_FREQUENCY: '1',
  });
  const loaded = start(join(programs, 'python'), [driver('many_commands')], { env, cwd: dir, fed: true });
  await loaded.line((line) => line.includes('"ready"'), 120_000);
  let next = 0;
  return {
    start({ url, args, script, cwd = dir, env: extra = {} }) {
      const id = ++next;
      const out = join(dir, `command-${id}.out`);
      loaded.feed(
        `${JSON.stringify({
          id,
          args,
          ...(script !== undefined && { script }),
          cwd,
          out,
          env: { ...env, PREFECT_API_URL: `${url}/api`, ...extra },
        })}\n`,
      );
      const said = (): string => {
        try {
          return readFileSync(out, 'utf8');
        } catch {
          return '';
        }
      };
      const ended = loaded
        .line((line) => line.startsWith(`{"id": ${id}, "code"`), 300_000)
        .then((line) => (JSON.parse(line) as { code: number }).code);
      ended.catch(() => {});
      return { ended, said, signal: (signal) => loaded.feed(`${JSON.stringify({ id, signal: NUMBER[signal] })}\n`) };
    },
  };
}
