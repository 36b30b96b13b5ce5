// The two processes beside the contestants: the upstream behind them and the load generator in front.

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Certificates } from './certificates.ts';
import type { LoadOrder, LoadReply, LoadResult } from './load.ts';
import { type Cores, startProcess, stopProcess, tailOf } from './processes.ts';

export interface Instruments {
  readonly upstreamPort: number;
  /** Carries out one order; orders must not overlap. @throws with the reason when the contestant failed under load */
  measure(order: Omit<LoadOrder, 'upstreamPid'>): Promise<LoadResult>;
  stop(): Promise<void>;
}

async function startUpstream(dir: string, cores: Cores): Promise<{ child: ChildProcess; port: number }> {
  const outputFile = join(dir, 'upstream.log');
  const script = join(import.meta.dirname, 'upstream.ts');
  const child = startProcess(process.execPath, [script], { core: cores.upstream, cwd: dir, outputFile, ipc: true });
  for (let waited = 0; waited < 10_000; waited += 20) {
    const port = Number(readFileSync(outputFile, 'latin1'));
    if (port > 0) return { child, port };
    await sleep(20);
  }
  throw new Error(`the bench's upstream did not start:\n${tailOf(outputFile)}`);
}

async function startLoad(dir: string, cores: Cores, certificates: Certificates): Promise<ChildProcess> {
  const { clientChain, clientKey, bundle } = certificates;
  const outputFile = join(dir, 'load.log');
  const args = [join(import.meta.dirname, 'load.ts'), clientChain, clientKey, bundle];
  const child = startProcess(process.execPath, args, { core: cores.load, cwd: dir, outputFile, ipc: true });
  const ended = once(child, 'exit').then(() => {
    throw new Error(`the load generator did not start:\n${tailOf(outputFile)}`);
  });
  await Promise.race([once(child, 'message'), ended]);
  ended.catch(() => {});
  return child;
}

/** The fault is the bench's own, no contestant's. */
export class InstrumentFault extends Error {}

/** Starts both; `dir` takes their output. */
export async function startInstruments(dir: string, cores: Cores, certificates: Certificates): Promise<Instruments> {
  const upstream = await startUpstream(dir, cores);
  const load = await startLoad(dir, cores, certificates);
  return {
    upstreamPort: upstream.port,
    async measure(order) {
      const whole: LoadOrder = { ...order, upstreamPid: upstream.child.pid ?? 0 };
      const reply = await new Promise<LoadReply>((resolve, reject) => {
        const onExit = (): void => reject(new InstrumentFault('the load generator ended'));
        load.once('exit', onExit);
        load.once('message', (message) => {
          load.off('exit', onExit);
          resolve(message as LoadReply);
        });
        load.send(whole, (error) => {
          if (error !== null) reject(new InstrumentFault(`the load generator takes no orders: ${error.message}`));
        });
      });
      if ('failure' in reply) throw new Error(reply.failure);
      return reply.result;
    },
    async stop() {
      await Promise.all([stopProcess(load), stopProcess(upstream.child)]);
    },
  };
}
