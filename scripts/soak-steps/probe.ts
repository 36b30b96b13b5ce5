// A look into a running process: what /proc says of it, and through Node's inspector its heap after a full collection and
// the delay of its event loop. The program under test knows nothing of it; it is started with NODE_OPTIONS=INSPECTED.

import { readdirSync, readlinkSync } from 'node:fs';
import { WebSocket } from 'ws';
import { cpuOf, descriptorsOf, rssOf } from '../../test/e2e/harness/proc.ts';
import type { Running } from '../../test/e2e/harness/processes.ts';
import type { Sample } from './verdict.ts';

/** For the environment of a process that is to be looked into. */
export const INSPECTED: NodeJS.ProcessEnv = { NODE_OPTIONS: '--inspect=127.0.0.1:0' };
/** Of the loop's measurement, ms; it is taken off what is reported. */
const RESOLUTION = 10;
const ANSWER_WAIT = 20_000;

export interface Probe {
  readonly name: string;
  /** What /proc says now; with `deep`, also what the inspector does, which costs the process a full collection. */
  look(seconds: number, deep: boolean): Promise<Sample>;
  /** CPU time used so far, seconds. */
  cpu(): number;
  descriptors(): number;
  /** What the descriptors are, e.g. `socket` or a path, sorted. */
  descriptorNames(): readonly string[];
  close(): void;
}

function descriptorNames(pid: number): readonly string[] {
  const names = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/:\[\d+\]$/, '');
    } catch {
      return 'gone';
    }
  });
  return names.toSorted();
}

export async function openProbe(name: string, running: Running): Promise<Probe> {
  const line = await running.line((text) => text.startsWith('Debugger listening on '));
  const socket = new WebSocket(line.slice('Debugger listening on '.length));
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  socket.on('error', () => {});
  const waiting = new Map<number, (result: unknown) => void>();
  socket.on('message', (data: Buffer) => {
    const { id, result } = JSON.parse(data.toString()) as { id?: number; result?: unknown };
    if (id !== undefined) waiting.get(id)?.(result);
  });
  let count = 0;
  const call = async (method: string, params: object = {}): Promise<unknown> =>
    await new Promise((resolve, reject) => {
      const id = ++count;
      const timer = setTimeout(() => reject(new Error(`${name}: its inspector does not answer`)), ANSWER_WAIT);
      waiting.set(id, (result) => {
        clearTimeout(timer);
        waiting.delete(id);
        resolve(result);
      });
      socket.send(JSON.stringify({ id, method, params }));
    });
  const evaluate = async <T>(expression: string): Promise<T> => {
    const answer = (await call('Runtime.evaluate', { expression: `JSON.stringify(${expression})` })) as {
      result: { value: string };
    };
    return JSON.parse(answer.result.value) as T;
  };
  const { pid } = running;
  await evaluate(
    `(globalThis.soak = process.getBuiltinModule('node:perf_hooks').monitorEventLoopDelay({ resolution: ${RESOLUTION} }), soak.enable())`,
  );
  return {
    name,
    async look(seconds, deep) {
      const outside = { seconds, rssBytes: rssOf(pid), descriptors: descriptorsOf(pid) };
      if (!deep) return { ...outside, heapBytes: null, loopP99: null, loopMax: null };
      const [p99, max] = await evaluate<[number, number]>('[soak.percentile(99) / 1e6, soak.max / 1e6]');
      await call('HeapProfiler.collectGarbage');
      const heapBytes = await evaluate<number>('(soak.reset(), process.memoryUsage().heapUsed)');
      return { ...outside, heapBytes, loopP99: Math.max(0, p99 - RESOLUTION), loopMax: Math.max(0, max - RESOLUTION) };
    },
    cpu: () => cpuOf(pid),
    descriptors: () => descriptorsOf(pid),
    descriptorNames: () => descriptorNames(pid),
    close: () => socket.terminate(),
  };
}
