// The counts of identities as a worker has them: a connection is asked for at the primary, which knows all workers; requests
// in flight are counted here, with what the others last told. Only what is near enough to the limit to matter is told.

import { type IdentityCounts, Tallies } from '../identity-counts.ts';
import type { InFlight } from './messages.ts';

/** Of its share of the limit, what a worker may have in flight without telling. */
const UNTOLD = 1 / 8;

export interface RelayedIdentities extends IdentityCounts {
  setElsewhere(identity: string, requests: number): void;
  /** What the others should know now; null when there is no news. */
  report(): readonly InFlight[] | null;
}

export interface RelayOptions {
  readonly mostConnections: number;
  readonly mostRequests: number;
  readonly workers: number;
  readonly ask: (identity: string) => Promise<boolean>;
  readonly left: (identity: string) => void;
}

export function relayIdentities(options: RelayOptions): RelayedIdentities {
  const tallies = new Tallies();
  const limited = Number.isFinite(options.mostConnections);
  const least = Math.max(1, Math.floor((options.mostRequests / options.workers) * UNTOLD));
  let told = 0;
  return {
    async enter(identity) {
      if (limited && !(await options.ask(identity))) return null;
      return tallies.enter(identity);
    },
    leave(tally) {
      tallies.leave(tally);
      if (limited) options.left(tally.identity);
    },
    setElsewhere(identity, requests) {
      const tally = tallies.get(identity);
      if (tally !== undefined) tally.elsewhere = requests;
    },
    report() {
      if (!Number.isFinite(least)) return null;
      const news: InFlight[] = [];
      for (const { identity, requests } of tallies.all()) if (requests >= least) news.push([identity, requests]);
      if (news.length === 0 && told === 0) return null;
      told = news.length;
      return news;
    },
  };
}
