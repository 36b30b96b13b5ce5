// What policy and record cost: two gates in turn on one core, one as users have it, one without a policy and without a record
// (unrecorded.ts), at reads and at writes. Both are run from the sources, because only those can be had without a record.

import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { certgateFrom, serveArguments, serveEnvironment } from '../contestants/certgate.ts';
import type { Contestant } from '../contestants/contestant.ts';
import { enter, type Running } from '../field.ts';
import { say } from '../processes.ts';
import { OURS } from '../rows.ts';
import type { WorkName } from '../works.ts';
import type { SpecialWork, Stage } from './stage.ts';

const BARE = 'bare';
const WORKS = ['small', 'post', 'write', 'write, 10 ms'] as const satisfies readonly WorkName[];

const bare: Contestant = {
  ...certgateFrom('src'),
  name: BARE,
  start(place) {
    const { CERTGATE_SERVE_POLICY: _, ...env } = serveEnvironment(place);
    const without = ['--import', join(import.meta.dirname, 'unrecorded.ts')];
    return place.start(process.execPath, [...without, ...serveArguments('src', place)], { env });
  },
};

/** On a copy of the CA of its own: two gates on one state folder are one too many. */
async function startOn(authorityDir: string, contestant: Contestant, { ground }: Stage): Promise<Running> {
  cpSync(ground.certificates.authorityDir, authorityDir, { recursive: true });
  return enter(contestant, { ...ground, certificates: { ...ground.certificates, authorityDir } });
}

/** How many lines the record of the gate on this copy has. */
function recordedIn(authorityDir: string): number {
  const file = join(authorityDir, 'state', 'audit.jsonl');
  return existsSync(file) ? readFileSync(file, 'latin1').split('\n').length - 1 : 0;
}

export const cost: SpecialWork = {
  name: 'cost',
  title: 'policy and record on against a gate without either: reads, writes',
  async run(stage) {
    const { options, instruments, ground } = stage;
    const places = { [OURS]: join(ground.dir, 'cost-full'), [BARE]: join(ground.dir, 'cost-bare') };
    const full: Contestant = { ...certgateFrom('src'), name: `${OURS}-full` };
    const gates = [
      { name: OURS, running: await startOn(places[OURS], full, stage) },
      { name: BARE, running: await startOn(places[BARE], bare, stage) },
    ];
    const values = new Map<string, number[]>();
    try {
      for (const work of WORKS) {
        for (const { running } of gates) {
          const order = { work, port: running.port, contestantPid: running.pid };
          await instruments.measure({ ...order, warmSeconds: Math.min(2, 3 * options.seconds), seconds: 0.05 });
        }
        for (let round = 1; round <= options.rounds; round++) {
          for (const { name, running } of gates) {
            const order = { work, port: running.port, contestantPid: running.pid };
            const { seconds } = options;
            const { cpuMicros, p50Micros } = await instruments.measure({
              ...order,
              warmSeconds: Math.min(0.3, seconds),
              seconds,
            });
            values.set(`${work} ${name}`, [...(values.get(`${work} ${name}`) ?? []), cpuMicros]);
            say(
              `cost ${work} ${round}/${options.rounds} ${name}: ${cpuMicros.toFixed(1)} µs CPU, p50 ${(p50Micros / 1000).toFixed(1)} ms`,
            );
            running.emptyLogs();
          }
        }
      }
    } finally {
      await Promise.all(gates.map(({ running }) => running.stop()));
    }
    const [kept, none] = [recordedIn(places[OURS]), recordedIn(places[BARE])];
    if (kept === 0 || none > 0) throw new Error(`recorded with the record on: ${kept} lines; without: ${none}`);
    return {
      rows: WORKS.map((work) => ({
        name: `cost ${work}`,
        unit: 'CPU µs/request',
        figures: [OURS, BARE].map((name) => ({ contestant: name, values: values.get(`${work} ${name}`) ?? [] })),
      })),
      notes: [`${BARE}: no policy, no record; both from the sources`],
    };
  },
};
