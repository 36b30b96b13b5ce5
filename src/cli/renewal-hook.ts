// What `certgate renew --exec` runs after a renewal: one command at a time, split at spaces and run without a shell unless
// that was asked for. It learns of the files by its environment. What fails, hangs or isn't there is logged and counted,
// stops no renewal, and is run again after a while: the program would else go on with a certificate that ends before the
// next renewal comes.

import { type ChildProcess, spawn } from 'node:child_process';
import { CertgateError, reasonOf, shellWord, shown } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import { usage } from './flags.ts';

/** What a shell would make something else of. */
const FOR_A_SHELL = /['"\\$`|&;<>(){}*?~#\n]/;

export interface HookOptions {
  /** The program and its arguments. */
  readonly words: readonly string[];
  readonly timeoutMs: number;
  readonly env: NodeJS.ProcessEnv;
  readonly log: Log;
  /** After how long what failed is run again, ms, twice as long each time up to MOST_RETRY; null for never. */
  readonly retryMs: number | null;
}

const MOST_RETRY = 3_600_000;

export interface Hook {
  /** Runs it, after the one that runs; of several that wait only the last is run. Resolves when nothing runs any more. */
  run(serial: string): Promise<void>;
  /** Runs nothing again that failed. Resolves when nothing runs any more. */
  stop(): Promise<void>;
  /** How often it failed. */
  readonly failures: number;
  /** Kills what runs, and runs no more. */
  end(): void;
}

/** The words of `--exec` or of `--exec-shell`; null without either. CG_USAGE. */
export function hookWords(flags: { readonly exec?: string; readonly execShell?: string }): readonly string[] | null {
  const { exec, execShell } = flags;
  if (exec !== undefined && execShell !== undefined) {
    throw usage('--exec and --exec-shell are two commands for one moment', 'give one of them');
  }
  if (execShell !== undefined) {
    if (execShell.trim() === '')
      throw usage('--exec-shell is empty', "for example --exec-shell 'kill -HUP $(cat app.pid)'");
    return ['/bin/sh', '-c', execShell];
  }
  if (exec === undefined) return null;
  const words = exec.split(/\s+/).filter((word) => word !== '');
  const [special] = FOR_A_SHELL.exec(exec) ?? [];
  if (words.length === 0) throw usage('--exec is empty', "for example --exec 'nginx -s reload'");
  if (special === undefined) return words;
  throw usage(
    `--exec ${shown(exec)} has ${shown(special)}, which only a shell understands, and it is run without one`,
    `put it into a script, or use --exec-shell ${shellWord(exec)}`,
  );
}

export function openHook({ words, timeoutMs, env, log, retryMs }: HookOptions): Hook {
  let failures = 0;
  let wanted: string | null = null;
  let child: ChildProcess | null = null;
  let running: Promise<void> | null = null;
  let ended = false;
  let failedInRow = 0;
  let retry: NodeJS.Timeout | null = null;
  let stopped = false;
  const kill = (): void => killGroup(child);

  const once = async (serial: string): Promise<void> => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      kill();
    }, timeoutMs);
    const since = performance.now();
    try {
      const problem = await new Promise<string | null>((resolve) => {
        const [program = '', ...args] = words;
        // A group of its own, so that what it started ends with it. stdout is for results.
        child = spawn(program, args, {
          env: { ...env, CERTGATE_SERIAL: serial },
          stdio: ['ignore', process.stderr, process.stderr],
          detached: true,
        });
        child.once('error', (error) => resolve(reasonOf(error)));
        child.once('exit', (code, signal) => {
          resolve(code === 0 ? null : signal === null ? `exit code ${code ?? '?'}` : `ended by ${signal}`);
        });
        // Some of the system's errors are thrown by spawn.
      }).catch(reasonOf);
      const durationMs = Math.round(performance.now() - since);
      if (problem === null) {
        failedInRow = 0;
        log.info({ serial, durationMs }, 'hook ended');
        return;
      }
      failures++;
      const reason = late ? `not ended after ${timeoutMs} ms: killed` : problem;
      const delayMs = retryMs === null || stopped || ended ? null : Math.min(MOST_RETRY, retryMs * 2 ** failedInRow++);
      log.error({ command: words.join(' '), serial, reason, failures, delayMs }, 'hook failed, renewals go on');
      if (delayMs !== null) retry = setTimeout(() => void run(serial), delayMs).unref();
    } finally {
      clearTimeout(timer);
      child = null;
    }
  };
  const all = async (): Promise<void> => {
    while (wanted !== null && !ended) {
      const serial = wanted;
      wanted = null;
      forget();
      await once(serial);
    }
  };
  const forget = (): void => {
    if (retry !== null) clearTimeout(retry);
    retry = null;
  };
  const run = async (serial: string): Promise<void> => {
    wanted = serial;
    running ??= all().finally(() => {
      running = null;
    });
    await running;
  };
  return {
    run,
    async stop() {
      stopped = true;
      forget();
      await running;
    },
    get failures() {
      return failures;
    },
    end() {
      ended = true;
      kill();
    },
  };
}

function killGroup(child: ChildProcess | null): void {
  if (child?.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}

/** For `certgate renew` itself, which ends with the hook's failure. */
export function requireNoFailure(hook: Hook, words: readonly string[]): void {
  if (hook.failures === 0) return;
  throw new CertgateError('CG_HOOK', { command: words.join(' ') });
}
