// How many connections and requests in flight each identity has, as numbers. One object for each identity that is
// connected, held by its connections, so that a request costs a comparison and an addition and no look-up. Pure. What was
// counted is given back exactly once, in whichever way the connection or the request ends.

/** One identity's counts; alive as long as it has a connection. */
export interface Tally {
  readonly identity: string;
  connections: number;
  /** In flight here. */
  requests: number;
  /** In flight in other processes of the same gate, as last heard. */
  elsewhere: number;
  /** Bytes of bodies and messages that wait here until they are whole and decided. */
  held: number;
}

/** Who counts the connections of each identity; with several workers that is asked of another process. */
export interface IdentityCounts {
  /** Counts one more connection; null when that is one too many, and then nothing is counted. */
  enter(identity: string): Promise<Tally | null> | Tally | null;
  /** The end of a connection that `enter` counted. */
  leave(tally: Tally): void;
}

/** The identities that are connected here. */
export class Tallies {
  private readonly tallies = new Map<string, Tally>();

  get size(): number {
    return this.tallies.size;
  }

  /** The one of `identity`, without counting anything. */
  get(identity: string): Tally | undefined {
    return this.tallies.get(identity);
  }

  all(): Iterable<Tally> {
    return this.tallies.values();
  }

  enter(identity: string): Tally {
    let tally = this.tallies.get(identity);
    if (tally === undefined) {
      tally = { identity, connections: 0, requests: 0, elsewhere: 0, held: 0 };
      this.tallies.set(identity, tally);
    }
    tally.connections++;
    return tally;
  }

  leave(tally: Tally): void {
    if (--tally.connections <= 0) this.tallies.delete(tally.identity);
  }
}

/** Counts in this process alone; `most` connections for each identity, Infinity for any number. */
export function countIdentities(most: number): IdentityCounts {
  const tallies = new Tallies();
  return {
    enter: (identity) => ((tallies.get(identity)?.connections ?? 0) >= most ? null : tallies.enter(identity)),
    leave: (tally) => tallies.leave(tally),
  };
}

/**
 * Bytes that one identity may have held in one process: bodies and messages that have to be read before they go on are bounded
 * each, and so many could be begun at once that the process has no room left for anybody.
 */
export const MOST_HELD = 67_108_864;

/** One connection's part in its identity's requests in flight: at most one at a time (RFC 9112 §9.3). */
export interface RequestSlot {
  /** Counts the connection's next request, of whose body `bytes` are held; false when either is too many. */
  take(bytes: number): boolean;
  /** Makes what tells how many bytes are held now of the WebSocket that is open; it answers false when that is too many. */
  readonly holder: () => (bytes: number) => boolean;
  /** The end of the request that `take` counted, or of the WebSocket; nothing when none is counted. */
  free(): void;
}

/** A slot in `tally`, for at most `most` requests of the identity at once. */
export function requestSlot(tally: Tally, most: number): RequestSlot {
  let taken = false;
  let held = 0;
  let turn = 0;
  const hold = (bytes: number): boolean => {
    const more = bytes - held;
    // One alone may always go on: each has its own bound.
    if (more > 0 && tally.held > held && tally.held + more > MOST_HELD) return false;
    tally.held += more;
    held = bytes;
    return true;
  };
  return {
    take(bytes) {
      if (tally.requests + tally.elsewhere >= most || !hold(bytes)) return false;
      taken = true;
      tally.requests++;
      return true;
    },
    holder() {
      const own = turn;
      // What is still being decided when the WebSocket ends tells later.
      return (bytes) => own === turn && hold(bytes);
    },
    free() {
      turn++;
      hold(0);
      if (!taken) return;
      taken = false;
      tally.requests--;
    },
  };
}
