// From the process's start to its first answered request over a new mutual-TLS connection, several starts of each in turn.
// certgate starts twice in each turn: as published (dist/) and from its sources.

import { certgateFrom } from '../contestants/certgate.ts';
import { launch } from '../field.ts';
import { say } from '../processes.ts';
import { OURS } from '../rows.ts';
import type { SpecialWork } from './stage.ts';

/** Starts of each contestant for each of the run's rounds. */
const STARTS_PER_ROUND = 3;

export const start: SpecialWork = {
  name: 'start',
  title: 'start to the first answered request',
  async run({ options, ground, contestants }) {
    const entrants = contestants.map((contestant) => ({ label: contestant.name, contestant }));
    if (contestants.some(({ name }) => name === OURS)) {
      const other = options.form === 'dist' ? 'src' : 'dist';
      entrants.push({ label: `${OURS} from ${other}/`, contestant: certgateFrom(other) });
    }
    const taken = new Map(entrants.map(({ label }) => [label, [] as number[]]));
    for (let turn = 0; turn < options.rounds * STARTS_PER_ROUND; turn++) {
      for (const { label, contestant } of entrants) {
        const running = await launch(contestant, ground);
        taken.get(label)?.push(running.facts.startMs);
        await running.stop();
      }
    }
    for (const [label, all] of taken) say(`start ${label}: ${all.map((ms) => ms.toFixed(0)).join(' ')} ms`);
    const figures = [...taken].map(([contestant, values]) => ({ contestant, values }));
    return { rows: [{ name: 'start', unit: 'ms', figures }] };
  },
};
