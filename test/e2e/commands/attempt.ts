// One attempt of one of Prefect's commands by one role: things of its own to work on, made at the server itself and not by
// way of the gate; the command; and the server again, for whether what it promises has come true.

import { join } from 'node:path';
import type { Permission } from '../../../src/policy/permissions.ts';
import { fetchAvailable } from '../harness/api.ts';
import { eventually } from '../harness/eventually.ts';
import { driver } from '../harness/prefect.ts';
import type { Command, Commands, Request } from '../harness/prefect-commands.ts';

/**
 * Whether the command did what it promises. Its exit code is judged besides, once it has ended by itself. `inside` are
 * permissions for what stands inside of a request, which its operation does not name.
 */
export type Case = readonly [
  command: string,
  attempt: (it: Attempt) => Promise<boolean>,
  inside?: readonly Permission[],
];

export interface Thing {
  readonly id: string;
  readonly name: string;
}

export interface Attempt {
  /** A name that no other attempt has: letters, digits and hyphens. */
  readonly own: string;
  readonly dir: string;
  /** Of the sidecar. */
  readonly url: string;
  /** Runs `prefect ARGS` to its end. */
  prefect(...args: string[]): Promise<void>;
  /** The same with settings of its own. */
  prefectWith(env: NodeJS.ProcessEnv, ...args: string[]): Promise<void>;
  /** Runs a Python script to its end. */
  python(script: string, ...args: string[]): Promise<void>;
  /** What a script writes that an Owner runs who makes no attempts. */
  aside(script: string, ...args: string[]): Promise<string>;
  /** Starts one that goes on; `meanwhile` answers whether it did what it promises, null while that is not known yet. */
  serving(command: readonly string[] | Script, meanwhile: () => Promise<boolean | null>): Promise<boolean>;
  /** What the commands so far have written. */
  said(): string;
  server: Server;
}

/** Prefect's API, asked directly. */
export interface Server {
  readonly url: string;
  /** Null for what is not there. */
  get<T = Record<string, unknown>>(path: string): Promise<T | null>;
  post<T = Thing>(path: string, body?: unknown): Promise<T>;
  patch(path: string, body: unknown): Promise<void>;
}

export interface Script {
  readonly script: string;
  readonly args: readonly string[];
}

/** How a command went. */
export interface Ran {
  readonly did: boolean;
  /** Exit codes that are no success, of commands that ended by themselves. */
  readonly failed: readonly number[];
  readonly said: string;
}

export interface Place {
  readonly commands: Commands;
  /** The sidecar, and that of an Owner who makes no attempts. */
  readonly url: string;
  readonly aside: string;
  readonly server: Server;
  readonly dir: string;
  readonly own: string;
}

/** Commands are given where the flows are. */
export const PYTHON = join(import.meta.dirname, '../python');

/** Makes the attempt. */
export async function attempt([, what]: Case, { commands, url, aside, server, dir, own }: Place): Promise<Ran> {
  const started: Command[] = [];
  const failed: number[] = [];
  const begin = (request: Pick<Request, 'args' | 'script' | 'env'>): Command => {
    const command = commands.start({ url, cwd: PYTHON, ...request });
    started.push(command);
    return command;
  };
  const finish = async (command: Command): Promise<void> => {
    const code = await command.ended;
    if (code !== 0) failed.push(code);
  };
  const said = (): string => started.map((one) => one.said()).join('');
  const did = await what({
    own,
    dir,
    url,
    server,
    said,
    prefect: async (...args) => await finish(begin({ args })),
    prefectWith: async (env, ...args) => await finish(begin({ args, env })),
    python: async (script, ...args) => await finish(begin({ script: driver(script), args })),
    aside: async (script, ...args) => {
      const command = commands.start({ url: aside, cwd: PYTHON, args, script: driver(script) });
      const code = await command.ended;
      if (code !== 0) throw new Error(`${script} ended with ${code}: ${command.said()}`);
      return command.said();
    },
    serving: async (command, meanwhile) => {
      const running = begin('script' in command ? { ...command, script: driver(command.script) } : { args: command });
      let over = false;
      void running.ended.then(() => (over = true));
      const outcome = await eventually(
        `${own} does its work\n${running.said()}`,
        async () => {
          const ended = over;
          return (await meanwhile()) ?? (ended ? false : undefined);
        },
        240_000,
      );
      if (over) await finish(running);
      else {
        running.signal('SIGINT');
        await running.ended;
      }
      return outcome;
    },
  });
  return { did, failed, said: said() };
}

/** The server at `url`. SQLite's collisions are tried again. */
export function serverAt(url: string): Server {
  const ask = async (method: string, path: string, body?: unknown): Promise<Response> => {
    const answer = await fetchAvailable(`${url}/api${path}`, () => ({
      method,
      ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    }));
    if (!answer.ok && answer.status !== 404)
      throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer;
  };
  return {
    url,
    get: async <T>(path: string) => {
      const answer = await ask('GET', path);
      return answer.status === 404 ? null : ((await answer.json()) as T);
    },
    post: async <T>(path: string, body: unknown = {}) => {
      const answer = await ask('POST', path, body);
      const text = await answer.text();
      if (answer.status === 404) throw new Error(`POST ${path}: ${text}`);
      return (text === '' ? null : JSON.parse(text)) as T;
    },
    patch: async (path, body) => void (await ask('PATCH', path, body)),
  };
}
