// Two workers on two cores against one worker on one, at small answers. The load needs cores of its own: with four, the
// requests per second are compared. With fewer, the load shares the workers' cores and no gain could show, so the capacity
// is computed: twice the requests that one worker's core allows, scaled by what a request costs in CPU with each.

import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { mainOf } from '../build.ts';
import { certgateFrom, serveArguments, serveEnvironment } from '../contestants/certgate.ts';
import type { Contestant } from '../contestants/contestant.ts';
import { cpuMicroseconds, processTree } from '../cpu.ts';
import { launch } from '../field.ts';
import type { LoadResult } from '../load.ts';
import type { Options } from '../options.ts';
import { say } from '../processes.ts';
import { OURS } from '../rows.ts';
import type { SpecialWork, Stage } from './stage.ts';

/** Cores with which the load takes none of the workers'. */
const CORES_ENOUGH = 4;

function gateWith(workers: number, { form }: Options): Contestant {
  const args = ['--workers', String(workers)];
  return {
    ...certgateFrom(form),
    name: `certgate-${workers}-workers`,
    start: (place) =>
      place.start(process.execPath, serveArguments(form, place, args), { env: serveEnvironment(place) }),
  };
}

/** @returns what was measured, and how much of the workers' CPU time the busiest process had (0-1) */
async function measure(workers: number, core: string | null, { options, ground, instruments }: Stage) {
  const running = await launch(gateWith(workers, options), { ...ground, core });
  try {
    const order = { work: 'small', port: running.port, contestantPid: running.pid } as const;
    await instruments.measure({ ...order, warmSeconds: Math.min(2, options.seconds), seconds: 0.05 });
    const processes = processTree(running.pid);
    const before = processes.map((pid) => cpuMicroseconds([pid]));
    const result = await instruments.measure({ ...order, warmSeconds: 0.3, seconds: options.seconds });
    const used = processes.map((pid, place) => cpuMicroseconds([pid]) - (before[place] ?? 0));
    const busiest = Math.max(...used) / used.reduce((sum, one) => sum + one, 0);
    return { result, busiest };
  } finally {
    await running.stop();
  }
}

export const workers: SpecialWork = {
  name: 'workers',
  title: 'two workers on two cores against one (small JSON answer, 32 connections)',
  async run(stage) {
    const { options, cores } = stage;
    const help = await promisify(execFile)(process.execPath, [mainOf(options.form), 'serve', '--help']);
    if (!help.stdout.includes('--workers')) return { rows: [], skipped: 'certgate serve has no --workers yet' };
    if (cores.contestant === null || cores.load === cores.contestant)
      return { rows: [], skipped: 'needs two cores and taskset' };
    const enough = availableParallelism() >= CORES_ENOUGH && cores.upstream !== cores.load;
    const two = `${cores.contestant},${enough ? cores.second : cores.load}`;
    const gains: number[] = [];
    const ones: LoadResult[] = [];
    const twos: LoadResult[] = [];
    let busiest = 0;
    for (let round = 1; round <= options.rounds; round++) {
      const one = await measure(1, cores.contestant, stage);
      const both = await measure(2, two, stage);
      const gain = enough
        ? both.result.requestsPerSecond / one.result.requestsPerSecond
        : (2 * one.result.cpuMicros) / both.result.cpuMicros;
      gains.push(gain);
      ones.push(one.result);
      twos.push(both.result);
      busiest = Math.max(busiest, both.busiest);
      say(`workers ${round}: ${gain.toFixed(2)} × the requests of one`);
    }
    const figure = (values: number[]) => [{ contestant: OURS, values }];
    return {
      rows: [
        { name: 'workers', unit: '× requests of one', figures: figure(gains) },
        { name: 'workers: CPU with one', unit: 'µs', figures: figure(ones.map((one) => one.cpuMicros)) },
        { name: 'workers: CPU with two', unit: 'µs', figures: figure(twos.map((one) => one.cpuMicros)) },
      ],
      notes: [
        enough ? 'requests/s, the load on other cores' : 'computed from CPU per request: too few cores for the load',
        `the busiest process had at most ${(busiest * 100).toFixed(0)} % of the workers' CPU time`,
      ],
    };
  },
};
