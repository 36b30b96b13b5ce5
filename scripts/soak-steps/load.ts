// Starts actions at a steady rate, whatever becomes of them, and counts what did. An action that never ends is as wrong
// as one that was answered falsely; where too many are under way, further ones are left out and counted.

import type { Place } from './place.ts';
import { type Action, POLITE } from './polite.ts';
import { RUDE, renewSidecar } from './rude.ts';

/** No action takes as long, ms: what is still under way then hangs. */
const HANGS = 60_000;
const TICK = 50;
const MOST_UNDER_WAY = 300;
const RENEWAL = 240_000;
const FIRST_WRONGS = 20;

export interface Count {
  right: number;
  wrong: number;
}

export interface Load {
  readonly counts: ReadonlyMap<string, Count>;
  /** The first of what went wrong, in words. */
  readonly wrongs: readonly string[];
  readonly leftOut: number;
  /** No new actions; resolves when all are over. */
  stop(): Promise<void>;
}

const ACTIONS = [...POLITE, ...RUDE];
const TOTAL = ACTIONS.reduce((sum, [, weight]) => sum + weight, 0);

function draw(): readonly [name: string, action: Action] {
  let at = Math.random() * TOTAL;
  for (const [name, weight, action] of ACTIONS) {
    at -= weight;
    if (at < 0) return [name, action];
  }
  return [POLITE[0]?.[0] ?? '', POLITE[0]?.[2] ?? (async () => {})];
}

/** Begins `rate` actions a second. */
export function startLoad(place: Place, rate: number): Load {
  const counts = new Map<string, Count>(ACTIONS.map(([name]) => [name, { right: 0, wrong: 0 }]));
  const wrongs: string[] = [];
  const underWay = new Set<Promise<void>>();
  const stopping = new AbortController();
  let leftOut = 0;
  let owed = 0;
  let last = performance.now();
  let renewAt = last + RENEWAL;

  const run = async (name: string, action: Action): Promise<void> => {
    const count = counts.get(name);
    try {
      await bounded(action(place, stopping.signal));
      if (count !== undefined) count.right++;
    } catch (error) {
      if (count !== undefined) count.wrong++;
      const problem = error instanceof Error ? error.message : String(error);
      if (wrongs.length < FIRST_WRONGS) wrongs.push(`${new Date().toISOString()} ${name}: ${problem}`);
    }
  };
  const begin = (name: string, action: Action): void => {
    const one = run(name, action).finally(() => underWay.delete(one));
    underWay.add(one);
  };
  counts.set('renew the sidecar', { right: 0, wrong: 0 });
  const timer = setInterval(() => {
    const now = performance.now();
    owed = Math.min(owed + ((now - last) / 1000) * rate, rate);
    last = now;
    for (; owed >= 1; owed--) {
      if (underWay.size >= MOST_UNDER_WAY) leftOut++;
      else begin(...draw());
    }
    if (now < renewAt) return;
    renewAt = now + RENEWAL;
    begin('renew the sidecar', renewSidecar);
  }, TICK);

  return {
    counts,
    wrongs,
    get leftOut() {
      return leftOut;
    },
    async stop() {
      clearInterval(timer);
      stopping.abort();
      await Promise.all(underWay);
    },
  };
}

async function bounded(action: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const hangs = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not over after ${HANGS / 1000} s`)), HANGS);
  });
  try {
    await Promise.race([action, hangs]);
  } finally {
    clearTimeout(timer);
  }
}
