// Resident memory of all of a contestant's processes: idle after its start, and what each of many idle mutual-TLS
// connections adds, each with one answered request behind it.

import { setTimeout as sleep } from 'node:timers/promises';
import { certgateFrom, PATIENT } from '../contestants/certgate.ts';
import type { Contestant } from '../contestants/contestant.ts';
import { processTree, residentBytes } from '../cpu.ts';
import { launch } from '../field.ts';
import { descriptorLimit, say } from '../processes.ts';
import { OURS } from '../rows.ts';
import { holdConnections } from './holder.ts';
import type { SpecialWork, Stage } from './stage.ts';

/** What a process gives back by itself it has given back by then. */
const SETTLE_MS = 1_500;
/** After how many seconds nginx and HAProxy end a connection that waits. */
const USUAL_IDLE_S = 75;
/** Descriptors for everything but clients. */
const OTHER_DESCRIPTORS = 400;

interface Memory {
  readonly idleMib: number;
  readonly loadedMib: number;
  readonly perConnectionKib: number;
  readonly open: number;
  readonly seconds: number;
}

async function weigh(contestant: Contestant, stage: Stage): Promise<Memory> {
  const { ground, cores, options } = stage;
  const most = Math.floor((descriptorLimit() - OTHER_DESCRIPTORS) / contestant.descriptorsPerClient);
  const running = await launch(contestant, ground);
  try {
    await sleep(SETTLE_MS);
    const resident = (): number => residentBytes(processTree(running.pid));
    const idle = resident();
    const { clientChain: chain, clientKey: key, bundle } = ground.certificates;
    const connections = Math.min(options.connections, most);
    const holder = await holdConnections({ core: cores.load, port: running.port, chain, key, bundle, connections });
    try {
      await sleep(SETTLE_MS);
      const loaded = resident();
      const mib = 1024 * 1024;
      return {
        idleMib: idle / mib,
        loadedMib: loaded / mib,
        perConnectionKib: (loaded - idle) / 1024 / holder.open,
        open: holder.open,
        seconds: holder.seconds,
      };
    } finally {
      await holder.stop();
    }
  } finally {
    await running.stop();
  }
}

export const memory: SpecialWork = {
  name: 'memory',
  title: 'memory: idle, and per idle mutual-TLS connection after one request (resident, one measurement)',
  async run(stage) {
    const weighed: { contestant: string; memory: Memory }[] = [];
    const notes: string[] = [];
    for (const contestant of stage.contestants) {
      const one = contestant.name === OURS ? certgateFrom(stage.options.form, PATIENT) : contestant;
      const found = await weigh(one, stage);
      weighed.push({ contestant: contestant.name, memory: found });
      say(
        `memory ${contestant.name}: ${found.idleMib.toFixed(0)} MiB idle, ${found.perConnectionKib.toFixed(1)} KiB per connection of ${found.open}, opened in ${found.seconds.toFixed(0)} s`,
      );
      if (found.open < stage.options.connections)
        notes.push(`${contestant.name}: ${found.open} connections instead of ${stage.options.connections}`);
      if (found.seconds > USUAL_IDLE_S && contestant.name !== OURS)
        notes.push(
          `${contestant.name}: they took ${found.seconds.toFixed(0)} s to open; it may have closed some that waited`,
        );
    }
    const row = (name: string, unit: string, pick: (memory: Memory) => number) => ({
      name,
      unit,
      figures: weighed.map(({ contestant, memory: found }) => ({ contestant, values: [pick(found)] })),
    });
    return {
      rows: [
        row('memory idle', 'MB', (found) => found.idleMib),
        row('memory per connection', 'KiB', (found) => found.perConnectionKib),
        row('memory at that load', 'MB', (found) => found.loadedMib),
      ],
      notes,
    };
  },
};
