// scripts/demo: the shortest way from nothing to a protected Prefect, on real Prefect, with a line for each step.
// Whatever happens, Ctrl-C included, it ends all that it started; a step that fails is named with its log and a remedy.

import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { keep, stopKept } from './keeping.ts';
import { makePlace, type Place, quoted } from './place.ts';
import { endAll, type Started } from './processes.ts';
import { complain, list, oneLine, StepFailed, title } from './screen.ts';
import { showRefusals } from './show-refusals.ts';
import { revokeWhileItWorks } from './show-revocation.ts';
import { showWork } from './show-work.ts';
import { type Demo, startConnect, startGate, startPrefect } from './start.ts';

const INTERRUPTED = 130;

/** Ends with the demo's exit code; nothing is left running unless `--keep` asked for it. */
async function demo(keeps: boolean): Promise<number> {
  const since = performance.now();
  const place = await makePlace();
  const started: Started[] = [];
  let interrupted = false;
  const interrupt = (): void => {
    if (interrupted) process.exit(INTERRUPTED);
    interrupted = true;
    complain('\nstopping ...');
    void endAll(started).then(() => process.exit(INTERRUPTED));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);

  try {
    const running: Demo = { place, started, ...(await startAll(place, started)) };
    const worker = await showWork(running);
    await showRefusals(running);
    await revokeWhileItWorks(running, worker);
    if (keeps) await leaveRunning(running);
    else await leaveNothing(running);
    list(['', tookWords((performance.now() - since) / 1000, Number(process.env['DEMO_SETUP_SECONDS'] ?? 0))]);
    return 0;
  } catch (error) {
    // The processes were ended under its feet: what fails then is no failure.
    if (interrupted) return await new Promise<number>(() => {});
    await fail(error, place, started);
    return 1;
  }
}

/** Both in s: scripts/demo has counted the set-up, which the first run alone has. */
function tookWords(took: number, setup: number): string {
  return `${took.toFixed(0)} s${setup < 1 ? '' : `, after ${setup} s of set-up`}.`;
}

async function startAll(place: Place, started: Started[]): Promise<Pick<Demo, 'upstream' | 'gate' | 'port'>> {
  title('A Prefect server, and certgate in front of it');
  const prefect = await startPrefect(place, started);
  const gate = await startGate(place, started, prefect.url);
  await prefect.ready();
  return { upstream: prefect.url, ...gate };
}

async function leaveNothing({ place, started }: Demo): Promise<void> {
  await endAll(started);
  for (const name of ['prefect', 'tmp']) await rm(join(place.dir, name), { recursive: true, force: true });
  title('Nothing is left running. What to do next');
  list([
    `look around      cd ${quoted(place.dir)}`,
    '                 ./certgate list      ./certgate audit      less certgate.yaml',
    '                 logs/ has what each program printed; certs/ the CA; state/ the records',
    'let it run       scripts/demo --keep, and open the Prefect UI through the gate',
    'do it yourself   README.md: the same by hand, on two machines',
    `clean up         rm -r ${quoted(place.dir)}`,
  ]);
}

async function leaveRunning(demo_: Demo): Promise<void> {
  const { place, started, port, upstream } = demo_;
  const url = await startConnect(demo_, 'user-alice');
  keep(place.dir, started);
  const run = `./certgate run --gate https://127.0.0.1:${port}`;
  title('Left running. What to try');
  list([
    `the Prefect UI   ${url}   (as user/alice, through both sidecars)`,
    `the gate         https://127.0.0.1:${port}   in front of ${upstream}`,
    '',
    `  cd ${quoted(place.dir)}`,
    '  ./certgate issue worker/etl-2',
    `  ${run} --identity worker-etl-2 -- ./prefect-cli worker start --pool demo`,
    `  ${run} --identity user-alice -- ./prefect-cli flow-run ls`,
    '  ./certgate audit --since 1h',
    '  ./certgate revoke worker/etl-2',
    '',
    'to stop it all   scripts/demo --stop',
  ]);
}

async function fail(error: unknown, place: Place, started: readonly Started[]): Promise<void> {
  const failed = error instanceof StepFailed ? error : new StepFailed('the demo', String(error), 'please report this');
  complain('');
  for (const { name, log } of started) {
    const lines = readFileSync(log, 'utf8').trimEnd().split('\n').slice(-6);
    complain(`  the end of ${log} (${name}):`);
    for (const line of lines) complain(`    ${oneLine(line, 160)}`);
  }
  await endAll(started);
  complain(`error: ${failed.step}: ${failed.message}`);
  complain(`hint: ${failed.remedy}`);
  complain(`      files and logs are in ${place.dir}; nothing is left running`);
}

const flags = process.argv.slice(2);
const unknown = flags.find((flag) => flag !== '--keep' && flag !== '--stop');
if (unknown !== undefined) {
  complain(`error: there is no option ${unknown}`);
  complain('hint: scripts/demo --help');
  process.exitCode = 2;
} else if (process.platform !== 'linux') {
  // It ends what it started by what /proc says of it.
  complain(`error: the demo runs on Linux, and this is ${process.platform}`);
  complain('hint: README.md has the same by hand, on any machine');
  process.exitCode = 1;
} else if (flags.includes('--stop')) {
  const folders = await stopKept();
  list(folders.length === 0 ? ['nothing was left running'] : folders.map((dir) => `stopped; its files are in ${dir}`));
} else {
  process.exit(await demo(flags.includes('--keep')));
}
