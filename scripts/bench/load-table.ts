// The works under load: every contestant started and checked, then turns at each work, round by round.

import type { Contestant } from './contestants/contestant.ts';
import { enter, type Ground, type Running } from './field.ts';
import { InstrumentFault, type Instruments } from './instruments.ts';
import type { LoadResult } from './load.ts';
import type { Options } from './options.ts';
import { reasonOf, say } from './processes.ts';
import type { Measured, Out, Table } from './report.ts';
import type { Work } from './works.ts';

/** Starts them one after another; one that answers wrongly goes into `excluded`. */
async function gather(contestants: readonly Contestant[], ground: Ground, excluded: Out[]): Promise<Running[]> {
  const field: Running[] = [];
  for (const contestant of contestants) {
    try {
      field.push(await enter(contestant, ground));
      say(`${contestant.name} answers rightly`);
    } catch (error) {
      excluded.push({ name: contestant.name, reason: reasonOf(error) });
      say(`EXCLUDED ${contestant.name}: ${reasonOf(error)}`);
    }
  }
  return field;
}

/** All rounds of one work. A contestant that fails under load leaves the field, with what it measured so far dropped. */
async function compete(
  work: Work,
  field: Running[],
  instruments: Instruments,
  options: Options,
  excluded: Out[],
): Promise<Measured[]> {
  const rounds = new Map<Running, LoadResult[]>(field.map((one) => [one, []]));
  const turn = async (one: Running, warmSeconds: number, seconds: number): Promise<LoadResult | null> => {
    try {
      return await instruments.measure({
        work: work.name,
        port: one.port,
        contestantPid: one.pid,
        warmSeconds,
        seconds,
      });
    } catch (error) {
      if (error instanceof InstrumentFault) throw error;
      excluded.push({ name: one.facts.name, reason: `${work.name}: ${reasonOf(error)}\n${one.lastWords()}` });
      say(`EXCLUDED ${one.facts.name} at ${work.name}: ${reasonOf(error)}`);
      rounds.delete(one);
      field.splice(field.indexOf(one), 1);
      return null;
    } finally {
      one.emptyLogs();
    }
  };
  // once for the just-in-time compilers, not counted
  for (const one of field.slice()) await turn(one, Math.min(2, 3 * options.seconds), 0.05);
  for (let round = 1; round <= options.rounds; round++) {
    for (const one of field.slice()) {
      const result = await turn(one, Math.min(0.3, options.seconds), options.seconds);
      if (result === null) continue;
      rounds.get(one)?.push(result);
      say(
        `${work.name} ${round}/${options.rounds} ${one.facts.name}: ${result.cpuMicros.toFixed(1)} µs CPU, p50 ${result.p50Micros} µs, ${result.requestsPerSecond.toFixed(0)}/s`,
      );
    }
  }
  return [...rounds].map(([one, results]) => ({ work: work.name, contestant: one.facts.name, rounds: results }));
}

/** One table: `ground.accessLog` says which. All contestants have ended when it resolves. */
export async function measureTable(
  contestants: readonly Contestant[],
  ground: Ground,
  instruments: Instruments,
  options: Options,
  excluded: Out[],
): Promise<Table> {
  const { accessLog } = ground;
  const field = await gather(contestants, ground, excluded);
  const all = field.slice();
  const measured: Measured[] = [];
  for (const work of options.works.filter((one) => accessLog || !one.onlyLogged)) {
    measured.push(...(await compete(work, field, instruments, options, excluded)));
  }
  await Promise.all(all.map((one) => one.stop()));
  return { accessLog, contestants: all.map((one) => one.facts), measured };
}
