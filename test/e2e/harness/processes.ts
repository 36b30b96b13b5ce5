// Real processes for the end-to-end tests, each in a process group of its own, so that what it started ends with it.
// Every process carries the session's name in its environment; the global teardown ends what a dead test file left.
// Nothing is ever ended by name, and no pid is signalled that was not started here.

import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** How a process ended: exactly one of the two is set. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface StartOptions {
  /** The whole environment; see `cleanEnvironment`. */
  readonly env: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Written to standard input, which is closed after it. */
  readonly input?: string | Uint8Array;
  /** Standard input stays open, for `feed`. */
  readonly fed?: boolean;
}

export interface Running {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  /** Everything written so far. */
  stdout(): string;
  stderr(): string;
  /** The first whole line of either stream, past or future, that `wanted` accepts. Fails with the output's tail. */
  line(wanted: (line: string) => boolean, boundMs?: number): Promise<string>;
  signal(signal: NodeJS.Signals): void;
  /** Writes to standard input, which `fed` has left open. */
  feed(text: string): void;
  /** Ends the whole group: `signal` first, SIGKILL for what is left. Safe to call twice. */
  stop(signal?: NodeJS.Signals): Promise<Exit>;
}

/** For waiting on an event: generous, since a loaded machine takes ten times what a quiet one takes. */
export const BOUND_MS = 60_000;
const GRACE_MS = 8_000;
/** Carried by every process of a session, and inherited: the session's folder. */
const SESSION = 'E2E_SESSION';
const live = new Map<number, Running>();

process.once('exit', () => {
  for (const pid of live.keys()) killGroup(pid, 'SIGKILL');
});

/** The test's environment without a setting of Prefect, certgate, Node (but where it keeps what it compiled) or a proxy, plus `extra`. */
export function cleanEnvironment(extra: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (!/^(PREFECT_|CERTGATE_|NODE_(?!COMPILE_CACHE$)|VITEST|(HTTPS?|ALL|NO)_PROXY$|SSL_CERT)/i.test(name))
      env[name] = value;
  }
  return { ...env, ...extra };
}

/** Starts `command` in a process group of its own. */
export function start(command: string, args: readonly string[], options: StartOptions): Running {
  const child = spawn(command, args, {
    env: { ...options.env, [SESSION]: process.env[SESSION] },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`cannot start ${command}: is it installed?`);
  child.stdin.on('error', () => {});
  if (options.fed !== true) child.stdin.end(options.input);
  const running = watch(child, pid, [command, ...args].join(' '));
  live.set(pid, running);
  void running.exited.then(() => live.delete(pid));
  return running;
}

/** Runs `command` to its end and answers what it wrote; ends it, and fails, after `boundMs`. */
export async function finish(
  command: string,
  args: readonly string[],
  options: StartOptions & { readonly boundMs?: number },
): Promise<Exit & { readonly stdout: string; readonly stderr: string }> {
  const running = start(command, args, options);
  const bound = options.boundMs ?? BOUND_MS;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    void running.stop('SIGKILL');
  }, bound);
  const exit = await running.exited;
  clearTimeout(timer);
  if (late) throw new Error(`still running after ${bound} ms: ${command} ${args.join(' ')}\n${tail(running)}`);
  return { ...exit, stdout: running.stdout(), stderr: running.stderr() };
}

/** Ends every process that this test file has started and not ended itself. */
export async function stopAll(): Promise<void> {
  await Promise.all([...live.values()].map((running) => running.stop()));
}

/**
 * For the global teardown: kills what is left of the session in this folder, and answers the pids. What carries
 * the session's folder in its environment was started by this session; vitest's own processes are this process's children.
 */
export function reap(session: string): readonly number[] {
  const left = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && carries(pid, session) && parentOf(pid) !== process.pid);
  for (const pid of left) killOne(pid);
  return left;
}

function watch(child: ChildProcess, pid: number, title: string): Running {
  const written = { stdout: '', stderr: '' };
  const waiting = new Set<() => void>();
  let exit: Exit | undefined;
  const wake = (): void => {
    for (const look of waiting) look();
  };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      written[name] += text;
      wake();
    });
  }
  const exited = new Promise<Exit>((resolve) => {
    child.once('close', (code, signal) => {
      exit = { code, signal };
      resolve(exit);
      wake();
    });
  });
  const running: Running = {
    pid,
    exited,
    stdout: () => written.stdout,
    stderr: () => written.stderr,
    line: async (wanted, boundMs = BOUND_MS) =>
      await new Promise<string>((resolve, reject) => {
        const settle = (act: () => void): void => {
          clearTimeout(timer);
          waiting.delete(look);
          act();
        };
        const look = (): void => {
          const found = wholeLines(written.stdout).find(wanted) ?? wholeLines(written.stderr).find(wanted);
          if (found !== undefined) settle(() => resolve(found));
          else if (exit !== undefined)
            settle(() => reject(new Error(`ended without the line: ${title}\n${tail(running)}`)));
        };
        const timer = setTimeout(
          () => settle(() => reject(new Error(`no such line in ${boundMs} ms: ${title}\n${tail(running)}`))),
          boundMs,
        );
        waiting.add(look);
        look();
      }),
    signal: (signal) => {
      if (exit === undefined) process.kill(pid, signal);
    },
    feed: (text) => void child.stdin?.write(text),
    stop: async (signal = 'SIGTERM') => {
      if (exit === undefined) {
        killGroup(pid, signal);
        const timer = setTimeout(() => killGroup(pid, 'SIGKILL'), GRACE_MS);
        await exited;
        clearTimeout(timer);
      }
      killGroup(pid, 'SIGKILL');
      return await exited;
    },
  };
  return running;
}

function wholeLines(text: string): string[] {
  return text.split('\n').slice(0, -1);
}

function tail(running: Running): string {
  return `--- stdout\n${running.stdout().slice(-2000)}\n--- stderr\n${running.stderr().slice(-4000)}`;
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // The group is gone already.
  }
}

function killOne(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}

function parentOf(pid: number): number {
  try {
    const stat = readFileSync(join('/proc', String(pid), 'stat'), 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return -1;
  }
}

function carries(pid: number, session: string): boolean {
  try {
    const environment = readFileSync(join('/proc', String(pid), 'environ'), 'utf8');
    return environment.split('\0').includes(`${SESSION}=${session}`);
  } catch {
    return false;
  }
}
