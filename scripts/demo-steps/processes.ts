// The processes that the demo starts: each in its own group, with its output in a file, so that it can outlive the demo
// (--keep) and its log's end can be shown. Ends what it started, with all that those have started, by their own pids;
// it never looks for a process by its name. A pid is only signalled while the process behind it is the one we knew.

import { spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';

/** A process by its pid and the moment it was started, in the kernel's ticks: a pid used again is another process. */
export interface Known {
  readonly pid: number;
  readonly started: string;
}

export interface Started extends Known {
  readonly name: string;
  /** The file with everything that it printed. */
  readonly log: string;
  /** Its exit code, or 128+n; undefined while it runs. */
  readonly exit: () => number | undefined;
}

const POLL_MS = 40;
const GRACE_MS = 8_000;
/** Commands of `finish` that have not ended. */
const running = new Set<Known>();

/** Fields of /proc/PID/stat that follow the name, which may itself hold spaces and brackets; null when it is gone. */
function stat(pid: number): readonly string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}

const startOf = (pid: number): string => stat(pid)?.[19] ?? 'gone';
const isAlive = ({ pid, started }: Known): boolean => {
  const fields = stat(pid);
  return fields !== null && fields[0] !== 'Z' && fields[19] === started;
};

/** Starts `command` with its output in `log`. */
export function start(
  name: string,
  [program, ...args]: readonly [string, ...string[]],
  { log, env, cwd }: { log: string; env: NodeJS.ProcessEnv; cwd: string },
): Started {
  const file = openSync(log, 'a', 0o600);
  const child = spawn(program, args, { env, cwd, stdio: ['ignore', file, file], detached: true });
  closeSync(file);
  let exit: number | undefined;
  child.on('exit', (code, by) => {
    exit = by === null ? (code ?? 1) : 128;
  });
  child.on('error', () => {
    exit = 127;
  });
  child.unref();
  const pid = child.pid ?? -1;
  return { pid, started: startOf(pid), name, log, exit: () => exit };
}

/** Runs `command` to its end; answers what it printed. Never throws for an exit code. */
export async function finish(
  [program, ...args]: readonly [string, ...string[]],
  { env, cwd, onLine = () => {} }: { env: NodeJS.ProcessEnv; cwd: string; onLine?: (line: string) => void },
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const child = spawn(program, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const known: Known = { pid: child.pid ?? -1, started: startOf(child.pid ?? -1) };
  running.add(known);
  let out = '';
  let err = '';
  let seen = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    for (let end = out.indexOf('\n', seen); end !== -1; end = out.indexOf('\n', seen)) {
      onLine(out.slice(seen, end));
      seen = end + 1;
    }
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const code = await new Promise<number>((resolve) => {
    child.on('error', (error) => {
      err += error.message;
      resolve(127);
    });
    child.on('close', (exit, by) => resolve(by === null ? (exit ?? 1) : 128));
  });
  running.delete(known);
  return { code, out, err };
}

/** Everything that those processes and the commands in progress have started, themselves included. */
function withDescendants(known: readonly Known[]): readonly Known[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ pid: Number(name), fields: stat(Number(name)) }));
  const found = new Map(known.filter(isAlive).map((each) => [each.pid, each]));
  for (let before = -1; before !== found.size; ) {
    before = found.size;
    for (const { pid, fields } of all) {
      // A child, or an orphan in the process group of one of ours: groups begin with our own detached children.
      const isOurs =
        fields !== null && (found.has(Number(fields[1])) || known.some((own) => own.pid === Number(fields[2])));
      if (isOurs && !found.has(pid)) found.set(pid, { pid, started: fields[19] ?? '' });
    }
  }
  return [...found.values()];
}

/** Ends `known` and all that they started: asks first, insists after a while. Answers when nothing of it runs. */
export async function endAll(known: readonly Known[]): Promise<void> {
  const own = [...known, ...running];
  const tree = withDescendants(own);
  for (const each of own) signal(each, 'SIGTERM');
  const end = Date.now() + GRACE_MS;
  while (tree.some(isAlive) && Date.now() < end) await wait(POLL_MS);
  const left = new Map([...tree, ...withDescendants(own)].map((each) => [each.pid, each]));
  for (const each of left.values()) signal(each, 'SIGKILL');
  while ([...left.values()].some(isAlive)) await wait(POLL_MS);
}

function signal(known: Known, name: NodeJS.Signals): void {
  if (!isAlive(known)) return;
  try {
    process.kill(known.pid, name);
  } catch {
    // It has just ended.
  }
}

/**
 * Waits until `probe` answers something. Fails at once when the process ends, and after `boundMs`; the message names
 * the process, its log is for the caller to show.
 */
export async function until<T>(
  process_: Started,
  boundMs: number,
  probe: () => Promise<T | null> | T | null,
): Promise<T> {
  const end = Date.now() + boundMs;
  for (;;) {
    const answer = await probe();
    if (answer !== null) return answer;
    const exit = process_.exit();
    if (exit !== undefined) throw new Error(`${process_.name} ended with exit code ${exit}`);
    if (Date.now() > end) throw new Error(`${process_.name} was not ready after ${boundMs / 1000} s`);
    await wait(POLL_MS);
  }
}

/** Waits until the process has ended by itself; answers its exit code. Fails after `boundMs`. */
export async function ended(started: Started, boundMs: number): Promise<number> {
  for (const end = Date.now() + boundMs; Date.now() < end; await wait(POLL_MS)) {
    const code = started.exit();
    if (code !== undefined) return code;
  }
  throw new Error(`${started.name} still runs after ${boundMs / 1000} s`);
}

/** What the process has printed so far. */
export function printed(started: Started): string {
  return readFileSync(started.log, 'utf8');
}
