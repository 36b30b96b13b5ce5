// What the primary counts for all workers together: the connections of each identity, exactly, because each is asked for
// before it is served; and the requests in flight of the busy ones, as last heard. Pure. What a worker held is given back
// when it ends, in whichever way.

import type { InFlight } from './messages.ts';

export class GateCounts {
  private readonly most: number;
  private readonly connections = new Map<string, number>();
  private readonly held = new Map<number, Map<string, number>>();
  private readonly inFlight = new Map<number, ReadonlyMap<string, number>>();

  /** `most` connections for each identity. */
  constructor(most: number) {
    this.most = most;
  }

  /** Counts one more connection of `identity` at `worker`; false when that is one too many. */
  enter(worker: number, identity: string): boolean {
    const now = this.connections.get(identity) ?? 0;
    if (now >= this.most) return false;
    this.connections.set(identity, now + 1);
    const held = this.held.get(worker) ?? new Map<string, number>();
    this.held.set(worker, held);
    held.set(identity, (held.get(identity) ?? 0) + 1);
    return true;
  }

  /** The end of a connection that `enter` counted. */
  leave(worker: number, identity: string): void {
    const held = this.held.get(worker);
    const here = held?.get(identity) ?? 0;
    if (held === undefined || here === 0) return;
    if (here === 1) held.delete(identity);
    else held.set(identity, here - 1);
    this.drop(identity, 1);
  }

  /** A worker has ended: all that it held is free. */
  forget(worker: number): void {
    for (const [identity, count] of this.held.get(worker) ?? []) this.drop(identity, count);
    this.held.delete(worker);
    this.inFlight.delete(worker);
  }

  /** Connections of `identity` in all workers. */
  of(identity: string): number {
    return this.connections.get(identity) ?? 0;
  }

  /** What `worker` has in flight; answers the identities that it is news about. */
  report(worker: number, inFlight: readonly InFlight[]): ReadonlySet<string> {
    const news = new Set([...(this.inFlight.get(worker)?.keys() ?? []), ...inFlight.map(([identity]) => identity)]);
    this.inFlight.set(worker, new Map(inFlight));
    return news;
  }

  /** What others than `worker` have in flight of `identities`. */
  elsewhere(worker: number, identities: Iterable<string>): InFlight[] {
    return Array.from(identities, (identity) => {
      let sum = 0;
      for (const [other, requests] of this.inFlight) if (other !== worker) sum += requests.get(identity) ?? 0;
      return [identity, sum] as const;
    });
  }

  /** Identities that `worker` has reported requests of. */
  reported(worker: number): ReadonlySet<string> {
    return new Set(this.inFlight.get(worker)?.keys() ?? []);
  }

  private drop(identity: string, count: number): void {
    const left = (this.connections.get(identity) ?? 0) - count;
    if (left <= 0) this.connections.delete(identity);
    else this.connections.set(identity, left);
  }
}
