// Two workers on two cores against one worker on one. The load needs CPU of its own. With four cores it has two of them, and
// the requests per second at small answers are compared. With fewer, at small answers it would take the workers' cores and no
// gain could show; so a work is asked of which nearly all the cost is the gate's: a client that is kept to a pool sends filters
// of 192 KiB, which the gate reads, adds to and writes anew, while load and upstream only move them. What those took is told.
// For small answers the capacity is computed then: twice the requests that one worker's core allows, scaled by what a request
// costs in CPU with each.

import { execFile } from 'node:child_process';
import { cp, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { mainOf } from '../build.ts';
import { ask } from '../check.ts';
import { certgateFrom, serveArguments, serveEnvironment } from '../contestants/certgate.ts';
import type { Contestant } from '../contestants/contestant.ts';
import { cpuMicroseconds, processTree } from '../cpu.ts';
import { type Ground, launch, type Running } from '../field.ts';
import type { LoadResult } from '../load.ts';
import { say } from '../processes.ts';
import type { Row } from '../report.ts';
import { OURS } from '../rows.ts';
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

/** Each gate has a state folder of its own: a second on one is refused. */
async function startWith(
  workers: number,
  core: string | null,
  policy: string | null,
  { options, ground }: Stage,
): Promise<Running> {
  const { form } = options;
  const name = `certgate-${workers}-workers${policy === null ? '' : '-scoped'}`;
  const authorityDir = join(ground.dir, `${name}-ca`);
  await cp(ground.certificates.authorityDir, authorityDir, { recursive: true });
  if (policy !== null) await writeFile(join(authorityDir, 'policy.yaml'), policy);
  const args = ['--workers', String(workers)];
  const contestant: Contestant = {
    ...certgateFrom(form),
    name,
    start: (place) =>
      place.start(process.execPath, serveArguments(form, place, args), { env: serveEnvironment(place) }),
  };
  const certificates = { ...ground.certificates, authorityDir };
  return await launch(contestant, { ...ground, core, certificates });
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

async function measure(work: WorkName, { pid, port }: Running, { options, instruments }: Stage): Promise<Measured> {
  const processes = processTree(pid);
  const before = processes.map((one) => cpuMicroseconds([one]));
  const order = { work, port, contestantPid: pid, warmSeconds: 0.3, seconds: options.seconds } as const;
  const result = await instruments.measure(order);
  const used = processes.map((one, place) => cpuMicroseconds([one]) - (before[place] ?? 0));
  const all = used.reduce((sum, one) => sum + one, 0);
  return { result, busiest: Math.max(...used) / all, first: (used[0] ?? 0) / all };
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
  const gates: Running[] = [];
  try {
    const alone = await startWith(1, stage.cores.contestant, policy, stage);
    gates.push(alone);
    const crew = await startWith(2, two, policy, stage);
    gates.push(crew);
    for (const { port, pid } of gates) {
      if (policy !== null) await check(port, stage.ground);
      const warmSeconds = Math.min(2, stage.options.seconds);
      await stage.instruments.measure({ work, port, contestantPid: pid, warmSeconds, seconds: 0.05 });
    }
    for (let round = 1; round <= stage.options.rounds; round++) {
      const one = await measure(work, alone, stage);
      const both = await measure(work, crew, stage);
      rounds.push({ one, both });
      say(`${name} ${round}: ${gain(one.result, both.result).toFixed(2)} × the requests of one`);
      for (const gate of gates) gate.emptyLogs();
    }
  } finally {
    for (const gate of gates) await gate.stop();
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
      ...(gain === computed
        ? []
        : [row(`${name}: by CPU`, '× requests of one', ({ one, both }) => computed(one.result, both.result))]),
      row(`${name}: CPU with one`, 'µs', ({ one }) => one.result.cpuMicros),
      row(`${name}: CPU with two`, 'µs', ({ both }) => both.result.cpuMicros),
      row(`${name}: cores it had with one`, 'cores', ({ one }) => one.result.contestantShare),
      row(`${name}: cores it had with two`, 'cores', ({ both }) => both.result.contestantShare),
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
    const { options, cores } = stage;
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
    const policy = `bindings: [{role: Worker, match: '.+', pools: [${SCOPE_POOL}]}]\n`;
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
