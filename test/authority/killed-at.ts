// Runs one of the programs beside the tests with a kill, as `kill -9` would, before its n-th step: see kill-at.ts.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect } from 'vitest';

const killer = join(import.meta.dirname, 'kill-at.ts');

export interface KilledEnd {
  readonly killed: boolean;
  readonly out: string;
  /** With n = 0, how many steps there are. */
  readonly steps: number;
}

export async function killedAt(n: number, program: string, args: readonly string[]): Promise<KilledEnd> {
  const child = spawn(process.execPath, ['--import', killer, program, ...args], {
    env: { ...process.env, KILL_AT: String(n) },
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
  });
  const [out, steps]: [Buffer[], Buffer[]] = [[], []];
  child.stdout?.on('data', (bytes: Buffer) => out.push(bytes));
  child.stdio[3]?.on('data', (bytes: Buffer) => steps.push(bytes));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  expect(code === 0 || signal === 'SIGKILL', `ended with ${code}, ${signal}`).toBe(true);
  return {
    killed: signal === 'SIGKILL',
    out: Buffer.concat(out).toString(),
    steps: Number(Buffer.concat(steps).toString()),
  };
}

/** `count` of the numbers 1 to `steps`, evenly spread, both ends among them. */
export function spread(steps: number, count: number): number[] {
  const most = Math.min(steps, count);
  return Array.from({ length: most }, (_, i) => 1 + Math.round((i * (steps - 1)) / Math.max(1, most - 1)));
}
