// scripts/soak: a gate and a sidecar under a mixed load, looked into all the while. Ends by itself, or on Ctrl-C with what
// it has; nothing that it started is left running.

import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { eventually } from '../../test/e2e/harness/eventually.ts';
import { cpuOf } from '../../test/e2e/harness/proc.ts';
import { stopAll } from '../../test/e2e/harness/processes.ts';
import { type Count, type Load, startLoad } from './load.ts';
import { makePlace, type Place } from './place.ts';
import { openProbe, type Probe } from './probe.ts';
import { renewSidecar } from './rude.ts';
import { mib, type Sample, trendOf, trendWords } from './verdict.ts';

/** How often /proc is read, seconds; a line with a collection of garbage follows every minute, or 8 times in a short run. */
const LOOK = 5;
const LINE = 60;
/** An idle upstream connection lives for some seconds, then everything must be as it was before the load, ms. */
const RECOVERY = 30_000;

interface Watched {
  readonly probe: Probe;
  /** Descriptors before the load. */
  readonly base: readonly string[];
  readonly samples: Sample[];
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function options(argv: string[]): { readonly minutes: number; readonly rate: number } {
  const { values } = parseArgs({ args: argv, options: { minutes: { type: 'string' }, rate: { type: 'string' } } });
  const positive = (flag: string, text: string, most: number): number => {
    const value = Number(text);
    if (!(value > 0 && value <= most)) throw new RangeError(`--${flag} ${text} is not a number above 0, up to ${most}`);
    return value;
  };
  return {
    minutes: positive('minutes', values.minutes ?? '60', 10_080),
    rate: positive('rate', values.rate ?? '40', 10_000),
  };
}

async function soak(minutes: number, rate: number): Promise<boolean> {
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
  const place = await makePlace();
  try {
    const watched = await Promise.all([watch('gate', place.gate.running), watch('sidecar', place.sidecar.running)]);
    say(
      `${minutes} min at ${rate} actions a second; gate ${place.gate.running.pid}, sidecar ${place.sidecar.running.pid}`,
    );
    const load = startLoad(place, rate);
    const since = performance.now();
    await observe(watched, load, { since, seconds: minutes * 60, interrupted: interrupted.signal });
    await load.stop();
    const seconds = (performance.now() - since) / 1000;
    place.plain.destroy();
    place.mutual.destroy();
    const well = await judge(place, watched, load, seconds);
    for (const { probe } of watched) probe.close();
    return well;
  } finally {
    await place.stop();
  }
}

async function watch(name: string, running: Parameters<typeof openProbe>[1]): Promise<Watched> {
  const probe = await openProbe(name, running);
  return { probe, base: probe.descriptorNames(), samples: [] };
}

async function observe(
  watched: readonly Watched[],
  load: Load,
  run: { readonly since: number; readonly seconds: number; readonly interrupted: AbortSignal },
): Promise<void> {
  const every = Math.min(LINE, run.seconds / 8);
  const now = (): number => (performance.now() - run.since) / 1000;
  let lines = 0;
  let cpu = cpuNow(watched);
  let cpuSince = now();
  while (now() < run.seconds && !run.interrupted.aborted) {
    const deep = now() >= every * (lines + 1);
    for (const { probe, samples } of watched) samples.push(await probe.look(now(), deep));
    if (deep) {
      lines++;
      const used = cpuNow(watched);
      const shares = used.map((value, at) => Math.round(((value - (cpu[at] ?? 0)) / (now() - cpuSince)) * 100));
      cpu = used;
      cpuSince = now();
      say(`${clock(now())}  ${watched.map(words).join('  ')}  CPU ${shares.join('/')} %  ${totals(load)}`);
    }
    await sleep(Math.min(LOOK, every) * 1000, null, { signal: run.interrupted }).catch(() => {});
  }
}

/** Of the watched, and of this process. */
function cpuNow(watched: readonly Watched[]): readonly number[] {
  return [...watched.map(({ probe }) => probe.cpu()), cpuOf(process.pid)];
}

function words({ probe, samples }: Watched): string {
  const last = samples.at(-1);
  if (last === undefined) return probe.name;
  const loop = `loop p99 ${last.loopP99?.toFixed(1)} max ${last.loopMax?.toFixed(0)} ms`;
  return `${probe.name}: RSS ${mib(last.rssBytes)} heap ${mib(last.heapBytes ?? 0)} fds ${last.descriptors} ${loop}`;
}

function totals(load: Load): string {
  const sum = (what: keyof Count): number => [...load.counts.values()].reduce((all, count) => all + count[what], 0);
  const leftOut = load.leftOut === 0 ? '' : `, ${load.leftOut} left out`;
  return `${sum('right')} right, ${sum('wrong')} wrong${leftOut}`;
}

async function judge(place: Place, watched: readonly Watched[], load: Load, seconds: number): Promise<boolean> {
  // Also the end of the connections that the sidecar keeps: it would for a minute.
  const taken = (): number => place.sidecar.log().filter((line) => line.msg === 'new credentials taken').length;
  const before = taken();
  await renewSidecar(place);
  await eventually('the sidecar has its new certificate', () => (taken() > before ? true : undefined));
  let well = true;
  const verdict = (right: boolean, text: string): void => {
    say(`${right ? 'ok ' : 'BAD'}  ${text}`);
    well &&= right;
  };
  say(`\nafter ${clock(seconds)}:`);
  for (const [name, { right, wrong }] of load.counts) say(`     ${name}: ${right} right, ${wrong} wrong`);
  for (const wrong of load.wrongs) say(`     ${wrong}`);
  verdict(
    [...load.counts.values()].every(({ wrong }) => wrong === 0),
    `answers: ${totals(load)}`,
  );
  for (const { probe, base, samples } of watched) {
    for (const what of ['rss', 'heap'] as const) {
      const trend = trendOf(samples, what);
      verdict(trend.flat, `${probe.name}: ${what === 'rss' ? 'RSS' : 'heap after GC'}: ${trendWords(trend)}`);
    }
    const p99 = samples.flatMap(({ loopP99 }) => loopP99 ?? []);
    const max = samples.flatMap(({ loopMax }) => loopMax ?? []);
    say(
      `     ${probe.name}: event loop delay: p99 at most ${Math.max(...p99).toFixed(1)} ms in a line's time, max ${Math.max(...max).toFixed(0)} ms`,
    );
    const most = Math.max(...samples.map(({ descriptors }) => descriptors));
    const left = await settled(probe, base.length);
    verdict(
      left <= base.length,
      `${probe.name}: descriptors: ${base.length} before, at most ${most} under load, ${left} after${added(base, probe)}`,
    );
  }
  const faults = [...place.gate.log(), ...place.sidecar.log()].filter((line) => line.msg.startsWith('fault'));
  verdict(
    faults.length === 0,
    `faults logged: ${faults.length}${faults.length === 0 ? '' : ` ${JSON.stringify(faults[0])}`}`,
  );
  const renewed = place.gate.log().filter((line) => line.msg === 'server certificate renewed').length;
  say(`     certificates renewed meanwhile: the gate's ${renewed} times, the sidecar's ${taken()} times`);
  return well;
}

/** What is open now and was not before, in words. */
function added(base: readonly string[], probe: Probe): string {
  const before = [...base];
  const names = probe.descriptorNames().filter((name) => {
    const at = before.indexOf(name);
    if (at >= 0) before.splice(at, 1);
    return at < 0;
  });
  return names.length === 0 ? '' : `; new: ${names.join(', ')}`;
}

/** The number of descriptors once it is back at `base`, or after a while. */
async function settled(probe: Probe, base: number): Promise<number> {
  await eventually('its descriptors are back', () => (probe.descriptors() <= base ? true : undefined), RECOVERY).catch(
    () => {},
  );
  return probe.descriptors();
}

function clock(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;
}

try {
  const { minutes, rate } = options(process.argv.slice(2));
  process.exitCode = (await soak(minutes, rate)) ? 0 : 1;
} catch (error) {
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\nhint: scripts/soak --help\n`);
  process.exitCode = error instanceof RangeError || error instanceof TypeError ? 2 : 1;
}
await stopAll();
