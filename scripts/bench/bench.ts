// The bench: starts every contestant, checks that it answers rightly, then lets them take turns at each work, round by
// round, on one core, with the load generator on another. Words to stderr, the table to stdout.
// A contestant that is not here is skipped with the reason; one that answers wrongly is excluded, and the exit code is 1.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { makeCertificates } from './certificates.ts';
import { contestants, enter, type Ground, type Running } from './field.ts';
import { InstrumentFault, type Instruments, startInstruments } from './instruments.ts';
import type { LoadResult } from './load.ts';
import { type Options, readOptions, UsageError, usage } from './options.ts';
import { type Cores, chooseCores, pinSelf, stopAll } from './processes.ts';
import type { Measured, Report } from './report.ts';
import { tableOf } from './table.ts';
import type { Work } from './works.ts';

const EXIT = { measured: 0, wrong: 1, usage: 2 } as const;

interface Out {
  readonly name: string;
  readonly reason: string;
}

const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};
const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Starts those that are here, one after another; the others go into `skipped` and `excluded`. */
async function gather(options: Options, ground: Ground, skipped: Out[], excluded: Out[]): Promise<Running[]> {
  const field: Running[] = [];
  for (const contestant of contestants.filter((one) => options.only.includes(one.name))) {
    const absent = contestant.absent();
    if (absent !== null) {
      skipped.push({ name: contestant.name, reason: absent });
      say(`skipped ${contestant.name}: ${absent}`);
      continue;
    }
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
  for (const one of field.slice()) await turn(one, Math.min(2, options.seconds), 0.05);
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

async function run(options: Options, dir: string, cores: Cores): Promise<Report> {
  const certificates = await makeCertificates(join(dir, 'authority'));
  const instruments = await startInstruments(dir, cores, certificates);
  const { accessLog } = options;
  const profileDir = options.profileDir === null ? null : resolve(options.profileDir);
  const ground: Ground = {
    dir,
    core: cores.contestant,
    upstreamPort: instruments.upstreamPort,
    certificates,
    accessLog,
    profileDir,
  };
  const skipped: Out[] = [];
  const excluded: Out[] = [];
  const field = await gather(options, ground, skipped, excluded);
  const facts = field.map((one) => one.facts);
  const measured: Measured[] = [];
  for (const work of options.works) measured.push(...(await compete(work, field, instruments, options, excluded)));
  await Promise.all(field.map((one) => one.stop()));
  await instruments.stop();
  return {
    date: new Date().toISOString(),
    node: process.versions.node,
    cpuModel: cpus()[0]?.model.trim() ?? 'unknown processor',
    coreCount: cpus().length,
    options: { rounds: options.rounds, seconds: options.seconds, accessLog, profiled: profileDir !== null, cores },
    contestants: facts,
    measured,
    skipped,
    excluded,
  };
}

async function main(argv: readonly string[]): Promise<number> {
  const names = contestants.map((one) => one.name);
  const options = readOptions(argv, names);
  if (options === null) {
    process.stdout.write(`${usage(names)}\n`);
    return EXIT.measured;
  }
  if (process.platform !== 'linux') throw new UsageError('the bench reads CPU time from /proc: it runs on Linux only');
  const cores = chooseCores(options.cores);
  pinSelf(cores.load);
  const dir = mkdtempSync(join(tmpdir(), 'cg-bench-'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      void stopAll().then(() => {
        rmSync(dir, { recursive: true, force: true });
        process.exit(signal === 'SIGINT' ? 130 : 143);
      });
    });
  }
  try {
    const report = await run(options, dir, cores);
    process.stdout.write(tableOf(report, options.works));
    if (options.jsonFile !== null) writeFileSync(options.jsonFile, `${JSON.stringify(report, null, 2)}\n`);
    return report.excluded.length === 0 ? EXIT.measured : EXIT.wrong;
  } finally {
    await stopAll();
    rmSync(dir, { recursive: true, force: true });
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  say(`error: ${reasonOf(error)}`);
  if (error instanceof UsageError) say('hint: scripts/bench/run --help');
  process.exitCode = error instanceof UsageError ? EXIT.usage : EXIT.wrong;
}
