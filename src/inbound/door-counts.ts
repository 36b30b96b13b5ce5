// Who may have a connection accepted, as numbers: how many there are in all and from each address, and how fast an address
// opens them (a token bucket). Pure: the clock is given. Every step is O(1), nothing has a timer, and memory is bounded:
// by the connections that are open, and by a cap on the addresses that are remembered without one. IPv6 is counted by
// /64, since whoever has one address there has them all (RFC 6177).

/** Infinity is no limit. */
export interface DoorLimits {
  readonly connections: number;
  readonly connectionsPerAddress: number;
  /** A second. */
  readonly handshakesPerAddress: number;
}

/** What a refusal is called in the catalogue of errors. */
export type DoorRefusal = 'CG_LIMIT_CONNECTIONS' | 'CG_LIMIT_ADDRESS' | 'CG_LIMIT_HANDSHAKES';

/** Seconds' worth of handshakes that may come at once: all clients behind one address come back after a restart. */
const BURST_SECONDS = 10;
/** Addresses without a connection that are remembered for what is left in their buckets. */
const MOST_REMEMBERED = 16_384;

interface Entry {
  connections: number;
  tokens: number;
  /** When `tokens` was right, ms. */
  at: number;
}

export class DoorCounts {
  private readonly limits: DoorLimits;
  private readonly busy = new Map<string, Entry>();
  /** Without a connection, the longest unseen first. */
  private readonly quiet = new Map<string, Entry>();
  private readonly byAddress: boolean;
  private readonly spares: (address: string) => boolean;
  private total = 0;

  /** Connections from an address that `spares` names count in all, and not for the address: it stands for many clients. */
  constructor(limits: DoorLimits, spares: (address: string) => boolean = () => false) {
    this.limits = limits;
    this.spares = spares;
    const { connectionsPerAddress, handshakesPerAddress } = limits;
    this.byAddress = Number.isFinite(connectionsPerAddress) || Number.isFinite(handshakesPerAddress);
  }

  /** Open connections. */
  get open(): number {
    return this.total;
  }

  /** Addresses that are remembered. */
  get remembered(): number {
    return this.busy.size + this.quiet.size;
  }

  /** Counts a connection from `address` at `now` (ms, never falling); or says why it may not be, and counts nothing. */
  enter(address: string, now: number): DoorRefusal | null {
    if (this.total >= this.limits.connections) return 'CG_LIMIT_CONNECTIONS';
    if (this.byAddress && !this.spares(address)) {
      const refusal = this.enterAddress(addressKey(address), now);
      if (refusal !== null) return refusal;
    }
    this.total++;
    return null;
  }

  /** The end of a connection that `enter` counted. */
  leave(address: string): void {
    this.total--;
    if (!this.byAddress || this.spares(address)) return;
    const key = addressKey(address);
    const entry = this.busy.get(key);
    if (entry === undefined || --entry.connections > 0) return;
    this.busy.delete(key);
    this.remember(key, entry);
  }

  private enterAddress(key: string, now: number): DoorRefusal | null {
    const rate = this.limits.handshakesPerAddress;
    const full = rate * BURST_SECONDS;
    const known = this.busy.get(key) ?? this.quiet.get(key);
    const entry = known ?? { connections: 0, tokens: full, at: now };
    if (entry.connections >= this.limits.connectionsPerAddress) return 'CG_LIMIT_ADDRESS';
    if (Number.isFinite(rate)) {
      entry.tokens = Math.min(full, entry.tokens + ((now - entry.at) * rate) / 1000);
      entry.at = now;
      if (entry.tokens < 1) return 'CG_LIMIT_HANDSHAKES';
      entry.tokens--;
    }
    if (entry.connections++ === 0) {
      this.quiet.delete(key);
      this.busy.set(key, entry);
    }
    return null;
  }

  /** Whoever can come from more addresses than this gains nothing by having a bucket filled up. */
  private remember(key: string, entry: Entry): void {
    this.quiet.set(key, entry);
    if (this.quiet.size <= MOST_REMEMBERED) return;
    for (const oldest of this.quiet.keys()) {
      this.quiet.delete(oldest);
      break;
    }
  }
}

/** What an IP address is counted under: an IPv4 address itself (also where it comes as `::ffff:…`), an IPv6 /64. */
export function addressKey(address: string): string {
  if (!address.includes(':')) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1] !== undefined) return mapped[1];
  const plain = address.replace(/%.*$/, '').toLowerCase();
  const [left = '', right] = plain.split('::');
  const head = groups(left);
  if (right !== undefined) {
    const tail = groups(right);
    while (head.length + tail.length < 8) head.push('0');
    head.push(...tail);
  }
  return head
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':');
}

/** The 16-bit groups of a part of an IPv6 address; an IPv4 address at its end is two. */
function groups(part: string): string[] {
  if (part === '') return [];
  return part.split(':').flatMap((group) => (group.includes('.') ? [group, group] : [group]));
}
