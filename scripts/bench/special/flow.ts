// A real flow run against a real Prefect server: once directly, once through both sidecars, in pairs whose order alternates.
// Nothing is pinned: the server, the client and the sidecars share the machine's cores, as on a small host.

import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { clientEnvironment, prefectPrograms, startPrefect } from '../../../test/e2e/harness/prefect.ts';
import { finish, stopAll } from '../../../test/e2e/harness/processes.ts';
import { mainOf } from '../build.ts';
import { certgateFrom } from '../contestants/certgate.ts';
import { launch } from '../field.ts';
import { freePort, say, startProcess, stopProcess, tailOf } from '../processes.ts';
import { OURS } from '../rows.ts';
import type { SpecialWork, Stage } from './stage.ts';

const START_LIMIT_MS = 30_000;
const RUN_LIMIT_MS = 300_000;
const prefect = resolve(import.meta.dirname, '../../../.cache/prefect/bin/prefect');

/** `certgate connect` in front of the gate. @returns its URL and how to end it */
async function startSidecar(gatePort: number, stage: Stage) {
  const { authorityDir } = stage.ground.certificates;
  const port = await freePort();
  const outputFile = join(stage.ground.dir, 'connect.log');
  const gate = ['--gate', `https://127.0.0.1:${gatePort}`, '--identity', 'client'];
  const args = [mainOf(stage.options.form), 'connect', ...gate, '--listen', `127.0.0.1:${port}`, '--drain', '1s'];
  const child = startProcess(process.execPath, args, { core: null, cwd: authorityDir, outputFile });
  const url = `http://127.0.0.1:${port}`;
  for (const end = Date.now() + START_LIMIT_MS; Date.now() < end; await sleep(50)) {
    const answer = await fetch(`${url}/api/health`).catch(() => null);
    if (answer?.ok === true) return { url, stop: () => stopProcess(child) };
    if (child.exitCode !== null) break;
  }
  await stopProcess(child);
  throw new Error(`certgate connect did not answer:\n${tailOf(outputFile)}`);
}

/** @returns the flow run's wall time, s */
async function runFlow(url: string, tasks: number, home: string): Promise<number> {
  const python = join(await prefectPrograms(), 'python');
  const env = clientEnvironment(url, home, { PREFECT_LOGGING_LEVEL: 'WARNING' });
  const args = [join(import.meta.dirname, 'flow.py'), String(tasks)];
  const ran = await finish(python, args, { env, boundMs: RUN_LIMIT_MS });
  if (ran.code !== 0) throw new Error(`the flow run failed at ${url}: ${ran.stderr.slice(-2000)}`);
  return (JSON.parse(ran.stdout.trimEnd().split('\n').at(-1) ?? '') as { seconds: number }).seconds;
}

export const flow: SpecialWork = {
  name: 'flow',
  title: 'a flow run through both sidecars against direct (wall time, pairs in alternation)',
  async run(stage) {
    if (!existsSync(prefect)) return { rows: [], skipped: 'Prefect is not installed: ./scripts/setup prefect' };
    const { tasks, rounds } = stage.options;
    const home = await mkdtemp(join(stage.ground.dir, 'prefect-'));
    const stops: (() => Promise<void>)[] = [() => rm(home, { recursive: true, force: true }), stopAll];
    try {
      const server = await startPrefect();
      stops.unshift(() => server.stop());
      const gate = await launch(certgateFrom(stage.options.form), {
        ...stage.ground,
        core: null,
        upstreamPort: server.port,
      });
      stops.unshift(() => gate.stop());
      const sidecar = await startSidecar(gate.port, stage);
      stops.unshift(() => sidecar.stop());
      const through = (): Promise<number> => runFlow(sidecar.url, tasks, home);
      const direct = (): Promise<number> => runFlow(server.url, tasks, home);
      // once each for all the caches, not counted
      await direct();
      await through();
      const seconds = { direct: [] as number[], through: [] as number[] };
      for (let pair = 0; pair < rounds; pair++) {
        if (pair % 2 === 0) seconds.direct.push(await direct());
        seconds.through.push(await through());
        if (pair % 2 === 1) seconds.direct.push(await direct());
        say(
          `flow ${pair + 1}: ${seconds.direct.at(-1)?.toFixed(2)} s direct, ${seconds.through.at(-1)?.toFixed(2)} s through`,
        );
      }
      const ratios = seconds.through.map((one, pair) => one / (seconds.direct[pair] ?? Number.NaN));
      const figure = (values: number[]) => [{ contestant: OURS, values }];
      return {
        rows: [
          { name: 'flow', unit: '× wall time of direct', figures: figure(ratios) },
          { name: 'flow direct', unit: 's', figures: figure(seconds.direct) },
          { name: 'flow through', unit: 's', figures: figure(seconds.through) },
        ],
        notes: [`${tasks} tasks, Prefect's own client and server`],
      };
    } finally {
      for (const stop of stops) await stop();
    }
  },
};
