// What handshakes of strangers cost, and who pays. OpenSSL verifies every signature of the chain that a client shows, also
// of one that leads nowhere, up to a hundred, and Node can't have it stop sooner: of keys that were chosen for it that is a
// third of a second, in which the gate serves nobody. So an address from which such chains come faster than now and then is
// kept out until that is over. Pure: the clock is given; memory is bounded by a cap on the addresses.

import { addressKey } from './door-counts.ts';

/** A chain of a company's usual length stays below it with everything around it, and is not counted. Bytes. */
const USUAL = 8_192;
/** Until then the gate had said nothing but an alert: it has seen no chain. Bytes. */
const ALERT = 512;
/** What may come from an address at once, bytes: some two seconds of the dearest. */
const AT_ONCE = 262_144;
/** And what may come all the time, bytes a ms: a tenth of a core of the dearest. */
const ALWAYS = 16;
const MOST_REMEMBERED = 16_384;

/** A TCP connection at the end of its handshake. */
export interface Shaken {
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

export class StrangeHandshakes {
  /** What has come from each and when that was right, ms; who was counted last is last. */
  private readonly counted = new Map<string, { readonly bytes: number; readonly at: number }>();

  /** Counts the handshake of somebody at `address` who was not known by it; true when the address is kept out from now on. */
  count(address: string, { bytesRead, bytesWritten }: Shaken, now: number): boolean {
    if (bytesRead <= USUAL || bytesWritten <= ALERT) return false;
    const key = addressKey(address);
    const bytes = this.left(key, now) + bytesRead;
    this.counted.delete(key);
    this.counted.set(key, { bytes, at: now });
    for (const oldest of this.counted.keys()) {
      if (this.counted.size <= MOST_REMEMBERED) break;
      this.counted.delete(oldest);
    }
    return bytes > AT_ONCE;
  }

  /** Whether `address` is kept out at `now`, ms. */
  keepsOut(address: string, now: number): boolean {
    if (this.counted.size === 0) return false;
    const key = addressKey(address);
    const left = this.left(key, now);
    if (left === 0) this.counted.delete(key);
    return left > AT_ONCE;
  }

  private left(key: string, now: number): number {
    const known = this.counted.get(key);
    return known === undefined ? 0 : Math.max(0, known.bytes - (now - known.at) * ALWAYS);
  }
}
