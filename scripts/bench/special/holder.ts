// A process that holds many idle connections open (hold.py) and tells when each has ended.

import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { findProgram, keep } from '../processes.ts';

export interface Holder {
  readonly open: number;
  /** What it took to open them. */
  readonly seconds: number;
  /** When each of the connections ended, ns of the machine's monotonic clock, in the order of their ends. */
  ends(): Promise<readonly bigint[]>;
  /** Ends the connections and the process. */
  stop(): Promise<void>;
}

export interface HoldOptions {
  readonly core: string | null;
  readonly port: number;
  readonly chain: string;
  readonly key: string;
  readonly bundle: string;
  readonly connections: number;
}

/** Opens the connections, each with one answered request. @throws with what went wrong */
export async function holdConnections(options: HoldOptions): Promise<Holder> {
  const python = findProgram('python3');
  if (python === null) throw new Error('no python3 on PATH');
  const words = [join(import.meta.dirname, 'hold.py'), options.port, options.chain, options.key, options.bundle];
  const args = [...words, options.connections].map(String);
  const [program, all] = options.core === null ? [python, args] : ['taskset', ['-c', options.core, python, ...args]];
  const child = keep(spawn(program, all, { stdio: ['pipe', 'pipe', 'pipe'] }));
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2000);
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async <T>(): Promise<T> => {
    const line = await lines.next();
    if (line.done === true) throw new Error(`the connections could not be held: ${said}`);
    return JSON.parse(line.value) as T;
  };
  const { open, seconds } = await next<{ open: number; seconds: number }>();
  return {
    open,
    seconds,
    async ends() {
      const { gone } = await next<{ gone: string[] }>();
      return gone.map(BigInt);
    },
    stop: () => endOf(child),
  };
}

async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.stdin?.end();
  await ended;
}
