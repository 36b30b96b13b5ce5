// Whose a connection is, by its address: its peer's, or, where that is a load balancer that says so, what the balancer's PROXY
// protocol header names. Such a header is believed from the balancers that the configuration names and from nobody else, and
// from those there must be one: else whoever comes through a balancer could write it himself.

import { BlockList, type Socket } from 'node:net';
import { parseNetwork } from '../config/address.ts';
import type { LimitedLog } from '../observe/limited-log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { turnAway } from './door.ts';
import { DoorCounts, type DoorLimits } from './door-counts.ts';
import { readProxyHeader } from './proxy-protocol.ts';

export interface ClientAddresses {
  /** The client's IP address; undefined when its connection has gone, or is not known yet. */
  of(tcp: Socket): string | undefined;
  /** Has `known` called, in the same turn where possible, once `of` has an answer; ends the connection where there is none to be had. */
  learn(tcp: Socket, known: () => void): void;
}

export interface ClientAddressOptions {
  /** Addresses, and networks as `10.0.0.0/8`; see `serve.proxyProtocolFrom`. */
  readonly balancers: readonly string[];
  /** What each client behind a balancer may have; the door counts the others. Each process counts for itself. */
  readonly limits: Pick<DoorLimits, 'connectionsPerAddress' | 'handshakesPerAddress'>;
  /** For the header, ms. */
  readonly timeout: number;
  readonly log: LimitedLog;
  readonly metrics: Metrics;
}

/** Whether an address is one of `balancers`. */
export function balancersIn(balancers: readonly string[]): (address: string) => boolean {
  if (balancers.length === 0) return () => false;
  const list = new BlockList();
  for (const network of balancers.map(parseNetwork)) {
    if (network !== null) list.addSubnet(network.address, network.bits, network.family);
  }
  // One that comes as `::ffff:…` is found among the IPv4 addresses too.
  return (address) => list.check(address, address.includes(':') ? 'ipv6' : 'ipv4');
}

export function clientAddresses(options: ClientAddressOptions): ClientAddresses {
  if (options.balancers.length === 0) return { of: (tcp) => tcp.remoteAddress, learn: (_tcp, known) => known() };
  const { log, metrics } = options;
  const isBalancer = balancersIn(options.balancers);
  const counts = new DoorCounts({ ...options.limits, connections: Number.POSITIVE_INFINITY });
  const sources = new WeakMap<Socket, string>();

  const fail = (tcp: Socket, reason: string): void => {
    metrics.handshakeFailures++;
    const remedy = 'have that balancer send the PROXY protocol, or take it out of serve.proxyProtocolFrom';
    log.say('warn', 'proxy protocol', { address: tcp.remoteAddress ?? null, reason, remedy }, 'no client address');
    tcp.on('error', () => {});
    tcp.resetAndDestroy();
  };

  return {
    of: (tcp) => sources.get(tcp) ?? (isBalancer(tcp.remoteAddress ?? '') ? undefined : tcp.remoteAddress),
    learn(tcp, known) {
      const peer = tcp.remoteAddress;
      if (peer === undefined) tcp.destroy();
      else if (!isBalancer(peer)) known();
      else {
        awaitHeader(tcp, options.timeout, {
          failed: (problem) => fail(tcp, problem),
          came(source) {
            const address = source ?? peer;
            const refusal = counts.enter(address, performance.now());
            if (refusal !== null) {
              turnAway(tcp, address, refusal, options);
              return;
            }
            sources.set(tcp, address);
            tcp.once('close', () => counts.leave(address));
            known();
          },
        });
      }
    },
  };
}

interface HeaderTaker {
  readonly came: (source: string | null) => void;
  /** `problem` completes "the connection …". */
  readonly failed: (problem: string) => void;
}

/** Takes the header off what `tcp` brings, and leaves it unread behind that. Who leaves without a word is no failure. */
function awaitHeader(tcp: Socket, timeout: number, taker: HeaderTaker): void {
  let held: Buffer = Buffer.alloc(0);
  const stop = (): void => {
    clearTimeout(timer);
    tcp.off('readable', read).off('error', left).off('end', left).off('close', left);
  };
  const left = (): void => {
    stop();
    tcp.on('error', () => {});
    tcp.destroy();
  };
  const read = (): void => {
    for (let chunk: unknown = tcp.read(); chunk instanceof Buffer; chunk = tcp.read()) {
      held = Buffer.concat([held, chunk]);
    }
    if (held.length === 0) return;
    const header = readProxyHeader(held);
    if (header.kind === 'more') return;
    stop();
    if (header.kind === 'bad') {
      taker.failed(header.problem);
      return;
    }
    if (held.length > header.length) tcp.unshift(held.subarray(header.length));
    taker.came(header.source);
  };
  const timer = setTimeout(() => {
    stop();
    taker.failed(`brought no whole PROXY protocol header within ${timeout} ms`);
  }, timeout);
  tcp.on('readable', read).once('error', left).once('end', left).once('close', left);
}
