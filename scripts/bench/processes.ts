// Starting and ending what the bench measures: each process pinned to a core, its output in a file, none left behind.
// Only processes started here are ever signalled, each by its own id.

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { accessSync, closeSync, constants, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { delimiter, join } from 'node:path';

/** Core numbers as taskset takes them; null where nothing can be pinned. */
export interface Cores {
  readonly contestant: string | null;
  readonly load: string | null;
  readonly upstream: string | null;
  /** A second one for the contestants, where there are four. */
  readonly second: string | null;
}

/** Words for the person at the terminal. */
export const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};
export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const living = new Set<ChildProcess>();

/** The program's path on PATH or in /usr/sbin, or null. */
export function findProgram(name: string): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  for (const folder of folders) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not in this folder
    }
  }
  return null;
}

/** What a program says about its version, on either output. */
export function versionText(program: string, flag: string): string {
  const run = spawnSync(program, [flag], { encoding: 'utf8' });
  return `${run.stdout}${run.stderr}`.trim();
}

/** Contestants on the first core, load and upstream on the second; the upstream on a third where there is one. */
export function chooseCores(asked: readonly string[] | null): Cores {
  if (findProgram('taskset') === null) return { contestant: null, load: null, upstream: null, second: null };
  const cores = asked ?? Array.from({ length: availableParallelism() }, (_, core) => String(core));
  const contestant = cores[0] ?? '0';
  const load = cores[1] ?? contestant;
  return { contestant, load, upstream: cores[2] ?? load, second: cores[3] ?? null };
}

/** How many descriptors a process may have open here. */
export function descriptorLimit(): number {
  const limits = readFileSync('/proc/self/limits', 'latin1');
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1];
  return hard === 'unlimited' || hard === undefined ? Number.MAX_SAFE_INTEGER : Number(hard);
}

/** Moves this process off the contestants' core. */
export function pinSelf(core: string | null): void {
  if (core !== null) execFileSync('taskset', ['-a', '-c', '-p', core, String(process.pid)], { stdio: 'ignore' });
}

export interface StartOptions {
  readonly core: string | null;
  readonly cwd: string;
  /** Both outputs are appended here; with `ipc`, messages can be exchanged too. */
  readonly outputFile: string;
  readonly ipc?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts a program in place of taskset's process, so that the child's id is the program's own. */
export function startProcess(command: string, args: readonly string[], options: StartOptions): ChildProcess {
  const [program, words] =
    options.core === null ? [command, [...args]] : ['taskset', ['-c', options.core, command, ...args]];
  const output = openSync(options.outputFile, 'a');
  const child = spawn(program, words, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', output, output, options.ipc === true ? 'ipc' : 'ignore'],
  });
  closeSync(output);
  return keep(child);
}

/** Has a process ended with the bench, whatever happens. */
export function keep<T extends ChildProcess>(child: T): T {
  living.add(child);
  child.once('exit', () => living.delete(child));
  child.once('error', () => living.delete(child));
  return child;
}

/** Asks a process to end, and after 5 s makes it. */
export async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const force = setTimeout(() => child.kill('SIGKILL'), 5000);
  await ended;
  clearTimeout(force);
}

export async function stopAll(): Promise<void> {
  await Promise.all([...living].map(stopProcess));
}

/** A loopback port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(address !== null && typeof address === 'object' ? address.port : 0));
    });
  });
}

/** The last lines of a process's output, for the message about its failure. */
export function tailOf(file: string, lines = 4): string {
  const tail = readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines);
  return tail.map((line) => (line.length > 400 ? `${line.slice(0, 400)}…` : line)).join('\n');
}
