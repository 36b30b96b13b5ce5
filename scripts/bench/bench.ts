// The bench: the works under load, in a table with access logs on and one with them off, then the special works. Words to
// stderr, the tables to stdout. A contestant that is not here is skipped with the reason; one that answers wrongly is
// excluded, and the exit code is 1.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildDist, removeDist } from './build.ts';
import { makeCertificates } from './certificates.ts';
import { commitNow } from './commit.ts';
import { contestantsWith, type Ground, presentOf } from './field.ts';
import { changesSince, entryOf, readHistory, record } from './history.ts';
import { type Instruments, startInstruments } from './instruments.ts';
import { measureTable } from './load-table.ts';
import { type Options, readOptions, UsageError, usage } from './options.ts';
import { type Cores, chooseCores, pinSelf, reasonOf, say, stopAll } from './processes.ts';
import type { Out, Report, SpecialResult, Table } from './report.ts';
import { specials } from './special/specials.ts';
import type { Stage } from './special/stage.ts';
import { changeBlock, tableOf } from './table.ts';

const EXIT = { measured: 0, wrong: 1, usage: 2 } as const;

/** The special works that were asked for. One that fails is told among the excluded; the others are still done. */
async function runSpecials(stage: Stage, excluded: Out[]): Promise<SpecialResult[]> {
  const results: SpecialResult[] = [];
  for (const work of specials.filter(({ name }) => stage.options.specials.includes(name))) {
    const { name, title } = work;
    try {
      const { rows, notes = [], skipped = null } = await work.run(stage);
      if (skipped !== null) say(`skipped ${name}: ${skipped}`);
      results.push({ name, title, rows, notes, skipped });
    } catch (error) {
      excluded.push({ name, reason: reasonOf(error) });
      say(`EXCLUDED ${name}: ${reasonOf(error)}`);
    }
  }
  return results;
}

async function measure(options: Options, ground: Ground, cores: Cores, instruments: Instruments): Promise<Report> {
  const skipped: Out[] = [];
  const excluded: Out[] = [];
  const all = contestantsWith(options.form);
  const contestants = await presentOf(
    all.filter(({ name }) => options.only.includes(name)),
    skipped,
  );
  const tables: Table[] = [];
  for (const accessLog of options.works.length === 0 ? [] : options.tables) {
    tables.push(await measureTable(contestants, { ...ground, accessLog }, instruments, options, excluded));
  }
  const results = await runSpecials({ options, cores, ground, instruments, contestants }, excluded);
  const { rounds, seconds, form, profileDir } = options;
  return {
    date: new Date().toISOString(),
    commit: commitNow(),
    node: process.versions.node,
    cpuModel: cpus()[0]?.model.trim() ?? 'unknown processor',
    coreCount: cpus().length,
    options: { rounds, seconds, form, profiled: profileDir !== null, cores },
    versions: Object.fromEntries(contestants.map((one) => [one.name, one.version()])),
    tables,
    specials: results,
    skipped,
    excluded,
  };
}

async function run(options: Options, dir: string, cores: Cores): Promise<Report> {
  if (options.form === 'dist' || options.specials.includes('start')) await buildDist();
  const certificates = await makeCertificates(join(dir, 'authority'));
  const instruments = await startInstruments(dir, cores, certificates);
  const { upstreamPort } = instruments;
  const { profileDir } = options;
  const ground: Ground = { dir, core: cores.contestant, upstreamPort, certificates, accessLog: true, profileDir };
  const report = await measure(options, ground, cores, instruments);
  await instruments.stop();
  return report;
}

/** Prints what was found, and what has changed; writes what is to be kept. */
function deliver(report: Report, options: Options): void {
  process.stdout.write(tableOf(report));
  const entry = entryOf(report);
  if (options.compare)
    process.stdout.write(`\n${changeBlock(changesSince(readHistory(options.historyFile), entry))}\n`);
  if (options.record && report.options.profiled) throw new Error('a profiled run is not recorded');
  if (options.record) record(options.historyFile, entry);
  if (options.jsonFile !== null) writeFileSync(options.jsonFile, `${JSON.stringify(report, null, 2)}\n`);
}

async function main(argv: readonly string[]): Promise<number> {
  const names = contestantsWith('dist').map((one) => one.name);
  const specialNames = specials.map((one) => one.name);
  const options = readOptions(argv, names, specialNames);
  if (options === null) {
    process.stdout.write(`${usage(names, specialNames)}\n`);
    return EXIT.measured;
  }
  if (process.platform !== 'linux') throw new UsageError('the bench reads CPU time from /proc: it runs on Linux only');
  const cores = chooseCores(options.cores);
  pinSelf(cores.load);
  const dir = mkdtempSync(join(tmpdir(), 'cg-bench-'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      void stopAll().then(() => {
        removeDist();
        rmSync(dir, { recursive: true, force: true });
        process.exit(signal === 'SIGINT' ? 130 : 143);
      });
    });
  }
  try {
    const report = await run(options, dir, cores);
    deliver(report, options);
    return report.excluded.length === 0 ? EXIT.measured : EXIT.wrong;
  } finally {
    await stopAll();
    removeDist();
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
