// Two workers on two cores against one worker on one. The load needs CPU of its own. With four cores it has two of them, and
// the requests per second at small answers are compared. With fewer, at small answers it would take the workers' cores and no
// gain could show; so a work is asked of which nearly all the cost is the gate's: a client that is kept to a pool sends filters
// of 300 KiB, which the gate reads, adds to and writes anew, while load and upstream only move them. What those took is told.
// For small answers the capacity is computed then: twice the requests that one worker's core allows, scaled by what a request
// costs in CPU with each.

import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { mainOf } from '../build.ts';
import { ask } from '../check.ts';
import { certgateFrom, serveArguments, serveEnvironment } from '../contestants/certgate.ts';
import type { Contestant } from '../contestants/contestant.ts';
import { cpuMicroseconds, processTree } from '../cpu.ts';
import { type Ground, launch } from '../field.ts';
import type { LoadResult } from '../load.ts';
import type { Options } from '../options.ts';
import { say } from '../processes.ts';
import { OURS, type Row } from '../rows.ts';
import { ECHO_QUERY, type EchoedRequest, requestBytes, SCOPE_POOL, type WorkName, workersWorks } from '../works.ts';
import type { SpecialWork, Stage } from './stage.ts';

/** Cores with which the load takes none of the workers'. */
const CORES_ENOUGH = 4;
const [longFilter] = workersWorks;

interface Measured {
  readonly result: LoadResult;
  /** How much of the gate's CPU time the busiest process had, and the one that hands connections on (0-1). */
  readonly busiest: number;
  readonly first: number;
}

function gateWith(workers: number, { form }: Options, policy: string | null): Contestant {
  const args = ['--workers', String(workers)];
  return {
    ...certgateFrom(form),
    name: `certgate-${workers}-workers`,
    start: (place) =>
      place.start(process.execPath, serveArguments(form, place, args), {
        env: { ...serveEnvironment(place), ...(policy !== null && { CERTGATE_SERVE_POLICY: policy }) },
      }),
  };
}

/** @throws when a long filter is not narrowed on its way */
async function check(port: number, { certificates }: Ground): Promise<void> {
  for (const request of longFilter?.requests ?? []) {
    const { status, body } = await ask(
      port,
      certificates,
      requestBytes({ ...request, target: request.target + ECHO_QUERY }),
    );
    if (status !== 200) throw new Error(`a long filter was answered with ${status}: ${body.toString()}`);
    const { bodyLength } = JSON.parse(body.toString()) as EchoedRequest;
    if (bodyLength <= (request.body?.length ?? 0)) throw new Error('a long filter went on as it was');
  }
}

async function measure(
  work: WorkName,
  workers: number,
  core: string | null,
  policy: string | null,
  { options, ground, instruments }: Stage,
): Promise<Measured> {
  const running = await launch(gateWith(workers, options, policy), { ...ground, core });
  try {
    if (policy !== null) await check(running.port, ground);
    const order = { work, port: running.port, contestantPid: running.pid } as const;
    await instruments.measure({ ...order, warmSeconds: Math.min(2, options.seconds), seconds: 0.05 });
    const processes = processTree(running.pid);
    const before = processes.map((pid) => cpuMicroseconds([pid]));
    const result = await instruments.measure({ ...order, warmSeconds: 0.3, seconds: options.seconds });
    const used = processes.map((pid, place) => cpuMicroseconds([pid]) - (before[place] ?? 0));
    const all = used.reduce((sum, one) => sum + one, 0);
    return { result, busiest: Math.max(...used) / all, first: (used[0] ?? 0) / all };
  } finally {
    await running.stop();
  }
}

const percent = (part: number): string => `${(part * 100).toFixed(0)} %`;

/** One work with one worker and with two, in turn. `gain` says how much more two do. */
async function compare(
  name: string,
  work: WorkName,
  policy: string | null,
  two: string,
  gain: (one: LoadResult, both: LoadResult) => number,
  stage: Stage,
): Promise<{ rows: Row[]; note: string }> {
  const rounds: { one: Measured; both: Measured }[] = [];
  for (let round = 1; round <= stage.options.rounds; round++) {
    const one = await measure(work, 1, stage.cores.contestant, policy, stage);
    const both = await measure(work, 2, two, policy, stage);
    rounds.push({ one, both });
    say(`${name} ${round}: ${gain(one.result, both.result).toFixed(2)} × the requests of one`);
  }
  const row = (label: string, unit: string, pick: (round: (typeof rounds)[number]) => number): Row => {
    return { name: label, unit, figures: [{ contestant: OURS, values: rounds.map(pick) }] };
  };
  const most = (pick: (round: (typeof rounds)[number]) => number): string => percent(Math.max(...rounds.map(pick)));
  const others = ({ loadShare, upstreamShare, contestantShare }: LoadResult): number =>
    (loadShare + upstreamShare) / contestantShare;
  return {
    rows: [
      row(name, '× requests of one', ({ one, both }) => gain(one.result, both.result)),
      row(`${name}: CPU with one`, 'µs', ({ one }) => one.result.cpuMicros),
      row(`${name}: CPU with two`, 'µs', ({ both }) => both.result.cpuMicros),
      row(`${name}: cores that the gate had with two`, 'cores', ({ both }) => both.result.contestantShare),
    ],
    note:
      `${name}: load and upstream took at most ${most(({ both }) => others(both.result))} of the gate's CPU with two, ` +
      `${most(({ one }) => others(one.result))} with one; of the gate's, the busiest process at most ` +
      `${most(({ both }) => both.busiest)}, the one that hands connections on ${most(({ both }) => both.first)}`,
  };
}

const measured = (one: LoadResult, both: LoadResult): number => both.requestsPerSecond / one.requestsPerSecond;
const computed = (one: LoadResult, both: LoadResult): number => (2 * one.cpuMicros) / both.cpuMicros;

export const workers: SpecialWork = {
  name: 'workers',
  title: 'two workers on two cores against one',
  async run(stage) {
    const { options, cores, ground } = stage;
    const help = await promisify(execFile)(process.execPath, [mainOf(options.form), 'serve', '--help']);
    if (!help.stdout.includes('--workers')) return { rows: [], skipped: 'certgate serve has no --workers yet' };
    if (cores.contestant === null || cores.load === cores.contestant)
      return { rows: [], skipped: 'needs two cores and taskset' };
    if (availableParallelism() >= CORES_ENOUGH && cores.upstream !== cores.load) {
      const two = `${cores.contestant},${cores.second}`;
      const { rows, note } = await compare('workers', 'small', null, two, measured, stage);
      return { rows, notes: ['requests/s at small answers, the load on other cores', note] };
    }
    const two = `${cores.contestant},${cores.load}`;
    const policy = join(ground.dir, 'workers-policy.yaml');
    await writeFile(policy, `bindings: [{role: Worker, match: '.+', pools: [${SCOPE_POOL}]}]\n`);
    const long = await compare('workers', 'long filter', policy, two, measured, stage);
    const small = await compare('workers, small answers', 'small', null, two, computed, stage);
    return {
      rows: [...long.rows, ...small.rows],
      notes: [
        `workers: requests/s, ${longFilter?.title ?? ''}; load and upstream on one of the workers' two cores`,
        long.note,
        'workers, small answers: computed from CPU per request: too few cores for the load',
        small.note,
      ],
    };
  },
};
